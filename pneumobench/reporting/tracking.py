"""What an experiment tracker is told while a suite runs. The default one listens to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import Suite


class Tracker(Protocol):
    """Follows jobs. Nothing that goes wrong in here may stop a training."""

    def job(
        self, suite: Suite, architecture: str, fold: int
    ) -> AbstractContextManager[tuple[Sequence[Any], Sequence[Any]]]:
        """Open the tracking of one job; gives the Lightning loggers and callbacks to train with."""

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Take the final metrics and heat maps of the open job."""

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Take the leaderboard of the run."""


class NoTracking:
    """Tracks nothing; the CSV history is written all the same."""

    def job(
        self, suite: Suite, architecture: str, fold: int
    ) -> AbstractContextManager[tuple[Sequence[Any], Sequence[Any]]]:
        """Give no loggers and no callbacks."""
        del suite, architecture, fold
        return nullcontext(((), ()))

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Do nothing."""

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Do nothing."""
