"""A run -> a bundle -> answers: the same from Python, the command line and a ZIP file, and the row it came from."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

import pneumobench as pb
from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.cli.main import main
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.prediction.answers import REASONS
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import BUNDLE_JSON, Bundle, open_bundle
from pneumobench.prediction.bundle_files import SUMS, sums_text
from pneumobench.prediction.predicted_files import predict_files
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.bundling import make_bundle
from pneumobench.runs.finished import Run
from pneumobench.runs.opening import open_run

Change = Callable[[Path], None]
pytestmark = pytest.mark.usefixtures("beside_plugins")
LATER = ("ensemble-mean", "test_vit")
QUIET = Console(file=io.StringIO())


def opened(copied: Path) -> Run:
    return open_run(copied / "runs/smoke", trust_plugins=True, console=QUIET)


@pytest.fixture(scope="module")
def made(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the smoke run's network with heat maps, a plugin."""
    to = tmp_path_factory.mktemp("bundle") / "ten"
    make_bundle(opened(copied), to, architecture="ten_lines")
    return to


@pytest.fixture(scope="module")
def predictor(made: Path) -> AskedBundle:
    """It, opened."""
    return pb.load(made)


@pytest.fixture(scope="module")
def films(copied: Path) -> list[Path]:
    """Images of the smoke run's official test folder."""
    folder = RunFolder(copied / "runs/smoke")
    _, folds = folder.index_and_folds()
    root = next((copied / "runs/.cache").glob("phantoms-*"))
    return [root / name for name in sorted(folds.official_test)]


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "copy")


def noise(side_px: int = 90) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (side_px, side_px), dtype=np.uint8)


def test_its_answers_are_the_mean_of_the_folds_predictions(
    copied: Path, predictor: AskedBundle, films: list[Path]
) -> None:
    run = pb.open_run(copied / "runs/smoke")
    row = next(row for row in rank_run(copied / "runs/smoke").rows if row.architecture == "ten_lines")
    recorded = run.predictions("ten_lines").query("split == 'official_test'").set_index("image_id")
    answers = predictor.predict(films)
    tempered = row.official_predictions.set_index("image_id")["tempered"]
    for path, one in zip(films, answers, strict=True):
        name = next(name for name in tempered.index if str(path).endswith(name))
        assert one.probability == pytest.approx(tempered[name], abs=1e-4)
        assert len(one.folds) == len(recorded.loc[[name]]) == 2
        assert one.lowest <= one.probability <= one.highest
        assert one.pneumonia == (one.probability >= one.threshold)


def test_files_arrays_and_tensors_give_the_same_answer(predictor: AskedBundle, films: list[Path]) -> None:
    gray = cv2.imread(str(films[0]), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    by_file, by_array = predictor.predict(films[0])[0], predictor.predict(np.asarray(gray, dtype=np.uint8))[0]
    by_tensor = predictor.predict([torch.from_numpy(gray)])[0]
    assert by_file.probability == by_array.probability == by_tensor.probability
    assert by_file.measures == by_array.measures
    assert by_file.image == str(films[0])
    with pytest.raises(pb.DataError, match=r"image 0: found an array \(4, 4\) of float64"):
        predictor.predict([np.zeros((4, 4))])  # type: ignore[list-item]


def test_an_answer_does_not_depend_on_the_images_beside_it(predictor: AskedBundle, films: list[Path]) -> None:
    together, alone = predictor.predict(films[:3]), [predictor.predict(film)[0] for film in films[:3]]
    assert [one.probability for one in together] == pytest.approx([one.probability for one in alone], abs=1e-6)
    assert [one.review for one in together] == [one.review for one in alone]


def test_noise_is_for_a_person_to_look_at(predictor: AskedBundle) -> None:
    (one,) = predictor.predict(noise())
    assert one.review
    assert {"no_lungs", "layout"} <= set(one.reasons)
    assert one.lungs is False
    (bare,) = predictor.predict(noise(), review=False)
    assert (bare.reasons, bare.measures, bare.probability) == ({}, {}, one.probability)
    assert bare.review is bare.lungs is None, "not looked for is not looked for and found none"


def test_heat_maps_are_the_mean_of_the_folds(predictor: AskedBundle, films: list[Path]) -> None:
    maps = predictor.explain(films[:2])
    assert maps.shape == (2, 32, 32)
    assert (maps >= 0).all()
    assert maps.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "architecture", ["ensemble-weighted", *(pytest.param(name, marks=pytest.mark.long) for name in LATER)]
)
def test_a_bundle_scores_what_its_row_says(
    architecture: str, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "bundle.zip"
    made = make_bundle(opened(copied), to, architecture=architecture)
    for fold in made.folds:
        assert sum(member.share for member in fold.members) == pytest.approx(1)
    assert main(["verify", str(to)]) == 0, capsys.readouterr()
    assert f"{to} is what it says" in capsys.readouterr().out


def test_the_same_run_gives_the_same_bytes_without_a_path_or_an_image(made: Path, copied: Path, tmp_path: Path) -> None:
    make_bundle(opened(copied), tmp_path / "again", architecture="ten_lines")
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    index, _ = RunFolder(copied / "runs/smoke").index_and_folds()
    everything = b"".join(files.values())
    assert str(copied).encode() not in everything
    assert not any(name.encode() in everything for name in index.table["image_id"])
    assert not any(patient.encode() in everything for patient in index.table["patient"].unique() if len(patient) > 5)


def test_a_bundle_that_scores_otherwise_is_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = open_bundle(copy).bundle
    results = json.loads(json.dumps(bundle.results))
    results["out_of_fold"]["auc"] += 0.01
    _rewritten(copy, dataclasses.replace(bundle, results=results))
    assert main(["verify", str(copy)]) == 5
    assert "results.out_of_fold.auc" in capsys.readouterr().out


def test_a_threshold_that_was_forged_is_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = open_bundle(copy).bundle
    folds = tuple(dataclasses.replace(fold, thresholds={**fold.thresholds, "youden": 0.999}) for fold in bundle.folds)
    _rewritten(copy, dataclasses.replace(bundle, folds=folds))
    assert main(["verify", str(copy)]) == 5
    assert "results.out_of_fold.recall" in capsys.readouterr().out


def _rewritten(folder: Path, bundle: Bundle) -> None:
    """Write another bundle.json with the right sums, as somebody who knows how would."""
    (folder / BUNDLE_JSON).write_text(bundle.to_json())
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SUMS}
    (folder / SUMS).write_text(sums_text(files))


def _other_format(folder: Path) -> None:
    plain = json.loads((folder / BUNDLE_JSON).read_text()) | {"format": 2}
    (folder / BUNDLE_JSON).write_text(json.dumps(plain))
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SUMS}
    (folder / SUMS).write_text(sums_text(files))


DAMAGE: dict[str, tuple[Change, str]] = {
    "a weight": (
        lambda folder: (folder / "ten_lines-fold-0.safetensors").write_bytes(b"x"),  # type: ignore[dict-item]
        "found ten_lines-fold-0.safetensors changed",
    ),
    "a file too many": (lambda folder: (folder / "more.py").touch(), "found a file 'more.py'"),
    "a file too few": (lambda folder: (folder / "README.md").unlink(), "found no file 'README.md'"),
    "another format": (_other_format, "found format: Input should be 1"),
    "another geometry": (
        lambda folder: _rewritten(folder, dataclasses.replace(open_bundle(folder).bundle, geometry="letterbox-1")),
        "found geometry letterbox-1, expected squeeze-area-2",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_bundle_is_refused_by_name(
    name: str, copy: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = DAMAGE[name]
    change(copy)
    assert main(["predict", str(copy), str(films[0])]) == 3
    assert words in capsys.readouterr().err


def test_what_is_no_bundle_is_told_so(tmp_path: Path, films: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("other.zip", "text.zip", "nothing", "."):
        assert main(["predict", str(tmp_path / name), str(films[0])]) == 2
        assert "expected a" in capsys.readouterr().err


def test_a_plugin_of_a_bundle_has_to_be_named(
    made: Path, films: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {name: one for name, one in ARCHITECTURES.loaded().items() if name != "ten_lines"}
    monkeypatch.setattr(ARCHITECTURES, "_items", others)
    assert main(["predict", str(made), str(films[0])]) == 2
    assert "name its file with --plugin FILE" in capsys.readouterr().err


def test_a_table_of_files_keeps_their_order_and_names_the_bad_ones(
    made: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films" / "deep"
    folder.mkdir(parents=True)
    shutil.copy(films[0], folder / "b.png")
    (folder / "a.png").write_bytes(b"no image")
    cv2.imwrite(str(folder / "noise.png"), noise())
    (tmp_path / "list.csv").write_text("image\nfilms/deep/noise.png\nfilms/deep/b.png\n")
    to = tmp_path / "answers.csv"
    words = ["predict", str(made), str(tmp_path / "films"), str(films[1]), str(tmp_path / "list.csv"), "--to", str(to)]
    assert main([*words, "--heat-maps", str(tmp_path / "maps")]) == 4
    rows = list(csv.DictReader(to.open()))
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.png", "noise.png", films[1].name], "each once"
    assert rows[0]["problem"].startswith(f"{folder / 'a.png'}: ")
    assert rows[0]["probability"] == ""
    assert rows[2]["review"] == "1"
    assert {row["notice"] for row in rows} == {"For research, not for diagnosis."}
    assert len(list((tmp_path / "maps").glob("*.jpg"))) == 3
    assert "not answered: " in capsys.readouterr().out
    by_python = pb.load(made).predict(films[1])[0].probability
    assert float(rows[3]["probability"]) == pytest.approx(by_python, abs=1e-6)
    assert main([*words]) == 2, "a table is not overwritten"


def test_json_is_for_programs(
    made: Path, films: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["predict", str(made), str(films[0]), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["notice"] == "For research, not for diagnosis."
    assert said["rows"][0]["image"] == str(films[0])
    assert set(REASONS) <= set(said["rows"][0])
    assert said["bundle"]["sha256"] == open_bundle(made).sha256
    to = tmp_path / "a.json"
    assert main(["predict", str(made), str(films[0]), "--to", str(to), "--json"]) == 0
    assert json.loads(to.read_text())["rows"] == said["rows"]


def test_a_start_that_was_cut_off_goes_on(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    whole = predict_files(predictor, films, tmp_path / "whole.csv")
    assert (whole.again, whole.images) == (0, len(films))
    asked: list[str] = []

    def cut(one: pb.Prediction) -> None:
        asked.append(one.image)
        if len(asked) == 5:
            raise KeyboardInterrupt

    to = tmp_path / "cut.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor, films, to, tell=cut)
    part = to.with_name("cut.csv.part")
    with part.open("ab") as lines:
        lines.write(b'{"image": "half a li')  # as a process that was killed leaves it
    again = predict_files(predictor, films, to, tell=lambda one: asked.append(one.image))
    assert again.again == 4
    assert asked == [str(film) for film in [*films[:5], *films[4:]]], "each once, but that in which it was cut off"
    assert to.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part.exists()


def test_another_question_begins_anew(predictor: AskedBundle, films: list[Path], tmp_path: Path) -> None:
    to = tmp_path / "a.csv"
    to.with_name("a.csv.part").write_text('{"bundle": "another"}\n{"image": "x"}\n')
    assert predict_files(predictor, films[:2], to).again == 0
    assert len(pd.read_csv(to)) == 2


def test_a_file_that_was_changed_is_asked_about_again(
    predictor: AskedBundle, films: list[Path], tmp_path: Path
) -> None:
    mine, to = [shutil.copy(film, tmp_path) for film in films[:3]], tmp_path / "a.csv"

    def cut(one: pb.Prediction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor, [Path(one) for one in mine], to, tell=cut)
    cv2.imwrite(str(mine[0]), noise())
    found = predict_files(predictor, [Path(one) for one in mine], to, review=True)
    assert found.again == 0


def test_what_was_not_looked_for_is_not_told_as_none(
    made: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "a.csv"
    assert main(["predict", str(made), str(films[0]), "--without-review", "--to", str(to)]) == 0
    assert "for a person to look at: not looked for" in capsys.readouterr().out
    assert next(csv.DictReader(to.open()))["review"] == ""


def test_a_run_answers_by_the_bundle_of_its_best_network(
    copied: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied / "runs/smoke"
    words = ["predict", str(run), str(films[0]), "--plugin", "ten.py", "--plugin", "broken.py"]
    assert main(words) == 0
    assert "making the bundle" in capsys.readouterr().out
    assert main(words) == 0
    assert "making the bundle" not in capsys.readouterr().out
    best = next(row.architecture for row in rank_run(run).networks if row.rank == 1)
    assert open_bundle(run / "bundle").bundle.architecture == best
    shutil.rmtree(run / "bundle")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--to", "a.xlsx"], "expected a file name that ends in .csv or .json"),
    ],
)
def test_wrong_options_are_told(
    words: list[str], said: str, made: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(made), str(films[0]), *words]) == 2
    assert said in capsys.readouterr().err


def test_wrong_names_are_told(made: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("file\na.png\n")
    for name, code, said in (
        ("nothing.png", 2, "no such file or folder"),
        ("empty", 3, "found no file that ends in"),
        ("list.csv", 3, "expected one named image"),
    ):
        assert main(["predict", str(made), str(tmp_path / name)]) == code
        assert said in capsys.readouterr().err
    run = ["bundle", str(copied / "runs/smoke"), "--trust-plugins", "--to"]
    assert main([*run, str(made)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*run, str(tmp_path / "b"), "--architecture", "test_resnt"]) == 2
    assert "did you mean test_resnet" in capsys.readouterr().err
