"""Which experiment trackers follow a suite, as its `logging` says."""

from __future__ import annotations

from pathlib import Path

from pneumobench.reporting.tracking import NoTracking, SeveralTrackers, Tracker
from pneumobench.suite.spec import Suite


def tracker_for(suite: Suite, runs_folder: Path) -> Tracker:
    """Return what follows a suite; files go into `wandb` and `tensorboard` below `runs_folder`."""
    found: list[Tracker] = []
    if suite.logging.wandb != "off":
        from pneumobench.reporting.wandb_tracking import WandbTracking

        project = suite.logging.wandb_project
        found.append(WandbTracking(mode=suite.logging.wandb, runs_folder=runs_folder, project=project))
    if suite.logging.tensorboard:
        from pneumobench.reporting.tensorboard_tracking import TensorBoardTracking

        found.append(TensorBoardTracking(runs_folder))
    return found[0] if len(found) == 1 else SeveralTrackers(found) if found else NoTracking()
