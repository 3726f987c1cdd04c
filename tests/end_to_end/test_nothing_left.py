"""A run of which nothing is left is told from one in which something is missing, changed or asked anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.nothing_left import finished_run
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

NAMES = "[test_resnet, test_vit, ten_lines, too_large, crashes, diverges]"


def asked(*options: str) -> Suite:
    """Return the suite of the shared smoke run, with further options."""
    plugins = ["--architectures.plugins", "[ten.py, broken.py]"]
    return load_suite("smoke", ["--architectures.names", NAMES, *plugins, *options])


@pytest.fixture
def copy(smoke: tuple[Path, CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return a copy of the smoke run, whose plugins lie in the working folder."""
    for item in ("ten.py", "broken.py"):
        shutil.copy2(smoke[0] / item, tmp_path / item)
    shutil.copytree(smoke[0] / "runs/.cache", tmp_path / "runs/.cache")
    shutil.copytree(smoke[0] / "runs/smoke", tmp_path / "runs/smoke")
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path("runs/smoke"))


def test_nothing_is_left_of_a_finished_run_or_of_some_of_its_folds(copy: RunFolder) -> None:
    done = finished_run(asked(), Path("runs"))
    assert done is not None
    assert len(done.records) == 12
    assert sum(record.completed for record in done.records) == 6
    narrow = finished_run(asked("--architectures.names", "[test_vit]"), Path("runs"), folds=[1])
    assert narrow is not None
    assert [(record.architecture, record.fold) for record in narrow.records] == [("test_vit", 1)]
    assert finished_run(asked(), Path("runs"), retry_failed=True) is None


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def _without_weights(run: RunFolder) -> None:
    for path in run.path.glob("*/*/weights.safetensors"):
        path.unlink()


CHANGES: dict[str, Callable[[RunFolder], object]] = {
    "a record is gone": lambda run: run.record_path("test_vit", 1).unlink(),
    "a control is gone": lambda run: run.record_path("control-majority", 0).unlink(),
    "an explanation is gone": lambda run: (
        run.explanations_folder("test_resnet", 0).joinpath("explanation.json").unlink()
    ),
    "weights are gone": lambda run: run.weights_path("test_resnet", 0).unlink(),
    "all weights are gone": lambda run: _without_weights(run),
    "weights were changed": lambda run: _change(run.weights_path("test_resnet", 0)),
    "predictions were changed": lambda run: _change(run.predictions_path("test_resnet", 0)),
    "the index was changed": lambda run: _change(run.index_csv),
    "the page is gone": lambda run: (run.leaderboard / "index.html").unlink(),
    "the page is empty": lambda run: (run.leaderboard / "index.html").write_text(""),
    "the page is cut": lambda run: (run.leaderboard / "index.html").write_text("<!doctype html>"),
    "a table is gone": lambda run: (run.leaderboard / "leaderboard.csv").unlink(),
    "an empty table": lambda run: (run.leaderboard / "README.md").write_text(""),
    "the page is older than what it shows": lambda run: os.utime(run.leaderboard / "index.html", (0, 0)),
    "the manifest is gone": lambda run: run.manifest_json.unlink(),
    "a plugin was changed": lambda run: _change(Path("ten.py")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_missing_or_changed_is_left_to_the_run_itself(copy: RunFolder, what: str) -> None:
    CHANGES[what](copy)
    assert finished_run(asked(), Path("runs")) is None


@pytest.mark.parametrize(
    "options",
    [
        ("--training.epochs", "2"),
        ("--name", "other"),
        ("--architectures.names", "[test_resnet, test_swin]"),
        ("--explanation.methods", "[gradcam, occlusion]"),
        ("--controls.names", "[majority, thumbnail]"),
        ("--logging.wandb", "offline"),
        ("--data.subset_images", "30"),
    ],
)
def test_whoever_asks_for_something_else_is_not_told_that_nothing_is_left(
    copy: RunFolder, options: tuple[str, ...]
) -> None:
    assert finished_run(asked(*options), Path("runs")) is None
