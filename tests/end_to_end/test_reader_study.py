"""A reader study of a finished run: what readers get says nothing of the truth, and their answers are scored."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumobench.cli.main import main
from pneumobench.radiographs.formats import read_gray
from pneumobench.records.reader_study import ReaderStudy, read_key
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.audited import image_root
from pneumobench.runs.reader_study import in_its_place
from tests.records.simulated_reader import answers_of, as_csv

ASKED = ["reader-study", "runs/smoke", "--images", "6"]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leaks(readers: Path, study: ReaderStudy, index: pd.DataFrame) -> list[str]:
    """Return what the folder of the readers says that it must not: names, patients, numbers, labels."""
    secret = {study.architecture.encode(), b'"label"', b"image_id", b"NORMAL", b"PNEUMONIA"}
    for image in study.images:
        path = Path(image.image_id)
        secret |= {image.image_id.encode(), path.name.encode(), path.stem.encode()}
        secret |= {f"{image.probability:g}".encode(), f"{image.probability:.3f}".encode()}
    secret |= {sha256.encode() for sha256 in index["sha256"]}
    found = []
    for name, content in bytes_of(readers).items():
        packed = b"".join(base64.b64decode(one) for one in re.findall(rb'"shown": "([^"]+)"', content))
        assert len(packed) in (0, len(study.images)), "a percentage an image, and no more, is packed"
        found += [f"{name}: {word!r}" for word in sorted(secret) if word in content or word in name.encode()]
    return found


def test_readers_get_images_and_no_truth(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--architecture", "test_resnet"]) == 0
    told = capsys.readouterr().out
    study = read_key(run.reader_study)
    assert f"study {study.id}: 6 images, 3 with pneumonia; test_resnet calls" in told
    assert "for readers: runs/smoke/reader-study/readers/index.html" in told
    assert "keep from them: runs/smoke/reader-study/key.json" in told
    assert {path.name for path in run.reader_study.iterdir()} == {"readers", "key.json"}

    index = pd.read_csv(run.index_csv).set_index("image_id")
    scored = pd.concat([pd.read_csv(run.predictions_path("test_resnet", fold)) for fold in (0, 1)])
    tested = scored[scored["split"] == "test"].set_index("image_id")
    probability = tested["probability"].to_dict()
    assert index.loc[[image.image_id for image in study.images], "group"].is_unique
    for image in study.images:
        assert (image.fold, image.label) == tuple(tested.loc[image.image_id, ["fold", "label"]]), "out of fold"
        assert image.called == (probability[image.image_id] >= 0.5)

    readers = run.reader_study / "readers"
    codes = [image.code for image in study.images]
    pictures = sorted(str(path.relative_to(readers)) for path in readers.rglob("*.jpg"))
    assert pictures == sorted(f"{folder}/{code}.jpg" for folder in ("images", "help") for code in codes)
    assert leaks(readers, study, index) == []
    page = (readers / "index.html").read_text()
    facts = json.loads(page.partition('id="facts">')[2].partition("</script>")[0])
    assert set(facts) == {"study", "codes", "orders", "shown", "washout"}
    assert list(base64.b64decode(facts["shown"])) == [round(100 * image.probability) for image in study.images]
    assert "For research, not for diagnosis" in page
    assert "http:" not in page.replace("http-equiv", "")
    for image in study.images:
        plain, helped = (Image.open(readers / folder / f"{image.code}.jpg") for folder in ("images", "help"))
        assert (plain.mode, helped.mode, plain.size) == ("L", "RGB", helped.size)
        assert not plain.getexif()
        assert set(plain.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        original = read_gray(image_root(run.path, None) / image.image_id)
        assert np.abs(np.asarray(plain, float) - original).mean() < 3, "the image as it is, not as a network sees it"

    # the guard itself
    (readers / "list.txt").write_text(study.images[0].image_id)
    (readers / "images" / f"{Path(study.images[0].image_id).stem}.jpg").write_bytes(b"")
    assert len(leaks(readers, study, index)) >= 2


def test_the_same_study_has_the_same_bytes_and_keeps_its_key(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASKED, "-q"]) == 0
    before = bytes_of(run.reader_study)
    assert main([*ASKED, "-q"]) == 0
    assert bytes_of(run.reader_study) == before
    assert main([*ASKED, "--seed", "1"]) == 2
    assert "name another folder with --to" in capsys.readouterr().err
    assert bytes_of(run.reader_study) == before
    best = pd.read_csv(run.leaderboard / "leaderboard.csv").query("kind == 'network'").iloc[0]["architecture"]
    assert read_key(run.reader_study).architecture == best


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--architecture", "test_resnt"],
            "has no network 'test_resnt' that completed all folds; did you mean test_resnet",
        ),
        (["--architecture", "control-majority"], "has no network 'control-majority'"),
        (["--images", "500"], "--images 500: found"),
        (["--method", "gradcm"], "did you mean gradcam"),
    ],
)
def test_what_cannot_be_studied_is_refused(
    run: RunFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASKED, *words]) == 2
    assert message in capsys.readouterr().err
    assert not run.reader_study.exists()


def test_what_was_asked_for_and_is_not_there_is_said(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def black(bench: Any, network: Any, fold: int, methods: Any, rows: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(heat={"gradcam": np.zeros((len(rows), 32, 32), np.float32)})

    monkeypatch.setattr("pneumobench.runs.reader_study.heat_maps", black)
    assert main([*ASKED, "--errors", "1"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    study = read_key(run.reader_study)
    wrong = sum(not image.network_right for image in study.images)
    assert wrong < 5
    assert f"warning: --errors 1 asked for 6 images that are called wrongly, found {wrong}: a class has too few" in told
    assert "warning: 6 heat maps without any colour: no place speaks for pneumonia there." in told


def test_missing_weights_are_said(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree("runs/smoke", tmp_path / "runs" / "smoke"))
    for weights in copy.glob("*/fold-*/weights.safetensors"):
        weights.unlink()
    assert main(["reader-study", str(copy), "--images", "4", "-q"]) == 3
    assert "expected the weights that the record beside it names" in capsys.readouterr().err
    assert not (copy / "reader-study" / "key.json").exists(), "no key of a study that is not there"


def test_answers_are_scored(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "-q"]) == 0
    study = read_key(run.reader_study)
    for reader in (1, 2):
        rows = answers_of(study, reader, lambda image, reading: bool(image.label) or not reading.help, apart_days=7)
        Path(f"{reader}.csv").write_text(as_csv(rows))
    words = ["reader-results", "runs/smoke/reader-study", "1.csv", "2.csv"]
    assert main(words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "2 readers, 6 images, without and with help" in told
    assert "warning: reader 1 began session 2 6 days after session 1" in told
    table = pd.read_csv(run.reader_study / "reader-study.csv").set_index(["reader", "measure", "help"])
    low, value = table["low"].to_dict(), table["value"].to_dict()
    assert value["mean of readers", "specificity", "change"] == 1
    assert value["reader 1", "sensitivity", "change"] == 0
    assert low["reader 1", "sensitivity", "change"] < 0
    assert value["reader 1 and reader 2", "kappa", "with"] == 1
    assert value["reader 2", "seconds", "without"] == 10
    page = (run.reader_study / "reader-study.md").read_text()
    assert "`pneumobench reader-results runs/smoke/reader-study ANSWERS.csv ...`" in page
    assert "For research, not for diagnosis." in page
    assert str(Path.cwd()) not in page
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["readers"] == 2
    assert "2 readers: their mean has no interval" in " ".join(answer["warnings"])
    assert "images" not in answer["study"]
    Path("1.csv").write_text("nothing\n")
    assert main(words) == 3
    assert "1.csv: found the columns nothing; expected study, reader" in capsys.readouterr().err


@pytest.mark.long
def test_a_study_is_never_published(run: RunFolder, tmp_path: Path) -> None:
    assert main([*ASKED, "-q"]) == 0
    assert main(["publish", "runs/smoke", "--to", str(tmp_path / "copy"), "-q"]) == 0
    assert not any("reader-study" in str(path) or path.suffix == ".jpg" for path in (tmp_path / "copy").rglob("*"))


def test_a_map_of_a_crop_lies_where_the_crop_was() -> None:
    whole = in_its_place(np.ones((4, 4), np.float32), (200, 100), (0.25, 0.75, 0.5, 1.0))
    assert whole.shape == (200, 100)
    assert (whole[50:150, 50:] == 1).all()
    assert whole.sum() == 100 * 50, "nothing outside"
    negative = in_its_place(np.full((4, 4), -1, np.float32), (8, 8), None)
    assert not negative.any(), "what speaks against pneumonia is left out"


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "cropped"),
    [
        (["--data.crop", "adaptive"], True),
        (["--data.region", "without_lungs"], False),
        (["--task", "three_class"], False),
    ],
)
def test_readers_see_whole_radiographs_whatever_the_networks_saw(
    settings: list[str],
    cropped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--architectures.names", "[test_resnet]", "--controls.names", "[majority]", "-q"]
    assert main(["run", "smoke", *settings, *few]) == 0
    assert main([*ASKED, "--method", "occlusion"]) == 0
    assert "study " in capsys.readouterr().out
    folder = RunFolder(Path("runs/smoke"))
    study, differing = read_key(folder.reader_study), 0
    for image in study.images:
        plain, helped = (
            np.asarray(Image.open(folder.reader_study / "readers" / part / f"{image.code}.jpg").convert("L"), float)
            for part in ("images", "help")
        )
        original = read_gray(image_root(folder.path, None) / image.image_id)
        assert plain.shape == original.shape
        assert np.abs(plain - original).mean() < 3
        edge = np.abs(plain - helped)[[0, -1]].mean()
        differing += edge > 3
    assert not (cropped and differing), "outside of the crop there is no map"
