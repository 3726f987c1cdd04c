"""What an experiment tracker is told while a suite runs. The default one listens to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol, TypeAlias

from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import Suite

History: TypeAlias = Callable[[int, dict[str, float]], None]  # an epoch from 0, and its row of history.csv


class Tracker(Protocol):
    """Follows jobs. Nothing that goes wrong in here may stop a training."""

    def job(self, folder: RunFolder, suite: Suite, architecture: str, fold: int) -> AbstractContextManager[History]:
        """Open the tracking of one job; gives what is called with every epoch, those of earlier starts too."""

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Take the results of the open job."""

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Take the leaderboard of the run."""

    def close(self) -> None:
        """Wait until all that was told has arrived, but not for long."""


def nothing(epoch: int, row: dict[str, float]) -> None:
    """Listen to no epoch."""


class NoTracking:
    """Tracks nothing; the CSV history is written all the same."""

    def job(self, folder: RunFolder, suite: Suite, architecture: str, fold: int) -> AbstractContextManager[History]:
        """Give what listens to nothing."""
        del folder, suite, architecture, fold
        return nullcontext(nothing)

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Do nothing."""

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class SeveralTrackers:
    """Tells several trackers the same.

    Args:
        trackers: those that follow.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = tuple(trackers)

    @contextmanager
    def job(self, folder: RunFolder, suite: Suite, architecture: str, fold: int) -> Iterator[History]:
        """Open the job with each."""
        with ExitStack() as stack:
            told = [stack.enter_context(tracker.job(folder, suite, architecture, fold)) for tracker in self.trackers]

            def tell(epoch: int, row: dict[str, float]) -> None:
                for listener in told:
                    listener(epoch, row)

            yield tell

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Hand the results on."""
        for tracker in self.trackers:
            tracker.finished(folder, record)

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Hand the leaderboard on."""
        for tracker in self.trackers:
            tracker.summary(folder, suite)

    def close(self) -> None:
        """Close each."""
        for tracker in self.trackers:
            tracker.close()
