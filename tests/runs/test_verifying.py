"""What `verify` says of broken, incomplete and forged folders: never a traceback, always a file and both values."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumobench.cli.main import main
from pneumobench.datasets.table_files import compressed_bytes, table_bytes
from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import write_text
from pneumobench.records.checksums import CHECKSUMS, renew_checksums, write_checksums
from pneumobench.records.comparison import ComparisonRecord
from pneumobench.records.job_record import write_record
from pneumobench.records.manifest import seal
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.comparison import write_comparison
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.runs.publishing import publish_comparison, publish_run
from pneumobench.runs.verifying import verify
from tests.records.forging import HISTORY, JOB, RECORD, appended, deleted, edited, emptied, with_json
from tests.records.tampering import contents, seal_again
from tests.records.test_manipulations import sealed_template

__all__ = ["sealed_template"]

PREDICTIONS = f"{JOB}/predictions.csv.gz"
NUMBERS = "leaderboard/leaderboard.json"
GARBAGE = b"\xff\xfe\x00garbage"


@pytest.fixture(scope="module")
def whole(sealed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic run with curves that end in what its predictions give."""
    run = shutil.copytree(sealed_template, tmp_path_factory.mktemp("whole") / "fake")
    folder = RunFolder(run)
    for job in folder.records():
        exact = dataclasses.replace(job, hardware={**job.hardware, "accelerator": "cpu", "precision": "32-true"})
        write_record(path := folder.record_path(job.architecture, job.fold), exact)
        files = [path]
        if job.completed:
            tune = folder.predictions(job).query("split == 'tune'")
            auc = roc_auc_score(tune["label"], tune["probability"])
            lines = [f"{epoch},{auc - 0.1 * (3 - epoch):.6g}" for epoch in range(4)]
            files.append(history := folder.history_path(job.architecture, job.fold))
            write_text(history, "\n".join(["epoch,tune_auc", *lines, ""]))
        seal(folder, files)
    return run


@pytest.fixture(scope="module")
def published(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_run(whole, tmp_path_factory.mktemp("published") / "fake").page.parents[1]


def _said(run: Path) -> str:
    return "\n".join(map(str, verify(run).differences))


def test_a_run_and_its_published_copy_are_what_they_say(whole: Path, published: Path) -> None:
    for run in (whole, published):
        before = contents(run)
        found = verify(run)
        assert found.differences == ()
        assert contents(run) == before
    assert found.files == len(before)
    assert found.texts > 4


def _bytes(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(data) and None


def _cut(run: Path) -> None:
    (run / PREDICTIONS).write_bytes((run / PREDICTIONS).read_bytes()[:-9])


def _linked(run: Path) -> None:
    shutil.move(run / RECORD, run.parent / "record.json")
    (run / RECORD).symlink_to(run.parent / "record.json")


BROKEN = {
    "a file more": (_bytes(f"{JOB}/.DS_Store", b"x"), f"{JOB}/.DS_Store: found a file, expected none"),
    "a file less": (deleted(HISTORY), f"{HISTORY}: found no file, expected one"),
    "a job less": (deleted(JOB), f"{RECORD}: found no file, expected one"),
    "a page less": (deleted("leaderboard/README.md"), "leaderboard/README.md: found no file, expected one"),
    "no checksums": (deleted(CHECKSUMS), "SHA256SUMS: found No such file"),
    "no suite": (deleted("suite.yaml"), "suite.yaml: found no file"),
    "no manifest": (deleted("manifest.json"), "manifest.json: found no file"),
    "no index": (deleted("index.csv.gz"), "index.csv.gz: found no file"),
    "checksums: garbage": (_bytes(CHECKSUMS, GARBAGE), "SHA256SUMS, line 1: found "),
    "manifest: garbage": (_bytes("manifest.json", GARBAGE), "manifest.json: found no manifest of format 1"),
    "record: no JSON": (_bytes(RECORD, b"{"), f"{RECORD}: found text that is not JSON"),
    "record: garbage": (_bytes(RECORD, GARBAGE), f"{RECORD}: found bytes that are not UTF-8, expected JSON"),
    "record: empty": (emptied(RECORD), f"{RECORD}: found text that is not JSON"),
    "record: deep": (_bytes(RECORD, b"[" * 100_000), f"{RECORD}: found text that is not JSON"),
    "record: a list": (_bytes(RECORD, b"[]\n"), f"{RECORD}: found record of type list, expected an object"),
    "record: a link": (_linked, f"{RECORD}: found a link"),
    "suite: garbage": (_bytes("suite.yaml", GARBAGE), "suite.yaml, SHA-256: found "),
    "audit: garbage": (_bytes("audit.json", GARBAGE), "audit.json: found no json ("),
    "folds: garbage": (_bytes("folds.json.gz", GARBAGE), "folds.json.gz: found no compressed file"),
    "folds: no JSON": (_bytes("folds.json.gz", compressed_bytes(b"{")), "folds.json.gz, SHA-256: found "),
    "index: no table": (_bytes("index.csv.gz", compressed_bytes(b'"')), "index.csv.gz, SHA-256: found "),
    "predictions: cut": (_cut, f"{PREDICTIONS}: found a file that breaks off, expected a w"),
    "predictions: garbage": (_bytes(PREDICTIONS, GARBAGE), f"{PREDICTIONS}: found no compressed file"),
    "predictions: a byte more": (appended(PREDICTIONS, b"x"), f"{PREDICTIONS}: found 1 bytes behind its end"),
    "history: garbage": (_bytes(HISTORY, GARBAGE), f"{HISTORY}, SHA-256: found "),
    "leaderboard: garbage": (_bytes(NUMBERS, GARBAGE), f"{NUMBERS}: found no json ("),
    "leaderboard: a number": (edited(NUMBERS, '"auc": 0.9', '"auc": 0.8'), f"{NUMBERS}, "),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "hashes renewed"])
def test_what_is_broken_is_named(
    name: str, sealed: bool, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    change, words = BROKEN[name]
    change(run)
    if sealed:
        if name in ("a file more", "no checksums", "checksums: garbage", "record: a link"):
            pytest.skip("hashes are all that speaks against it")
        if (run / "manifest.json").is_file() and "manifest" not in name:
            seal_again(run)
        (run / CHECKSUMS).unlink()
        write_checksums(run)
    assert main(["verify", str(run)]) == 5
    told = capsys.readouterr()
    assert "Traceback" not in told.err + told.out
    assert sealed or f"  {words}" in told.out, told.out
    (last,) = told.out.splitlines()[-1:]
    assert last.startswith(str(run))
    assert "difference" in last


FORGED = {
    "epochs": (with_json(RECORD, lambda p: p["training"].update(train_images=5000)),
               f"{RECORD}, training.train_images: found 5000, expected "),
    "history": (edited(HISTORY, "2,0.", "2,1."), f"{HISTORY}: found the best tune_auc in epoch 2, expected epoch 3"),
    "table": (edited("leaderboard/leaderboard.csv", ",0.9", ",0.8"), "leaderboard/leaderboard.csv, line 2 ("),
    "page": (edited("leaderboard/index.html", "0.9", "0.8"), "leaderboard/index.html, line "),
    "readme": (edited("leaderboard/README.md", "0.9", "0.8"), "leaderboard/README.md, line "),
    "a page more": (_bytes("leaderboard/best.html", b"x"), "leaderboard/best.html: found a file, expected none"),
    "lungs": (with_json(RECORD, lambda p: p["explanation"].update(layer="layer9")),
              "fold-1/record.json, explanation.layer: found "),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_what_was_forged_with_every_hash_is_named_by_field(name: str, published: Path, tmp_path: Path) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    change, words = FORGED[name]
    change(run)
    seal_again(run)
    assert words in (said := _said(run)), said


def test_the_curve_ends_in_what_the_predictions_give(published: Path, tmp_path: Path) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    table = pd.read_csv(run / HISTORY)
    table["tune_auc"] = table["tune_auc"].where(table.index != 3, table["tune_auc"] + 0.001)
    table.to_csv(run / HISTORY, index=False)
    seal_again(run)
    found = {one.file: one for one in verify(run).differences}
    assert set(found) == {HISTORY, "leaderboard/architectures/resnet18.html"}, "the page draws the curve"
    one = found[HISTORY]
    assert one.field == "epoch 3.tune_auc"
    assert float(one.found) - float(one.expected.split()[0]) == pytest.approx(0.001, abs=1e-5)


def test_a_patient_on_two_sides_is_named(published: Path, tmp_path: Path) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    folds = json.loads(table_bytes(run / "folds.json.gz"))
    first = next(iter(folds["test_fold"]))
    folds["test_fold"][first] = (folds["test_fold"][first] + 1) % 5
    (run / "folds.json.gz").write_bytes(compressed_bytes(json.dumps(folds).encode()))
    seal_again(run)
    assert "folds.json" in _said(run)


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="found no run, expected suite"):
        verify(tmp_path)
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert main(["verify", str(tmp_path)]) == 3


def test_a_program_is_told_all(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    (run / NUMBERS).write_text("{}")
    assert main(["verify", str(run), "--json"]) == 5
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert len(told["differences"]) > 40
    assert told["differences"][0] | {"found": "", "expected": ""} == {
        "file": NUMBERS, "field": "SHA-256", "found": "", "expected": ""
    }  # fmt: skip
    assert "more: --json has all" in captured.err


def test_commands_that_write_into_a_published_run_renew_its_checksums(published: Path, tmp_path: Path) -> None:
    run = shutil.copytree(published, tmp_path / "run")
    before = contents(run)
    write_leaderboard(run)
    assert contents(run) == before
    (run / NUMBERS).write_text("{}")
    write_leaderboard(run)
    assert contents(run) == before
    foreign = run / "leaderboard/architectures/gone.html"
    foreign.write_text("of a network that was there")
    renew_checksums(run, [foreign])
    write_leaderboard(run)
    assert contents(run) == before
    (run / HISTORY).write_text("forged")
    renew_checksums(run, [run / NUMBERS])
    assert HISTORY in _said(run)


def test_a_comparison_is_checked_with_its_runs(whole: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(whole, tmp_path / "runs" / name)
    record = ComparisonRecord(
        axis="vary", setting="seed", reference="1", command="", runs={"1": "../one", "2": "../two"}
    )
    (tmp_path / "runs/both").mkdir()
    record.write(tmp_path / "runs/both")
    write_comparison(tmp_path / "runs/both")
    assert verify(tmp_path / "runs").differences == (), "a folder of runs"
    both = publish_comparison(tmp_path / "runs/both", tmp_path / "both").page.parent
    found = verify(both)
    assert found.differences == ()
    assert found.files == len(contents(both))
    assert found.texts == 3
    edited("comparison.csv", ",0.9", ",0.8")(both)
    edited("README.md", "0.9", "0.8")(both)
    appended(f"two/{HISTORY}", b"x")(both)
    said = _said(both)
    assert "comparison.csv, SHA-256: found" in said
    assert f"two/{HISTORY}, SHA-256: found" in said
    shutil.copyfile(tmp_path / "runs/two" / HISTORY, both / "two" / HISTORY)
    write_checksums(both, runs=["one", "two"])
    said = _said(both)
    assert "comparison.csv, line 2 (" in said
    assert "README.md, line" in said
    (both / "comparison.json").unlink()
    assert "comparison.json: found no comparison" in _said(both)
    (tmp_path / "runs/notes").mkdir()
    edited("comparison.csv", ",0.9", ",0.8")(tmp_path / "runs/both")
    found = verify(tmp_path / "runs")
    assert {one.file for one in found.differences} == {"both/comparison.csv"}, "comparisons in it are checked too"
    assert "notes/ holds no run or comparison: nothing in it was checked" in found.notes
