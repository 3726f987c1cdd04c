"""What the scores of a finished run are worth: confounds by acquisition, and labels that networks doubt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.records.run_folder import RunFolder
from tests.end_to_end.commands import REPOSITORY

KERMANY_CPU = REPOSITORY / "leaderboard" / "kermany-cpu"
NETWORKS = {"test_resnet", "test_vit", "ten_lines"}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_scores_are_computed_again_among_images_that_are_alike(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["confounds", "runs/smoke", "--caliper", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    scores = pd.read_csv(run.confounds / "scores.csv")
    tested = scores[scores["part"] == "out_of_fold"].set_index("name")
    assert set(tested.index[tested["kind"] == "network"]) == NETWORKS, "what failed has no predictions"
    assert {"control-majority", "width", "mean_gray", "all facts"} <= set(tested.index)
    board = pd.read_csv(run.leaderboard / "leaderboard.csv").set_index("architecture")
    for name in NETWORKS:
        assert tested.loc[name, "all_images"] == pytest.approx(board.loc[name, "auc"], abs=1e-6)
        assert 0 <= tested.loc[name, "matched_low"] <= tested.loc[name, "matched"] <= tested.loc[name, "matched_high"]
    assert answer["out_of_fold"]["pairs"] >= 3
    assert answer["out_of_fold"]["without_facts"] == 0
    strata = pd.read_csv(run.confounds / "strata.csv")
    assert set(strata["fact"]) == {"width", "height", "aspect", "mean_gray"}
    page = (run.confounds / "README.md").read_text()
    assert "`pneumobench confounds runs/smoke --caliper 1`" in page
    assert str(Path.cwd()) not in page
    before = _bytes(run.confounds)
    assert main(["confounds", "runs/smoke", "--caliper", "1"]) == 0
    assert _bytes(run.confounds) == before
    assert "pairs alike in width" in " ".join(capsys.readouterr().out.split())


def test_other_images_than_the_runs_are_refused(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / "own" / "smoke")  # whose phantoms are drawn anew
    assert main(["confounds", str(tmp_path / "own" / "smoke"), "--caliper", "0"]) == 2
    assert "--caliper 0.0: expected more than 0, such as 0.1" in capsys.readouterr().err
    assert main(["confounds", str(tmp_path / "nowhere")]) == 3
    assert "nowhere" in capsys.readouterr().err
    index = pd.read_csv(run.index_csv)
    for image in index["image_id"]:
        (tmp_path / "other" / image).parent.mkdir(parents=True, exist_ok=True)
    table = tmp_path / "other" / "index.csv"
    table.write_text("image,label\n")
    capsys.readouterr()
    if KERMANY_CPU.is_dir():  # of a clone of the repository
        (tmp_path / "kermany" / "chest_xray" / "train" / "NORMAL").mkdir(parents=True)
        assert main(["confounds", str(KERMANY_CPU), "--data", str(tmp_path / "kermany")]) == 3
        assert "kermany" in capsys.readouterr().err


def test_labels_that_networks_doubt_are_listed_and_drawn(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "runs/smoke", "--gallery", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    table = pd.read_csv(run.labels / "labels.csv")
    assert list(table)[:5] == ["part", "image_id", "given", "suggested", "quality"]
    assert len(table) == sum(len(rows) for rows in answer["rows"].values())
    assert set(table["image_id"]) <= set(pd.read_csv(run.index_csv)["image_id"])
    assert (table["networks"] == len(NETWORKS)).all()
    drawn = {picture.name for picture in run.gallery.glob("labels-*.jpg")}
    assert drawn == {f"labels-{part}.jpg" for part in table["part"].unique()}
    assert "`pneumobench labels runs/smoke`" in (run.labels / "README.md").read_text()
    before = _bytes(run.labels)
    assert main(["labels", "runs/smoke"]) == 0
    assert _bytes(run.labels) == before


def test_the_published_copy_has_the_tables_and_takes_no_picture(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", "runs/smoke", "--gallery"]) == 0
    assert main(["confounds", "runs/smoke", "--caliper", "1"]) == 0
    published = RunFolder(tmp_path / "smoke")
    assert main(["publish", "runs/smoke", "--to", str(published.path)]) == 0
    assert _bytes(published.labels) == _bytes(run.labels)
    assert _bytes(published.confounds) == _bytes(run.confounds)
    assert not published.gallery.exists()
    capsys.readouterr()
    assert main(["labels", str(published.path), "--gallery"]) == 2
    assert "is a published run, into which no image is drawn" in capsys.readouterr().err
    assert main(["labels", str(published.path)]) == 0
    assert (published.labels / "labels.csv").read_bytes() == (run.labels / "labels.csv").read_bytes()


@pytest.mark.long
def test_the_published_labels_are_what_the_command_lists(tmp_path: Path) -> None:
    shutil.copytree(KERMANY_CPU, tmp_path / "leaderboard" / "kermany-cpu")
    shutil.rmtree(tmp_path / "leaderboard" / "kermany-cpu" / "labels")
    assert main(["labels", str(tmp_path / "leaderboard" / "kermany-cpu")]) == 0
    assert _bytes(tmp_path / "leaderboard" / "kermany-cpu" / "labels") == _bytes(KERMANY_CPU / "labels")
