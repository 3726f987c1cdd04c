"""What the scores of a finished run are worth: confounds by acquisition, and labels that networks doubt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.audited import image_root
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
    names = sorted(NETWORKS)
    assert tested.loc[names, "all_images"].tolist() == pytest.approx(board.loc[names, "auc"].tolist(), abs=1e-6)
    ends = tested.loc[names, ["matched_low", "matched", "matched_high"]].to_numpy(float)
    assert (np.diff(ends, axis=1) >= 0).all()
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


def test_what_is_missing_is_said_before_anything_is_computed(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["confounds", "runs/smoke", "--caliper", "0"]) == 2
    assert "--caliper 0.0: expected more than 0, such as 0.1" in capsys.readouterr().err
    assert main(["confounds", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: found no suite.yaml; expected the folder of a run" in capsys.readouterr().err
    assert main(["confounds", str(KERMANY_CPU), "--data", str(tmp_path / "nothing")]) == 3
    assert "nothing: no such data folder" in capsys.readouterr().err
    root = image_root(run.path, None)
    image = root / str(pd.read_csv(run.index_csv)["image_id"].iloc[0])
    before = image.read_bytes()
    try:
        monkeypatch.setattr("pneumobench.runs.confounds.image_root", lambda *_: root)  # phantoms would be drawn again
        image.write_bytes(before + b"more")
        assert main(["confounds", "runs/smoke"]) == 3
        assert "is not the image of the run (its content differs)" in capsys.readouterr().err
        image.unlink()
        assert main(["confounds", "runs/smoke"]) == 3
        assert "no such image; name the folder of the run's images with --data" in capsys.readouterr().err
    finally:
        image.write_bytes(before)
    assert not run.confounds.exists()


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
