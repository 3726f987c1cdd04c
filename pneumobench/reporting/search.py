"""A search for settings in the terminal: progress, and the table of its best trials."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumobench.records.search_trials import SearchTrial, best_first, written_value
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.progress import LiveBar, duration
from pneumobench.texts import counted

SHOWN_TRIALS = 10


class SearchProgress(LiveBar):
    """Shows which trial is trained: a live bar in a terminal, one line a trial.

    Args:
        console: where to write.
        trials: finished trials that are wanted in all.
        monitor: what trials are compared by.
    """

    def __init__(self, console: Console, *, trials: int, monitor: str) -> None:
        super().__init__(console, total=trials, unit="trials")
        self.trials, self.monitor, self.label, self.done_here = trials, monitor, "", 0

    def trial_started(self, number: int, fold: int) -> None:
        """Show the trial that is trained."""
        self.label = f"trial {number} fold {fold}"
        self.bar.update(self.task, description=self.label)

    def epoch_done(self, epoch: int, losses: dict[str, float]) -> None:
        """Show an epoch's monitored value."""
        text = f"{self.label}  epoch {epoch + 1}  {self.monitor} {losses[self.monitor]:.3f}"
        self.bar.update(self.task, description=text)
        self.log.say(text)

    def waiting(self) -> None:
        """Show that the last trials are another process's."""
        self.bar.update(self.task, description="waiting for trials of other processes")

    def trial_done(self, trial: SearchTrial, *, finished: int, best: SearchTrial | None) -> None:
        """Write the trial's line."""
        self.done_here += 1
        self.bar.update(self.task, completed=finished)
        tried = " ".join(f"{key.split('.', 1)[1]}={written_value(value)}" for key, value in trial.values.items())
        head = f"[{finished:>{len(str(self.trials))}}/{self.trials}] trial {trial.number}"
        if trial.value is not None:
            result = f"{self.monitor} {trial.value:.4f}"
            result += " (best)" if best is not None and best.number == trial.number else ""
        elif trial.state == "pruned":
            result = f"pruned: {trial.reason}"
        else:
            result = f"{trial.state}: {trial.reason}"
        left = (time.monotonic() - self.started) / self.done_here * (self.trials - finished)
        text = f"{head}: {result}; {tried}" + (f"; {duration(left)} left" if finished < self.trials else "")
        style = "red" if trial.state in ("failed", "diverged") else None
        self.console.print(text, highlight=False, markup=False, soft_wrap=True, style=style)


def trials_table(trials: Sequence[SearchTrial], settings: Sequence[str], *, monitor: str, title: str) -> Table:
    """Return the best trials as a table, with how many were pruned and failed."""
    states = [trial.state for trial in trials]
    completed, failed = states.count("completed"), states.count("failed") + states.count("diverged")
    table = console_table(
        title,
        (
            f"{counted(completed, 'trial')} completed, {states.count('pruned')} pruned, {failed} failed. "
            "Chosen on validation parts; no test image was scored."
        ),
    )
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column(monitor, justify="right", no_wrap=True)
    for setting in settings:
        table.add_column(escape(setting.rsplit(".", 1)[-1].replace("_", " ")))
    table.add_column("epochs", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for trial in best_first(trials, minimise=monitor == "tune_loss")[:SHOWN_TRIALS]:
        tried = [Name(written_value(trial.values.get(key))) for key in settings]
        table.add_row(str(trial.number), f"{trial.value:.4f}", *tried, str(trial.epochs), duration(trial.seconds or 0))
    return table


def importance_words(importance: Mapping[str, float]) -> str:
    """Return which settings mattered, the most important first; empty without any."""
    if not importance:
        return ""
    shares = sorted(importance.items(), key=lambda item: (-item[1], item[0]))
    return "share of the variation among good trials (PED-ANOVA): " + ", ".join(
        f"{key} {share:.0%}" for key, share in shares
    )
