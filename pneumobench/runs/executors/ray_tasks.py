"""Jobs as tasks of Ray: on this machine, or on a cluster whose machines share the folder of the run."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch

from pneumobench.errors import PneumobenchError, SettingsError, install_words
from pneumobench.files import temporary_folder
from pneumobench.runs.context import Bench
from pneumobench.runs.executors import Told
from pneumobench.runs.executors.one_job import Job, has_ended, write_dead
from pneumobench.runs.executors.worker import ATTEMPTS, POLL_S, Elsewhere, News, asked_to_end, send_mapped_files_by_name
from pneumobench.runs.train_job import reason_of

# read when Ray is imported
VARIABLES: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # it would copy the working directory and make an environment of it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
HERE_ALONE: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on every system: listens at 127.0.0.1 alone
CONNECT_S: Final = 5.0
GPU_ACCELERATORS: Final = ("auto", "gpu", "cuda")


def require_ray() -> None:
    """Check that Ray is installed, without starting anything.

    Raises:
        SettingsError: it is not.
    """
    _imported({})


def _imported(variables: dict[str, str]) -> ModuleType:
    for name, value in {**VARIABLES, **variables}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SettingsError(f"--executor ray: Ray is not installed: {install_words('ray')}.") from None
    return ray


def cpus_for_each(jobs: int, cpus: Sequence[int]) -> int:
    """Return how many CPUs each of several jobs can have, 1 or more.

    Args:
        jobs: how many at the same time.
        cpus: CPUs of each machine; a job is on one of them.

    >>> cpus_for_each(3, [4, 2])
    2
    """
    fitting = (each for each in range(max(cpus, default=1), 1, -1) if sum(n // each for n in cpus) >= jobs)
    return next(fitting, 1)


@dataclass(frozen=True, kw_only=True)
class RayExecutor:
    """Runs jobs as tasks of Ray.

    Args:
        jobs: how many at the same time; None = as many as the cluster has GPUs, or pairs of CPUs, for.
        jobs_per_device: how many share a GPU.
        address: a running cluster; None = Ray is started here and ends with the run.
        devices: CUDA devices of this machine for a Ray that is started here.
        gpus: whether jobs use GPUs where there are some.
        runs_folder: folder of runs, where a tracker writes.
    """

    jobs: int | None
    jobs_per_device: int
    address: str | None
    devices: int
    gpus: bool
    runs_folder: Path

    def run_jobs(
        self, bench: Bench, jobs: Sequence[Job], *, started: Callable[[Job], None], told: Told
    ) -> Iterator[Job]:
        """Run jobs, several at the same time; see `Executor`. One whose worker is lost twice has failed."""
        send_mapped_files_by_name()
        with self._cluster() as ray, temporary_folder(bench.folder.path, "jobs") as folder:
            count, cpus, gpus = self._room(ray)
            place = Elsewhere(home=Path.cwd(), news=folder, runs_folder=self.runs_folder, threads=cpus)
            task = ray.remote(_work).options(num_cpus=cpus, num_gpus=gpus, max_retries=ATTEMPTS - 1)
            shared, news = ray.put(bench), News(folder)
            waiting, running = list(jobs), dict[Any, Job]()
            while waiting or running:
                while waiting and len(running) < count:
                    job = waiting.pop(0)
                    running[task.remote(shared, job, place)] = job
                done, _ = ray.wait(list(running), timeout=POLL_S)
                news.pass_on(started, told)
                for one in done:
                    job = running.pop(one)
                    if (reason := _why_failed(ray, one, bench.suite.training.batch_size)) and not has_ended(bench, job):
                        write_dead(bench, job, reason)
                    yield job

    @contextmanager
    def _cluster(self) -> Iterator[ModuleType]:
        ray = _imported({} if self.address else HERE_ALONE)
        if ray.is_initialized():
            raise SettingsError("--executor ray: this process uses Ray already; call ray.shutdown() before the run.")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with ExitStack() as undo:
            undo.callback(ray.shutdown)
            undo.enter_context(asked_to_end())
            try:
                if self.address:
                    _require_listener(self.address)
                    ray.init(address=self.address, **quiet)
                else:
                    # its sockets lie here, whose paths have to be short
                    session = undo.enter_context(temporary_folder(Path(tempfile.gettempdir()), "ray"))
                    undo.callback(ray.shutdown)
                    ray.init(
                        address="local",
                        num_cpus=max(torch.get_num_threads(), self.jobs or 1),
                        num_gpus=self.devices,
                        include_dashboard=False,
                        _temp_dir=str(session),
                        # how much memory a job may take is for the system to say, as with other executors
                        _system_config={"memory_monitor_refresh_ms": 0},
                        **quiet,
                    )
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                where = f"--ray-address {self.address}" if self.address else "--executor ray"
                raise SettingsError(f"{where}: Ray does not answer: {' '.join(str(error).split())[:300]}") from error
            with asked_to_end():  # Ray has put its own handler there
                yield ray

    def _room(self, ray: ModuleType) -> tuple[int, int, float]:
        """Return how many jobs at the same time, and the CPUs and the share of a GPU of each."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [int(node.get("CPU", 0)) for node in nodes]
        gpus = int(sum(node.get("GPU", 0) for node in nodes)) if self.gpus else 0
        if self.jobs_per_device > 1 and not gpus:
            raise SettingsError(f"--jobs-per-device {self.jobs_per_device}: the cluster has no GPU; leave it out.")
        count = self.jobs or (gpus * self.jobs_per_device if gpus else max(1, sum(cpus) // 2))
        return count, cpus_for_each(count, cpus), 1 / self.jobs_per_device if gpus else 0


def _require_listener(address: str) -> None:
    """Find out in seconds that nobody listens at HOST:PORT, where Ray tries for minutes and prints each try.

    Raises:
        OSError: nobody does.
        ValueError: it is neither that nor `auto`.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit()):
        raise ValueError("expected HOST:PORT of the cluster's head, or auto")
    socket.create_connection((host, int(port)), CONNECT_S).close()


def _work(bench: Bench, job: Job, place: Elsewhere) -> None:
    """Do one job; the task. Ray ends its workers by SIGTERM, and a job that is ended so has not failed."""
    with asked_to_end():
        place.work(bench, job)


def _why_failed(ray: ModuleType, one: Any, batch_size: int) -> str:
    """Say why a task left no result, empty where it did.

    Raises:
        PneumobenchError: the job could not begin, which is no fault of its own.
    """
    try:
        ray.get(one)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, PneumobenchError):
            raise error.cause from None
        return reason_of(error.cause if isinstance(error.cause, Exception) else error, batch_size)
    except ray.exceptions.RayError as error:  # the worker was killed, its machine is gone
        return f"its Ray worker was lost {ATTEMPTS} times ({type(error).__name__})"
    return ""
