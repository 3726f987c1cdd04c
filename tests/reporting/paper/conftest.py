"""A finished run with training curves, and its figures, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.paper.folder import PaperFiles, write_paper_files
from tests.leaderboard.conftest import fake_run_template, run

__all__ = ["fake_run_template", "run"]

HISTORY = "epoch,learning_rate,train_loss,tune_loss,tune_auc\n" + "".join(
    f"{epoch},0.001,{0.6 / (epoch + 1):.6f},{0.5 / (epoch + 1):.6f},{1 - 0.2 / (epoch + 1):.6f}\n" for epoch in range(4)
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, fake_run_template: Path) -> RunFolder:
    """Return the synthetic run with a history.csv in each finished job of one network."""
    folder = RunFolder(shutil.copytree(fake_run_template, tmp_path_factory.mktemp("paper") / "fake"))
    for fold in range(5):
        folder.history_path("resnet18", fold).write_text(HISTORY)
    return folder


@pytest.fixture(scope="session")
def made(trained: RunFolder) -> PaperFiles:
    """Return the figures and tables of that run."""
    return write_paper_files(trained.path)


@pytest.fixture(scope="session")
def board(made: PaperFiles) -> Leaderboard:
    """Return its leaderboard."""
    return made.board
