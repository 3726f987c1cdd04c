"""Several jobs side by side, each in a process of its own: memory, threads and settings of one never reach another."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from pneumobench.errors import NoRoomError
from pneumobench.runs.context import Bench
from pneumobench.runs.ending import end_when_asked, tell_dead_loaders_once
from pneumobench.runs.executors import Started, Told
from pneumobench.runs.executors.one_job import Job, has_ended, write_dead
from pneumobench.runs.executors.worker import ATTEMPTS, POLL_S, send_mapped_files_by_name, work

JOB_DEADLINE_S: Final = 1.5  # for a job that is asked to end, before that of the run
NO_ROOM: Final = 75  # exit code of a job that found the disk full, and said so
# imported once, by a process that all jobs are forked from: a job begins at once
JOB_PROCESSES: Final = multiprocessing.get_context("forkserver")
JOB_PROCESSES.set_forkserver_preload(["pneumobench.runs.executors.processes", "pneumobench.reporting.wandb_tracking"])


@dataclass(frozen=True, kw_only=True)
class ProcessExecutor:
    """Runs jobs in processes of their own.

    Args:
        processes: how many at the same time, 1 or more.
        threads: threads of each.
        devices: CUDA devices that they share; 0 = none.
        jobs_per_device: how many fill a device before the next one is used; None = devices are taken in turn.
        runs_folder: folder of runs, where a tracker writes.
    """

    processes: int
    threads: int
    devices: int
    jobs_per_device: int | None
    runs_folder: Path

    def get_ready(self) -> None:
        """Start the process that jobs are forked from: it imports while this one opens the data."""
        forkserver.ensure_running()

    def run_jobs(
        self, bench: Bench, jobs: Sequence[Job], *, started: Callable[[Job], None], told: Told
    ) -> Iterator[Job]:
        """Run jobs, several at the same time; see `Executor`. One whose process dies twice has failed."""
        send_mapped_files_by_name()
        news: Any = JOB_PROCESSES.Queue()
        slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.processes):
            slots.put(slot)
        running: set[BaseProcess] = set()
        stopped = threading.Event()

        def attempt(job: Job) -> Job:
            slot = slots.get()
            try:
                codes: list[int | None] = []
                while len(codes) < ATTEMPTS and not stopped.is_set():
                    process = JOB_PROCESSES.Process(
                        target=_work, args=(bench, job, self, slot, news), name=f"{job[0]} {job[1]}"
                    )
                    process.start()
                    running.add(process)
                    process.join()
                    running.discard(process)
                    if process.exitcode == 0:
                        return job
                    if process.exitcode == NO_ROOM:
                        raise NoRoomError(f"no room left to write what {job[0]} fold {job[1]} leaves.")
                    codes.append(process.exitcode)
                if not stopped.is_set() and not has_ended(bench, job):
                    write_dead(bench, job, f"its process ended by {_ends(codes)}")
                return job
            finally:
                slots.put(slot)

        with ThreadPoolExecutor(self.processes, thread_name_prefix="jobs") as pool:
            try:
                left: set[Future[Job]] = {pool.submit(attempt, job) for job in jobs}
                while left:
                    done, left = wait(left, POLL_S, FIRST_COMPLETED)
                    _tell(news, started, told)
                    yield from (one.result() for one in done)
            except BaseException:  # Ctrl-C, SIGTERM, or whoever reads this stops reading
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(running):
                    process.terminate()
                raise


def _tell(news: Any, started: Started, told: Told) -> None:
    """Pass on what the processes have reported.

    Raises:
        NoRoomError: one of them found the disk full.
    """
    while True:
        try:
            one = news.get_nowait()
        except queue.Empty:
            return
        if isinstance(one, NoRoomError):
            raise one
        job, epoch, losses = one
        if epoch is None:
            started(job)
        else:
            told(job, epoch, losses)


def _work(bench: Bench, job: Job, executor: ProcessExecutor, slot: int, news: Any) -> None:
    """Do one job; the only work of its process, which ends with the run."""
    multiprocessing.set_start_method(None, force=True)  # loader processes start as in a run of one job at a time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then asks its jobs to end
    end_when_asked(JOB_DEADLINE_S, says=False)
    tell_dead_loaders_once()
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    if executor.devices:
        device = slot // executor.jobs_per_device if executor.jobs_per_device else slot % executor.devices
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_device(device)
    try:
        work(
            bench, job, runs_folder=executor.runs_folder, threads=executor.threads,
            report=lambda epoch, losses: news.put((job, epoch, losses)),
        )  # fmt: skip
    except NoRoomError as error:
        news.put(error)
        raise SystemExit(NO_ROOM) from None


def visible_device(number: int) -> str:
    """Return the name of a CUDA device of this process, counted from 0, for a process that is to see it alone."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[number] if number < len(visible) else str(number)


def _end_with_the_run() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)  # as whoever ended the run did; a training stops after its step


def _ends(codes: Sequence[int | None]) -> str:
    """Say how a process ended each time it was started.

    >>> _ends([-9, 1])
    'signal 9, then exit code 1'
    """
    return ", then ".join(f"signal {-code}" if code is not None and code < 0 else f"exit code {code}" for code in codes)
