"""A finished run to Weights & Biases, from its records: one that was made without it, or that it lost sight of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pneumobench.errors import SettingsError
from pneumobench.records.job_record import JobRecord
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.reporting.wandb_results import send_history, send_leaderboard, send_results
from pneumobench.reporting.wandb_runs import LEADERBOARD, NotTrackedError, WandbRuns, job_run, leaderboard_run


def publish_to_wandb(
    path: Path,
    *,
    mode: Literal["offline", "online"],
    project: str | None = None,
    files: Path | None = None,
    told: Callable[[str], None] | None = None,
) -> WandbRuns:
    """Send every completed job of a run and its leaderboard; again and again, the same W&B runs are meant.

    Args:
        path: folder of the run.
        mode: `offline` writes files only, for `wandb sync`.
        project: W&B project; None = that of the suite.
        files: folder in whose `wandb` the files go; None = the folder that holds the run.
        told: called with the name of each W&B run that was sent.

    Raises:
        RecordError: the folder is not one whole run.
        SettingsError: W&B cannot be used here, or does not answer.
    """
    found = gather(path)
    runs = WandbRuns(
        mode=mode, runs_folder=files or path.resolve().parent, project=project or found.suite.logging.wandb_project
    )
    jobs = [record for record in found.records if record.completed and not record.is_control]
    if not jobs:
        raise SettingsError(f"{path}: no network has completed a fold, so there is nothing to send.")
    try:
        runs.prepare()
        for name in _sent(runs, found, jobs):
            if told is not None:
                told(name)
    except NotTrackedError as error:
        raise SettingsError(f"{path}: not sent to Weights & Biases: {error}.") from error
    return runs


def _sent(runs: WandbRuns, found: GatheredRun, jobs: Sequence[JobRecord]) -> Iterator[str]:
    """Send one run after the other and give the name of each."""
    folder, suite, wandb = found.folder, found.suite, runs.package
    try:
        runs.log_in()
        for record in jobs:
            wanted = job_run(folder, suite, record.architecture, record.fold)
            run = runs.open(wanted)
            send_history(run, folder.history_path(record.architecture, record.fold))
            send_results(wandb, run, folder, suite, record)
            runs.close(run, exit_code=0)
            yield wanted.name
        board = folder.leaderboard / "leaderboard.csv"
        if board.is_file():
            run = runs.open(leaderboard_run(folder, suite))
            send_leaderboard(wandb, run, board)
            runs.close(run, exit_code=0)
            yield LEADERBOARD
    except wandb.Error as error:  # no answer, no right, no room
        raise NotTrackedError(" ".join(str(error).split())) from error
