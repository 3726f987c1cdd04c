"""The published copy of a run: the same numbers, only what may be shown, and forgeries of compressed tables named."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.cli import main as cli
from pneumobench.datasets.table_files import table_bytes, write_table_text
from pneumobench.errors import PneumobenchError, RecordError, SettingsError
from pneumobench.files import sha256_of_file, write_json
from pneumobench.records.checksums import CHECKSUMS
from pneumobench.records.loaded_run import gather
from pneumobench.records.manifest import read_manifest
from pneumobench.records.run_folder import RunFolder, write_predictions
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.runs import external_predictions
from pneumobench.runs.publishing import publish_run
from tests.records.forging import JOB, RECORD, Manipulation, deleted, resealed, with_json
from tests.records.test_manipulations import sealed_template

__all__ = ["sealed_template"]

PREDICTIONS, RELIANCE = f"{JOB}/predictions.csv.gz", f"{JOB}/explanations/reliance.csv.gz"
BOMB = gzip.compress(bytes(300 * 2**20), 1)  # 300 MiB in 1.3 MB


@pytest.fixture(scope="module")
def published(sealed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published copy of the synthetic run."""
    return publish_run(sealed_template, tmp_path_factory.mktemp("published") / "fake").page.parents[1]


def _files(run: Path) -> dict[str, str]:
    return {path.relative_to(run).as_posix(): sha256_of_file(path) for path in run.rglob("*") if path.is_file()}


def test_a_published_copy_has_the_numbers_of_the_run(sealed_template: Path, published: Path) -> None:
    before, after = gather(sealed_template), gather(published)
    for job, table in before.predictions.items():
        pd.testing.assert_frame_equal(after.predictions[job], table)
        pd.testing.assert_frame_equal(after.attention[job], before.attention[job])
        pd.testing.assert_frame_equal(after.explanations[job].ablation, before.explanations[job].ablation)
    assert after.records == before.records
    tables = write_leaderboard(sealed_template)
    for path in (tables.csv, tables.json):
        assert (published / "leaderboard" / path.name).read_bytes() == path.read_bytes()


def test_only_what_may_be_shown_is_copied(sealed_template: Path, published: Path, tmp_path: Path) -> None:
    names = {Path(name).name for name in _files(published)}
    assert {name for name in names if name.endswith(".csv")} == {"history.csv", "leaderboard.csv"}
    assert {
        "index.csv.gz",
        "folds.json.gz",
        "predictions.csv.gz",
        "attention.csv.gz",
        "reliance.csv.gz",
        "gradcam.csv.gz",
    } <= names
    assert not [name for name in names if Path(name).suffix in (".png", ".safetensors", ".npz", ".lock", ".turn")]
    shutil.copytree(sealed_template, tmp_path / "run")
    for name in ("note.txt", f"{JOB}/patients.csv", f"{JOB}/explanations/more.csv", "external/other/film.png"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("private")
    publish_run(tmp_path / "run", tmp_path / "copy")
    assert _files(tmp_path / "copy") == _files(published)


def test_the_manifest_names_what_lies_there_and_records_stay(sealed_template: Path, published: Path) -> None:
    known, before = read_manifest(RunFolder(published)), read_manifest(RunFolder(sealed_template))
    assert known is not None
    assert before is not None
    there = _files(published)
    named = {name: sha256 for name, sha256 in known.items() if "attributions" not in name and "weights" not in name}
    assert named == {
        name: there[name] for name in there if not name.startswith(("leaderboard/", "manifest.json", CHECKSUMS))
    }
    assert known[RECORD] == before[RECORD] == sha256_of_file(sealed_template / RECORD)


def test_a_copy_of_a_copy_is_the_same_bytes_also_over_itself(published: Path, tmp_path: Path) -> None:
    publish_run(published, tmp_path / "again")
    assert _files(tmp_path / "again") == _files(published)
    made = publish_run(tmp_path / "again", tmp_path / "again", replace=True)
    assert _files(tmp_path / "again") == _files(published)
    assert made.page == tmp_path / "again/leaderboard/index.html"
    assert made.page.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["again"], "nothing is left beside it"


def test_a_folder_that_is_taken_is_refused(sealed_template: Path, published: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is there, and --replace replaces a published run"):
        publish_run(sealed_template, published)
    shutil.copytree(sealed_template, tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    for taken in ("run", "other"):
        before = _files(tmp_path / taken)
        with pytest.raises(SettingsError, match=rf"{taken} is there, and it is no published run"):
            publish_run(published, tmp_path / taken, replace=True)
        assert _files(tmp_path / taken) == before


def test_a_run_that_is_not_whole_is_not_published(sealed_template: Path, tmp_path: Path) -> None:
    shutil.copytree(sealed_template, tmp_path / "run")
    (tmp_path / "run" / f"{JOB}/weights.safetensors").write_text("other")
    with pytest.raises(RecordError, match=r"weights\.safetensors: found SHA-256"):
        publish_run(tmp_path / "run", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_predictions_on_other_images_are_published_and_read_again(sealed_template: Path, tmp_path: Path) -> None:
    shutil.copytree(sealed_template, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    index, _ = folder.index_and_folds()
    record = next(one for one in folder.records() if one.completed)
    rows = {"image_id": index.table["image_id"], "label": index.table["label"], "fold": record.fold}
    table = pd.DataFrame({**rows, "logit": 0.5, "probability": 0.622459331})
    weights = {record.architecture: {str(record.fold): record.hashes["weights"]}}
    home = folder.external / "other"
    external_predictions.write_predictions(home, "other", index, {record.architecture: table}, weights)
    (home / "scores.csv").write_text("architecture\n")
    publish_run(folder.path, tmp_path / "copy")
    copy = tmp_path / "copy/external/other"
    there = {"environment.json", "index.csv", "scores.csv", f"{record.architecture}.csv.gz"}
    assert {path.name for path in copy.iterdir()} == there
    read = [external_predictions.earlier_predictions(one, index, [], [record]) for one in (home, copy)]
    pd.testing.assert_frame_equal(read[0][record.architecture], read[1][record.architecture])
    with_json("environment.json", lambda plain: plain["predictions"].update({"../../x": "0" * 64}))(home)
    with pytest.raises(RecordError, match=r"environment\.json: found no facts of external data"):
        publish_run(folder.path, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_the_command_says_where_it_is(
    sealed_template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sealed_template, tmp_path / "runs/fake")
    assert cli.main(["publish", "runs/fake", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == "leaderboard/fake"
    assert told["files"] == len(_files(tmp_path / "leaderboard/fake"))
    assert Path(told["page"]).is_file()
    assert cli.main(["publish", "runs/fake"]) == 2
    assert "leaderboard/fake is there" in capsys.readouterr().err
    assert cli.main(["publish", "runs/fake", "--replace"]) == 0
    shown = capsys.readouterr().out
    assert "published: leaderboard/fake" in shown
    assert "next: pneumobench verify leaderboard/fake" in shown
    assert cli.main(["leaderboard", "leaderboard/fake"]) == 0


def _rewritten(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes())) and None


def _other_text(run: Path) -> None:
    write_table_text(run / PREDICTIONS, table_bytes(run / PREDICTIONS).decode().replace(",0.9", ",0.8", 1))


def _beside(run: Path) -> None:
    (run / PREDICTIONS.removesuffix(".gz")).write_bytes(table_bytes(run / PREDICTIONS))


def _unfolded(run: Path) -> None:
    _beside(run)
    (run / PREDICTIONS).unlink()


FORGERIES = (
    Manipulation("another text", _other_text, r"predictions\.csv\.gz: changed"),
    Manipulation("gone", deleted(RELIANCE), r"reliance\.csv\.gz: missing"),
    Manipulation("a byte behind", _rewritten(RELIANCE, lambda data: data + b"x"), r"reliance\.csv\.gz: changed"),
    Manipulation("plain beside it", _beside, r"predictions\.csv: found predictions\.csv\.gz beside it"),
    Manipulation("unfolded, not renewed", _unfolded, r"predictions\.csv\.gz: missing"),
    Manipulation("folded otherwise", _rewritten(RELIANCE, lambda d: gzip.compress(gzip.decompress(d))), "gz: changed"),
    Manipulation(
        "resealed: another text", resealed(_other_text), r"predictions\.csv\.gz: found SHA-256 .* expected .*record"
    ),
    Manipulation("resealed: a part", resealed(_rewritten(PREDICTIONS, lambda data: data[:-9])), "that breaks off"),
    Manipulation("resealed: two", resealed(_rewritten(RELIANCE, lambda data: 2 * data)), "bytes behind its end"),
    Manipulation("resealed: a bomb", resealed(_rewritten(PREDICTIONS, lambda _: BOMB)), "more than 268,435,456 bytes"),
    Manipulation("resealed: plain beside it", resealed(_beside), r"expected one of the two"),
    # harmless: the text is what counts
    Manipulation("resealed: unfolded", resealed(_unfolded), None),
    Manipulation(
        "resealed: folded otherwise", resealed(_rewritten(RELIANCE, lambda d: gzip.compress(gzip.decompress(d)))), None
    ),
)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda one: one.name)
def test_a_forged_table_is_named_or_harmless(forgery: Manipulation, published: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(published, run)
    forgery.change(run)
    if forgery.words is None:
        before, after = gather(published), gather(run)
        for job, table in before.predictions.items():
            pd.testing.assert_frame_equal(after.predictions[job], table)
        return
    with pytest.raises(PneumobenchError, match=rf"(?s){forgery.words}"):
        gather(run)


def test_explanations_by_a_path_are_refused(published: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(published, run)
    home = run / f"{JOB}/explanations"
    plain = json.loads((home / "explanation.json").read_text())
    plain["hashes"]["../../../x"] = plain["hashes"]["gradcam"]
    write_json(home / "explanation.json", plain)
    manifest = RunFolder(run).manifest_json
    manifest.unlink()
    write_json(manifest, {"format": 1, "files": _files(run)})
    with pytest.raises(RecordError, match=r"explanations by '../../../x', expected the name of a method"):
        gather(run)


def test_a_job_that_is_run_again_keeps_the_form_of_its_tables(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    record = next(one for one in folder.records() if one.completed)
    path = folder.predictions_path(record.architecture, record.fold)
    assert write_predictions(path, folder.predictions(record)) == record.hashes["predictions"]
    assert gather(folder.path).records == gather(published).records
