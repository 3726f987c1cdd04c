"""Networks of a finished run on images of another source."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.radiographs.formats import read_gray
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs import finished
from tests.datasets.published_sets import write_rsna


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Return a table of other children's images."""
    table = make_phantoms(tmp_path / "others", patients=14, images_per_patient=(1, 2), side_px=64, seed=99)
    rows = pd.read_csv(table, dtype=str)
    rows[["image", "label", "patient"]].to_csv(table, index=False)
    return table


def test_networks_are_scored_on_images_of_another_source(
    run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "runs/smoke", "--data", str(others), "--name", "elsewhere"]) == 0
    shown = capsys.readouterr().out
    assert "External data: elsewhere" in shown
    folder = run.external / "elsewhere"
    scores = pd.read_csv(folder / "scores.csv").set_index("architecture")
    assert set(scores.index) == {"test_resnet", "test_vit", "ten_lines"}, "what failed has no networks"
    predictions = pd.read_csv(folder / "test_resnet.csv")
    mean = predictions.groupby("image_id")[["label", "probability"]].mean()
    assert len(predictions) == 2 * len(mean)
    from sklearn.metrics import roc_auc_score

    row = scores.loc["test_resnet"]
    assert row["auc"] == pytest.approx(roc_auc_score(mean["label"], mean["probability"]), abs=1e-6)
    assert row["drop"] == pytest.approx(row["internal_auc"] - row["single_auc"], abs=2e-6)
    areas = [roc_auc_score(part["label"], part["probability"]) for _, part in predictions.groupby("fold")]
    assert row["single_auc"] == pytest.approx(sum(areas) / 2, abs=1e-6)
    assert row["drop_low"] <= row["drop"] <= row["drop_high"]
    assert row["internal_auc"] == pytest.approx(
        pd.read_csv(run.leaderboard / "leaderboard.csv").set_index("architecture").loc["test_resnet", "auc"]
    )
    assert str(others.parent) not in (folder / "README.md").read_text() + (folder / "environment.json").read_text()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["evaluate", "runs/smoke", "--data", str(others), "--name", "elsewhere"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_name_stays_with_its_images_and_gathers_networks(
    run: RunFolder, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluate(data: Path, *words: str) -> int:
        return main(["evaluate", "runs/smoke", "--data", str(data), "--name", "elsewhere", *words])

    folder = run.external / "elsewhere"
    assert evaluate(others) == 0
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    assert evaluate(others, "--architectures", "test_resnet", "--folds", "1") == 0
    assert list(pd.read_csv(folder / "scores.csv")["folds"]) == [1]
    assert evaluate(others, "--architectures", "test_resnet", "--folds", "0") == 0
    assert evaluate(others, "--architectures", "test_vit,ten_lines") == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole, "the same as all in one call"

    data = make_phantoms(tmp_path / "more", patients=10, images_per_patient=(1, 1), side_px=64, seed=5)
    capsys.readouterr()
    assert evaluate(data) == 2
    assert "holds predictions on other images" in " ".join(capsys.readouterr().err.split())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole, "nothing is mixed"
    rows = pd.read_csv(others, dtype=str)
    rows.assign(patient="one").to_csv(others, index=False)
    assert evaluate(others) == 2
    assert "the same images with other labels or patients" in " ".join(capsys.readouterr().err.split())


def test_the_printed_drop_is_the_difference_of_printed_columns(
    run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["evaluate", "runs/smoke", "--data", str(others), "--architectures", "test_resnet"]) == 0
    shown = capsys.readouterr().out
    head, row = (next(line for line in shown.splitlines() if word in line).split() for word in ("own data", "resnet"))
    assert head == ["architecture", "AUC", "single", "own", "data", "drop", "[95", "%]", "Recall", "Spec."]
    assert max(map(len, shown.splitlines())) <= 80
    _, _, single, own, drop, *_ = (cell.replace("−", "-") for cell in row)
    assert float(drop) == pytest.approx(float(own) - float(single), abs=2e-3)


def test_images_of_the_run_are_no_external_data(
    run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = next(Path("runs/.cache").rglob("images/*.png"))
    rows = pd.read_csv(others, dtype=str)
    # the pixels of an image of the run, in a file of other bytes
    picture = read_gray(own)
    assert cv2.imwrite(str(others.parent / rows["image"][0]), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert (others.parent / rows["image"][0]).read_bytes() != own.read_bytes()
    assert main(["evaluate", "runs/smoke", "--data", str(others)]) == 2
    assert "1 of its images are images of the run itself" in capsys.readouterr().err
    assert not run.external.exists()


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        (lambda rows: rows.assign(label="1"), "all images have one label", 3),
        (lambda rows: rows.assign(image="none.png").drop_duplicates("image"), "none.png", 3),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    change: object, words: str, code: int, run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    change(pd.read_csv(others, dtype=str)).to_csv(others, index=False)
    assert main(["evaluate", "runs/smoke", "--data", str(others)]) == code
    assert words in capsys.readouterr().err


def test_names_are_checked(run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "runs/smoke", "--data", str(others), "--name", "../up"]) == 2
    assert "expected a plain name" in capsys.readouterr().err
    assert main(["evaluate", "runs/nothing", "--data", str(others)]) == 2
    assert "found no suite.yaml" in capsys.readouterr().err


def test_a_folder_of_a_known_layout_is_external_data(run: RunFolder, tmp_path: Path) -> None:
    radiographs = write_rsna(tmp_path / "rsna", images_per_kind=3)
    assert main(["evaluate", "runs/smoke", "--data", str(radiographs), "--architectures", "test_resnet"]) == 0
    scores = pd.read_csv(run.external / "rsna/scores.csv")
    assert scores[["architecture", "images"]].to_numpy().tolist() == [["test_resnet", 9]]
    text = (run.external / "rsna/README.md").read_text()
    assert "pneumobench evaluate runs/smoke --data DATA --name rsna" in text
    assert str(tmp_path) not in text


def test_images_are_shown_in_other_ways_and_published_so(
    run: RunFolder, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "runs/smoke", "--data", str(others), "--name", "elsewhere", "--architectures", "test_resnet"]
    variants = "histogram_matched,percentile_window,lung_crop"
    assert main([*words, "--variants", variants]) == 0
    assert "histogram_matched" in capsys.readouterr().out
    folder = run.external / "elsewhere/variants"
    predictions = pd.read_csv(folder / "predictions.csv")
    assert set(predictions["variant"]) == {"as_is", *variants.split(",")}
    plain = pd.read_csv(folder.parent / "test_resnet.csv")
    as_is = predictions[predictions["variant"] == "as_is"]
    assert as_is["logit"].to_numpy() == pytest.approx(plain["logit"].to_numpy(), abs=1e-5)
    for variant in variants.split(","):
        changed = predictions[predictions["variant"] == variant]
        assert (changed["logit"].to_numpy() != as_is["logit"].to_numpy()).mean() > 0.5
    table = pd.read_csv(folder / "variants.csv").set_index("variant")
    assert table.loc["as_is", "auc"] == pytest.approx(pd.read_csv(folder.parent / "scores.csv")["auc"][0])
    facts = pd.read_csv(folder / "facts.csv").set_index("fact")
    assert 0 < facts["own_normal"]["mean_gray"] < 255
    assert list(pd.read_csv(folder / "strata.csv")["fact"])[-1] == "all_facts"
    text = (folder / "README.md").read_text()
    assert f"--name elsewhere --architectures test_resnet --variants {variants}" in text
    assert str(tmp_path) not in text
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main([*words, "--variants", variants]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(["publish", "runs/smoke", "--to", str(tmp_path / "published")]) == 0
    copy = tmp_path / "published/external/elsewhere/variants"
    assert {path.name for path in copy.iterdir()} == {
        "README.md", "variants.csv", "facts.csv", "strata.csv", "predictions.csv.gz"
    }  # fmt: skip
    capsys.readouterr()
    assert main([*words, "--variants", "sharpened"]) == 2
    assert "--variants sharpened: expected some of histogram_matched" in capsys.readouterr().err


def test_without_its_own_images_a_run_says_how_to_name_them_before_anything_is_scored(
    run: RunFolder, others: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> None:
        raise SettingsError("no folder is named")

    monkeypatch.setattr(finished, "open_bench", nowhere)
    words = ["evaluate", "runs/smoke", "--data", str(others), "--name", "elsewhere"]
    assert main([*words, "--variants", "percentile_window"]) == 2
    assert "--variants needs the run's own images, which --own-data FOLDER names: no folder" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not run.external.exists()
    assert main(words) == 0, "without variants they are not needed"
