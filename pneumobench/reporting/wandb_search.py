"""The trials of a search for settings as Weights & Biases runs: what was tried as configuration, what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pneumobench.errors import RecordError
from pneumobench.records.search_trials import TRIALS, TRIALS_FIXED
from pneumobench.reporting.wandb_runs import TrackedRun, WandbRuns, run_id

TRIAL: Final = "trial"
TRIAL_VALUE: Final = "value"
TRIAL_NUMBERS: Final = (TRIAL_VALUE, "epochs", "seconds")


def is_search(path: Path) -> bool:
    """Tell whether a folder is that of a search for settings."""
    return (path / TRIALS).is_file()


def read_trials_table(path: Path) -> pd.DataFrame:
    """Return the finished trials of a search, one a row, as trials.csv has them.

    Raises:
        RecordError: the file is no such table.
    """
    try:
        table = pd.read_csv(path / TRIALS)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path / TRIALS}: found no table of trials ({error}); run the search again.") from error
    missing = [column for column in TRIALS_FIXED if column not in table]
    if missing:
        raise RecordError(f"{path / TRIALS}: found no column {missing[0]!r}, expected {', '.join(TRIALS_FIXED)}.")
    return table


def searched_settings(table: pd.DataFrame) -> list[str]:
    """Return the settings that a search tried."""
    return [str(column) for column in table.columns if column not in TRIALS_FIXED]


def send_trials(runs: WandbRuns, path: Path, table: pd.DataFrame) -> Iterator[str]:
    """Send one run after the other and give the name of each; the same ones each time."""
    settings = searched_settings(table)
    for row in table.to_dict("records"):
        wanted = TrackedRun(
            id=run_id(path, TRIAL, int(row["number"])),
            name=f"{TRIAL} {int(row['number'])}",
            job_type=TRIAL,
            group=path.resolve().name,
            tags=(str(row["state"]),),
            config={key: _plain(row[key]) for key in settings},
        )
        run = runs.open(wanted)
        run.summary.update({key: float(row[key]) for key in TRIAL_NUMBERS if pd.notna(row[key])})
        run.summary.update({"state": str(row["state"])})
        runs.close(run, exit_code=0)
        yield wanted.name


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value
