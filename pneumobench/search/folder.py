"""Where the files of a search lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pneumobench.records.search_trials import TRIALS


@dataclass(frozen=True)
class SearchFolder:
    """The folder of one search, `runs/SUITE-search`: the only place that knows its layout."""

    path: Path

    @property
    def database(self) -> Path:
        """The study, unless another storage is named."""
        return self.path / "study.db"

    @property
    def best_suite(self) -> Path:
        """The suite with the winning values."""
        return self.path / "best.yaml"

    @property
    def trials_csv(self) -> Path:
        """One row a finished trial, written again after each."""
        return self.path / TRIALS

    def trial(self, number: int) -> Path:
        """The folder of one trial: a folder for each fold, with its curves."""
        return self.path / "trials" / f"{number:04d}"
