"""A finished run to Weights & Biases, from its records: one that was made without it, or that it lost sight of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pneumobench.errors import SettingsError
from pneumobench.records.loaded_run import gather
from pneumobench.reporting.wandb_layout import save_layout
from pneumobench.reporting.wandb_results import send_history, send_leaderboard, send_results
from pneumobench.reporting.wandb_runs import LEADERBOARD, NotTrackedError, WandbRuns, job_run, leaderboard_run
from pneumobench.reporting.wandb_search import is_search, read_trials_table, searched_settings, send_trials
from pneumobench.suite.spec import Suite


def publish_to_wandb(
    path: Path,
    *,
    mode: Literal["offline", "online"],
    project: str | None = None,
    files: Path | None = None,
    layout: bool = False,
    told: Callable[[str], None] | None = None,
) -> WandbRuns:
    """Send every completed job of a run and its leaderboard, or every trial of a search.

    Again and again: the same W&B runs are meant.

    Args:
        path: folder of the run or the search.
        mode: `offline` writes files only, for `wandb sync`.
        project: W&B project; None = that of the suite, for a search the default.
        files: folder in whose `wandb` the files go; None = the folder that holds the run.
        layout: save a workspace and a report too.
        told: called with the name of each W&B run that was sent, and the address of each thing that was saved.

    Raises:
        RecordError: the folder is not one whole run.
        SettingsError: W&B cannot be used here, or does not answer.
    """
    if layout and mode == "offline":
        raise SettingsError("--layout: a workspace and a report are kept by W&B itself; leave out --offline.")
    what = _Search(path) if is_search(path) else _Run(path)
    runs = WandbRuns(mode=mode, runs_folder=files or path.resolve().parent, project=project or what.project)
    tell = told or _nobody
    try:
        runs.prepare()
        try:
            runs.log_in()
            for name in what.send(runs):
                tell(name)
        except runs.package.Error as error:  # no answer, no right, no room
            raise NotTrackedError(" ".join(str(error).split())) from error
    except NotTrackedError as error:
        raise SettingsError(f"{path}: not sent to Weights & Biases: {error}.") from error
    if layout:
        for address in save_layout(path, runs, group=what.group, settings=what.settings):
            tell(address)
    return runs


def _nobody(name: str) -> None:
    """Tell nobody."""


class _Run:
    """The jobs of a run and its leaderboard."""

    settings: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self.found = gather(path)
        self.project, self.group = self.found.suite.logging.wandb_project, self.found.suite.name
        self.jobs = [record for record in self.found.records if record.completed and not record.is_control]
        if not self.jobs:
            raise SettingsError(f"{path}: no network has completed a fold, so there is nothing to send.")

    def send(self, runs: WandbRuns) -> Iterator[str]:
        """Send one W&B run after the other and give the name of each."""
        folder, suite, wandb = self.found.folder, self.found.suite, runs.package
        for record in self.jobs:
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


class _Search:
    """The finished trials of a search."""

    project: str = Suite().logging.wandb_project

    def __init__(self, path: Path) -> None:
        self.path, self.group = path, path.resolve().name
        self.table = read_trials_table(path)
        self.settings: Sequence[str] = searched_settings(self.table)
        if self.table.empty:
            raise SettingsError(f"{path}: no trial is finished, so there is nothing to send.")

    def send(self, runs: WandbRuns) -> Iterator[str]:
        """Send one W&B run after the other and give the name of each."""
        return send_trials(runs, self.path, self.table)
