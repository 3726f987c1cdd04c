"""The trials of a search for settings: what was tried, what came of it, the best first, and the table on disk."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pneumobench.files import write_text

TrialState = Literal["completed", "pruned", "failed", "diverged", "running", "waiting"]
TRIALS: Final = "trials.csv"
TRIALS_FIXED: Final = ("number", "state", "value", "epochs", "seconds", "reason")  # the others are settings
FINISHED: Final = ("completed", "pruned", "failed", "diverged")


@dataclass(frozen=True, kw_only=True)
class SearchTrial:
    """One trial of a search.

    Args:
        number: its place in the search, from 0; a trial that was interrupted and run again keeps it.
        state: what came of it.
        values: value of each setting of the space that was tried.
        value: mean of the monitored value at the best epoch of each fold, None unless completed.
        epochs: epochs trained, over all folds.
        seconds: training time; of a trial that was not completed, since its last start.
        reason: why it failed or was pruned.
    """

    number: int
    state: TrialState
    values: dict[str, Any] = field(default_factory=dict)
    value: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Whether it counts as one of the trials asked for."""
        return self.state in FINISHED


def best_first(trials: Sequence[SearchTrial], *, minimise: bool) -> list[SearchTrial]:
    """Return the completed trials, the best first; of equal ones the earlier."""
    completed = [trial for trial in trials if trial.value is not None]
    return sorted(completed, key=lambda trial: ((trial.value or 0.0) * (1 if minimise else -1), trial.number))


def written_value(value: Any) -> str:
    """Return a value of a setting as short text: numbers with four digits, lists as in a suite.

    >>> written_value(("dropout 0.3", "relu")), written_value(0.000123456), written_value(None)
    ('[dropout 0.3, relu]', '0.0001235', 'null')
    """
    if isinstance(value, tuple | list):
        return f"[{', '.join(written_value(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value).strip('"') if value is None or isinstance(value, bool) else str(value)


def write_trials(path: Path, trials: Sequence[SearchTrial], settings: Sequence[str]) -> None:
    """Write the finished trials by number: one row a trial, one column a setting, with all digits."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["number", "state", "value", *settings, "epochs", "seconds", "reason"])
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.finished:
            tried = [_exact(trial.values[key]) if key in trial.values else "" for key in settings]
            value = "" if trial.value is None else repr(trial.value)
            seconds = "" if trial.seconds is None else f"{trial.seconds:.2f}"
            table.writerow([trial.number, trial.state, value, *tried, trial.epochs, seconds, trial.reason])
    write_text(path, buffer.getvalue())


def _exact(value: Any) -> str:
    return repr(value) if isinstance(value, float) else written_value(value)
