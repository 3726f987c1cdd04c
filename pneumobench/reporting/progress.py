"""Progress of a run with the time left: a live bar in a terminal or notebook, a line a job and a minute in a log."""

from __future__ import annotations

import importlib.util
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pneumobench.records.job_record import JobRecord

LOG_LINE_S: Final = 60.0  # between lines of a log; a shorter epoch has none of its own


def duration(seconds: float) -> str:
    """Return a duration as `42 s`, `3 min 20 s` or `2 h 05 min`.

    >>> duration(200)
    '3 min 20 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def is_live(console: Console) -> bool:
    """Tell whether a bar can move: in a terminal, and in a notebook that has ipywidgets."""
    return console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)


class LogLines:
    """Lines for who reads a log: at most one a minute, so that a long job is seen to go on. A live bar needs none.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console, self.said = console, time.monotonic()

    def say(self, text: str, *, due: bool = False) -> None:
        """Write a line if none was written for a minute, or if it is due anyway."""
        now = time.monotonic()
        if is_live(self.console) or (not due and now - self.said < LOG_LINE_S):
            return
        self.said = now
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveBar:
    """A bar that moves while something goes on, where it can move; gone when it ends.

    Args:
        console: where to write.
        total: how many steps there are.
        unit: what a step is, in the plural.
    """

    def __init__(self, console: Console, *, total: int, unit: str) -> None:
        self.console = console
        self.started, self.log = time.monotonic(), LogLines(console)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not is_live(console),
        )
        self.task: TaskID = self.bar.add_task("preparing", total=max(1, total), left="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()


class RunProgress(LiveBar):
    """Shows which jobs are trained and how long the rest will take, judged by what is done so far.

    The time of an epoch holds its share of the scoring and explaining of its job, once one job is done.

    Args:
        console: where to write.
        jobs: number of jobs to run now.
        epochs: epochs of a job.
    """

    def __init__(self, console: Console, *, jobs: int, epochs: int) -> None:
        super().__init__(console, total=jobs * epochs, unit="epochs")
        self.jobs, self.epochs = jobs, epochs
        self.jobs_done = 0
        self._epochs: dict[tuple[str, int], int] = {}  # done of the jobs that are trained now

    @property
    def epochs_done(self) -> int:
        """Epochs done so far, those of running jobs included."""
        return self.jobs_done * self.epochs + sum(self._epochs.values())

    def time_left(self) -> str:
        """Return the time left, from the mean time of the epochs done so far."""
        done, left = self.epochs_done, self.jobs * self.epochs - self.epochs_done
        if done == 0 or left == 0:
            return ""
        return f"; {duration((time.monotonic() - self.started) / done * left)} left"

    def job_started(self, architecture: str, fold: int) -> None:
        """Show the job that begins."""
        self._epochs[architecture, fold] = 0
        self._show(f"{architecture} fold {fold}")

    def epoch_done(self, architecture: str, fold: int, epoch: int, losses: dict[str, float]) -> None:
        """Count an epoch of a job and show its tune AUC; after the last one the network is explained."""
        self._epochs[architecture, fold] = epoch + 1
        label, found = f"{architecture} fold {fold}", f"tune AUC {losses['tune_auc']:.3f}"
        self.log.say(f"{label} epoch {epoch + 1}/{self.epochs}: {found}{self.time_left()}")
        self._show(f"{label}  {found if epoch + 1 < self.epochs else 'explaining'}")

    def waiting(self) -> None:
        """Show that the last jobs are another process's."""
        self._show("waiting for jobs of another process")

    def job_done(self, record: JobRecord) -> None:
        """Write the job's line."""
        self._epochs.pop((record.architecture, record.fold), None)
        self.jobs_done += 1
        self._show("")
        head = f"[{self.jobs_done:>{len(str(self.jobs))}}/{self.jobs}] {record.architecture} fold {record.fold}"
        if record.completed and record.cost is not None:
            seconds = duration(record.cost.training_seconds or 0)
            text = f"{head}: {seconds}, {_outcome(record)}{self.time_left()}"
        else:
            text = f"{head}: {record.status}: {record.reason}"
        self.log.said = time.monotonic()
        self.console.print(text, highlight=False, markup=False, style=None if record.completed else "red")

    def _show(self, text: str) -> None:
        self.bar.update(
            self.task, completed=self.epochs_done, description=text, left=self.time_left().removeprefix("; ")
        )


def _outcome(record: JobRecord) -> str:
    """Say how a training ended: its best epoch, or what was chosen for a head on frozen features."""
    training = record.training
    if "inverse_strength" in training:
        return f"frozen features, C {training['inverse_strength']}"
    if "neighbours" in training:
        return f"frozen features, {training['neighbours']} neighbours"
    return f"best epoch {int(training['best_epoch'] or 0) + 1}/{training['epochs_run']}"
