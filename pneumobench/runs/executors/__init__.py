"""Who runs the jobs of a run: this process, one after the other, or several processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pneumobench.runs.context import Bench
from pneumobench.runs.executors.one_job import Job

Started = Callable[[Job], None]
Told = Callable[[Job, int, dict[str, float]], None]  # job, epoch from 0, its losses


class Executor(Protocol):
    """Runs jobs, each to its record. A job that another process of somebody's works on is passed over."""

    def run_jobs(
        self, bench: Bench, jobs: Sequence[Job], *, started: Callable[[Job], None], told: Told
    ) -> Iterator[Job]:
        """Run jobs and yield each as it ends or is passed over.

        Args:
            bench: data and settings of the run.
            jobs: (architecture, fold) pairs.
            started: called when a job begins.
            told: called after every epoch of a job.
        """
