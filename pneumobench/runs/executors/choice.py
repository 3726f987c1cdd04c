"""Which executor runs the jobs, and the loop that ends when every job has its record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from pneumobench.errors import SettingsError
from pneumobench.records.job_record import read_record
from pneumobench.reporting.progress import RunProgress
from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import Bench
from pneumobench.runs.executors import Executor
from pneumobench.runs.executors.one_job import Job, has_ended
from pneumobench.runs.executors.processes import ProcessExecutor
from pneumobench.runs.executors.serial import SerialExecutor
from pneumobench.suite.spec import Suite
from pneumobench.training.devices import device_of

WAIT_S: Final = 0.5  # between looks at jobs of other processes


def executor_for(suite: Suite, side_by_side: int, runs_folder: Path, *, tracker: Tracker, console: Console) -> Executor:
    """Return who runs the jobs of a suite.

    Args:
        suite: the settings.
        side_by_side: how many jobs at the same time.
        runs_folder: folder of runs.
        tracker: follows jobs of this process; other processes make their own.
        console: where this process says what it cannot explain.

    Raises:
        SettingsError: fewer than one job, or several jobs of several devices each.
    """
    if side_by_side < 1:
        raise SettingsError(f"--jobs {side_by_side}: expected 1 or more.")
    if side_by_side == 1:
        return SerialExecutor(tracker=tracker, console=console)
    if suite.training.devices > 1:
        raise SettingsError(
            f"--jobs {side_by_side} with training.devices {suite.training.devices}: jobs side by side use one device "
            "each; leave one of the two out."
        )
    devices = torch.cuda.device_count() if device_of(suite.training).type == "cuda" else 0
    threads = max(1, torch.get_num_threads() // side_by_side)
    return ProcessExecutor(processes=side_by_side, threads=threads, devices=devices, runs_folder=runs_folder)


def run_jobs(executor: Executor, bench: Bench, jobs: Sequence[Job], progress: RunProgress) -> None:
    """Run jobs until each has its record, whoever wrote it: those of other processes are waited for.

    Args:
        executor: runs what is free.
        bench: data and settings of the run.
        jobs: (architecture, fold) pairs without a record.
        progress: shows them.
    """
    left, known = list(jobs), set[Job]()

    def show_ended() -> None:
        for job in left:
            if job not in known and has_ended(bench, job):
                known.add(job)
                progress.job_done(read_record(bench.folder.record_path(*job)))

    while left:
        for _ in executor.run_jobs(
            bench,
            left,
            started=lambda job: progress.job_started(*job),
            told=lambda job, epoch, losses: progress.epoch_done(*job, epoch, losses),
        ):
            show_ended()
        show_ended()
        left = [job for job in left if job not in known]
        if left:  # another process is at them; one that is killed leaves its job to this one
            progress.waiting()
            time.sleep(WAIT_S)
