"""Pictures of a finished run: mean maps, all errors, and one image that is put to its networks."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pneumobench.cli.main import main
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.lungs.boxes import FIXED_BOX
from pneumobench.radiographs.geometry import cropped, image_to_square
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.image_answers import image_table
from pneumobench.runs.one_radiograph import prepare_image
from pneumobench.runs.opening import open_run
from tests.lungs.test_prepared_run import prepared

QUIET = Console(file=io.StringIO())


def test_the_gallery_shows_every_error_worst_first(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "runs/smoke", "--architectures", "test_resnet,crashes", "--methods", "gradcam"]) == 0
    assert "gallery: runs/smoke/gallery/index.html" in capsys.readouterr().out

    tables = [pd.read_csv(run.predictions_path("test_resnet", fold)) for fold in (0, 1)]
    scored = pd.concat(tables).query("split == 'test'")
    wrong = scored[(scored["probability"] >= 0.5) != (scored["label"] == 1)]
    assert len(wrong) > 2, "an untrained network errs"
    page = (run.gallery / "test_resnet.html").read_text()
    shown = re.findall(r'<img class="panel" src="([^"]+)".*?probability ([\d.]+)"', page)
    assert len(shown) == len(wrong)
    assert all(image_id in page for image_id in wrong["image_id"])
    for picture, _ in shown:
        drawn = cv2.imread(str(run.gallery / picture))
        assert drawn is not None
        assert drawn.shape[1] == 2 * (256 + 6) + 6, "the image and one map"
    missed, alarms = page.split('id="fp"')
    assert (numbers := [float(p) for p in re.findall(r'probability ([\d.]+)">', missed)]) == sorted(numbers)
    assert (numbers := [float(p) for p in re.findall(r'probability ([\d.]+)">', alarms)]) == sorted(numbers)[::-1]

    means = (run.gallery / "index.html").read_text()
    assert "crashes" not in means, "a network that failed has nothing to show"
    mean = cv2.imread(str(run.gallery / "test_resnet/mean.jpg"))
    assert mean is not None
    assert mean.shape[0] > 2 * 256, "pneumonia above normal"
    assert "../gallery/index.html" in (run.leaderboard / "index.html").read_text()


def test_the_gallery_is_the_same_every_time(run: RunFolder) -> None:
    asked: dict[str, Any] = {"architectures": ["test_vit"], "methods": ["gradcam", "guided_gradcam"]}
    first = open_run(run.path, console=QUIET).gallery(**asked)
    before = {path: path.read_bytes() for path in run.gallery.rglob("*") if path.is_file()}
    assert open_run(run.path, console=QUIET).gallery(**asked) == first
    assert {path: path.read_bytes() for path in run.gallery.rglob("*") if path.is_file()} == before


def test_an_image_of_the_run_is_put_to_networks_that_have_not_seen_it(run: RunFolder) -> None:
    index, folds = run.index_and_folds()
    row = int(folds.positions(index, 1)["test"][0])
    radiograph = next(Path("runs/.cache").rglob(Path(index.table["image_id"].iloc[row]).name))
    opened = open_run(run.path, console=QUIET)
    seen = opened.explain_image(radiograph, methods=["gradcam", "guided_gradcam"]).found
    assert seen.known
    assert seen.lungs_from == "drawn"
    assert {answer.folds for answer in seen.answers} == {(1,)}
    predicted = run.predictions(next(r for r in run.records() if (r.architecture, r.fold) == ("test_resnet", 1)))
    expected = predicted.set_index("image_id").loc[index.table["image_id"].iloc[row], "probability"]
    (answer,) = (answer for answer in seen.answers if answer.architecture == "test_resnet")
    assert answer.probability == pytest.approx(float(expected), abs=0.01)
    assert seen.picture.is_file()
    with pytest.raises(NotAvailableError, match="every network that was asked learnt from this image"):
        opened.explain_image(radiograph, folds=[0])


def test_a_new_image_is_put_to_all_folds(run: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "a film.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 120), dtype=np.uint8))
    seen = open_run(run.path, console=QUIET).explain_image(path, architectures=["test_resnet"]).found
    (answer,) = seen.answers
    assert not seen.known
    assert answer.folds == (0, 1)
    assert answer.lowest <= answer.probability <= answer.highest
    assert seen.lungs_from.startswith("none: "), "noise has no lungs, and none are guessed"
    assert answer.lar == {"gradcam": None}
    assert seen.picture.name.startswith("film-a-film-")
    console = Console(file=io.StringIO(), width=100)
    console.print(image_table(seen))
    assert isinstance(console.file, io.StringIO)
    assert "not a diagnosis" in " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({}, SettingsError, "neither a file nor the name of an image of the run"),
        ({"architectures": ["crashes"]}, SettingsError, "no trained network"),
        ({"architectures": ["test_resnt"]}, SettingsError, "test_resnet"),
        ({"methods": ["gradcamm"]}, SettingsError, "gradcam"),
    ],
)
def test_wrong_questions_are_refused(run: RunFolder, asked: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_run(run.path, console=QUIET).explain_image("none.png", **asked)
    assert not run.gallery.exists()


def test_image_and_images_exclude_each_other(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(run.path), "--image", "film.png", "--images", "3"]) == 2
    assert "give one of the two" in capsys.readouterr().err


def test_a_new_image_is_cut_as_the_images_of_the_run(tmp_path: Path) -> None:
    bench, _, _ = prepared(tmp_path, crop="fixed")
    gray = np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (100, 1))
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), gray)
    assert np.array_equal(prepare_image(bench, path).radiograph, image_to_square(cropped(gray, FIXED_BOX), 32))
    known = bench.index.root / bench.index.table["image_id"].iloc[3]
    radiograph = prepare_image(bench, known)
    assert radiograph.rows == (3,)
    assert np.array_equal(radiograph.radiograph, bench.radiographs[3])


def test_an_image_is_named_as_in_the_index_of_the_run(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    index, folds = run.index_and_folds()
    name = str(index.table["image_id"].iloc[int(folds.positions(index, 1)["test"][0])])
    assert main(["explain", str(run.path), "--image", name, "--architectures", "test_resnet"]) == 0
    shown = capsys.readouterr().out
    assert "picture: " in shown
    assert "warning" not in shown, "an image of the run is what the networks know"
    assert main(["explain", str(run.path), "--image", name.replace("-1", "-77")]) == 2
    assert "neither a file nor the name of an image of the run; did you mean " in capsys.readouterr().err


def test_noise_is_called_far_from_the_training_images_in_terminal_and_picture(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    assert main(["explain", str(run.path), "--image", str(tmp_path / "noise.png"), "--architectures", "test_vit"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "warning: no lungs found" in shown
    assert "warning: far from the training images: its layout correlates" in shown
    assert "take these answers for nothing" in shown
    answers = open_run(run.path, console=QUIET).explain_image(tmp_path / "noise.png", architectures=["test_vit"])
    assert "no lungs found" in answers.to_frame()["warning"].iloc[0]
    drawn = cv2.imread(str(answers.picture))
    assert drawn is not None
    blue, _, red = (drawn[:40].astype(int)[..., channel] for channel in range(3))
    assert (red - blue > 80).any(), "words in orange stand at the top of the picture"


def test_a_method_that_a_network_does_not_have_is_said_and_is_no_success(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["explain", str(run.path), "--architectures", "test_vit", "--folds", "0", "--images", "2"]
    assert main([*asked, "--methods", "guided_gradcam,occlusion"]) == 4
    shown = " ".join(capsys.readouterr().out.split())
    assert "test_vit: no maps by guided_gradcam: guided_gradcam is not available" in shown
    table = shown.partition("Attribution methods on the same images")[2]
    assert re.search(r"guided_gradcam( –)+ no maps", table)
    assert re.search(r"occlusion 2 ", table), "on the two images that all methods share"
    assert main([*asked, "--methods", "occlusion"]) == 0, "already checked"


def test_plugins_of_a_run_from_elsewhere_need_consent(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # of somebody who has not run this plugin
    for command in (["explain"], ["gallery"], ["evaluate", "--data", "images.csv"]):
        assert main([command[0], str(run.path), *command[1:]]) == 2
        assert "never run on this machine" in " ".join(capsys.readouterr().err.split())
    assert main(["explain", str(run.path), "--images", "2", "--architectures", "test_vit", "--trust-plugins"]) == 0
    capsys.readouterr()
