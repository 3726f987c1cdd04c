"""One job after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import Bench
from pneumobench.runs.executors import Told
from pneumobench.runs.executors.one_job import Job, do_job


@dataclass(frozen=True, kw_only=True)
class SerialExecutor:
    """Runs jobs here.

    Args:
        tracker: follows the jobs.
        console: where what cannot be explained is said.
    """

    tracker: Tracker
    console: Console

    def run_jobs(
        self, bench: Bench, jobs: Sequence[Job], *, started: Callable[[Job], None], told: Told
    ) -> Iterator[Job]:
        """Run jobs in their order; see `Executor`."""
        for job in jobs:
            started(job)
            do_job(bench, job, self.tracker, lambda epoch, losses, job=job: told(job, epoch, losses), self.console)  # type: ignore[misc]
            yield job
