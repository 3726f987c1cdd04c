"""Several runs of one suite that differ in one setting, and the table of what it changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import RenderableType
from rich.table import Table

from pneumobench.runs.finished import Run
from pneumobench.runs.results import Shown


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Comparison(Shown):
    """Scores of the same networks under several values of a setting.

    Args:
        runs: one for each value.
        effects: a row for each architecture and value: scores, and their differences from the value compared with.
        page: the table with its meaning, as a file.
        csv: the numbers, beside it: areas under the curve in [0, 1] and their differences.
        shown: the table as a terminal prints it.
    """

    runs: tuple[Run, ...]
    effects: tuple[Any, ...]
    page: Path
    csv: Path
    shown: Table

    def tables(self) -> Sequence[RenderableType]:
        """Return the table."""
        return [self.shown]

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers."""
        return pd.read_csv(self.csv)
