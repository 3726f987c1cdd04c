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
from pneumobench.records.locks import is_claimed
from pneumobench.reporting.progress import RunProgress
from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import Bench
from pneumobench.runs.execution import AUTO, Execution
from pneumobench.runs.executors import Executor
from pneumobench.runs.executors.one_job import Job, has_ended
from pneumobench.runs.executors.processes import ProcessExecutor
from pneumobench.runs.executors.ray_tasks import GPU_ACCELERATORS, RayExecutor, require_ray
from pneumobench.runs.executors.serial import SerialExecutor
from pneumobench.runs.executors.slurm_array import SlurmExecutor
from pneumobench.suite.spec import Suite
from pneumobench.texts import counted
from pneumobench.training.devices import device_of

THREADS_OF_A_JOB: Final = 2  # of those that `--jobs auto` runs without a GPU
WAIT_S: Final = 0.5  # between looks at jobs of other processes


def executor_for(
    execution: Execution, suite: Suite, runs_folder: Path, *, tracker: Tracker, console: Console
) -> Executor:
    """Return who runs the jobs of a suite.

    Args:
        execution: who is asked for, and how many jobs at the same time.
        suite: the settings.
        runs_folder: folder of runs.
        tracker: follows jobs of this process; other processes make their own.
        console: where this process says what it cannot explain.

    Raises:
        SettingsError: several jobs of several devices each, more jobs than devices have room for, or what an executor
            needs is not there.
    """
    spec, jobs = suite.training, None if execution.wanted == AUTO else int(execution.wanted)
    if execution.executor == "slurm":
        here = jobs or automatic_jobs(0, None)
        on_this_machine = execution.slurm.get("cluster") == "local"
        slurm = SlurmExecutor(
            settings={key: str(value) for key, value in execution.slurm.items()},
            jobs=here if on_this_machine else jobs, threads=_threads(here),
            runs_folder=runs_folder, console=console,
        )  # fmt: skip
        slurm.check()
        return slurm
    kind = device_of(spec).type
    devices = torch.cuda.device_count() if kind == "cuda" else int(kind != "cpu")
    elsewhere = execution.ray_address is not None
    if execution.jobs_per_device is not None and not (devices or elsewhere):
        raise SettingsError(f"--jobs-per-device {execution.jobs_per_device}: jobs use no GPU here; leave it out.")
    if not elsewhere:
        jobs = jobs or automatic_jobs(devices, execution.jobs_per_device)
        room = devices * (execution.jobs_per_device or jobs)
        if execution.jobs_per_device and jobs > room:
            raise SettingsError(
                f"--jobs {jobs} --jobs-per-device {execution.jobs_per_device}: {counted(devices, 'device')} can have "
                f"{counted(room, 'job')}; leave --jobs out, or ask for that many."
            )
    if spec.devices > 1 and (execution.executor == "ray" or jobs != 1):
        asked = f"--jobs {execution.jobs or AUTO}" if execution.executor == "processes" else "--executor ray"
        raise SettingsError(
            f"{asked} with training.devices {spec.devices}: jobs side by side use one device each; leave one of the "
            "two out."
        )
    if execution.executor == "ray":
        require_ray()
        return RayExecutor(
            jobs=jobs, jobs_per_device=execution.jobs_per_device or _sharing(jobs, devices, elsewhere),
            address=execution.ray_address, devices=devices, gpus=spec.accelerator in GPU_ACCELERATORS,
            runs_folder=runs_folder,
        )  # fmt: skip
    assert jobs is not None
    if execution.executor == "serial" or (execution.name is None and jobs == 1):
        return SerialExecutor(tracker=tracker, console=console)
    return ProcessExecutor(
        processes=jobs, threads=_threads(jobs), devices=devices if kind == "cuda" else 0,
        jobs_per_device=execution.jobs_per_device, runs_folder=runs_folder,
    )  # fmt: skip


def automatic_jobs(devices: int, jobs_per_device: int | None) -> int:
    """Return how many jobs at the same time use a machine well.

    Without a GPU each job has two threads, however many jobs are left: the last digits of a training depend on the
    number of its threads, and a run that goes on should compute as it began.
    """
    return devices * (jobs_per_device or 1) if devices else max(1, torch.get_num_threads() // THREADS_OF_A_JOB)


def _threads(jobs: int) -> int:
    return max(1, torch.get_num_threads() // jobs)


def _sharing(jobs: int | None, devices: int, elsewhere: bool) -> int:
    """Return how many jobs share a GPU of this machine, so that as many as are asked for have a place."""
    return 1 if elsewhere or jobs is None or devices == 0 else max(1, -(-jobs // devices))


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
        if free := [job for job in left if not is_claimed(bench.folder.job_folder(*job))]:
            for _ in executor.run_jobs(
                bench,
                free,
                started=lambda job: progress.job_started(*job),
                told=lambda job, epoch, losses: progress.epoch_done(*job, epoch, losses),
            ):
                show_ended()
        show_ended()
        left = [job for job in left if job not in known]
        if left:  # another process is at them; one that is killed leaves its job to this one
            progress.waiting()
            time.sleep(WAIT_S)
