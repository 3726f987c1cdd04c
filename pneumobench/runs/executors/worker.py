"""What a process does that was started for a job, on this machine or on another one that shares the folder."""

from __future__ import annotations

import copyreg
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pneumobench.errors import TERMINATED, SettingsError
from pneumobench.runs.context import Bench
from pneumobench.runs.ending import time_to_tell_others
from pneumobench.runs.executors import Started, Told
from pneumobench.runs.executors.one_job import Job, do_job

ATTEMPTS: Final = 2  # a job whose process died is tried once more, where its last checkpoint is
POLL_S: Final = 0.2
Report = Callable[[int | None, dict[str, float]], None]  # epoch, None when the job begins; its losses


def work(bench: Bench, job: Job, *, runs_folder: Path, threads: int, report: Report) -> None:
    """Do one job in a process that knows nothing yet."""
    torch.set_num_threads(threads)
    from pneumobench.reporting.console import safe_console
    from pneumobench.reporting.trackers import tracker_for
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.training.keeping import quiet_lightning

    quiet_lightning()
    for plugin in bench.suite.architectures.plugins:
        load_plugin_file(Path(plugin))
    report(None, {})
    tracker = tracker_for(bench.suite, runs_folder)
    try:
        do_job(bench, job, tracker, report, safe_console())
    finally:
        tracker.close()  # the process may end before what was told has arrived


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What a process on another machine has to know besides its job; all folders are the same there.

    Args:
        home: working directory of the command.
        news: folder where processes tell of their epochs, a file for each job.
        runs_folder: folder of runs.
        threads: threads of a job; None = as many as the process may use.
    """

    home: Path
    news: Path
    runs_folder: Path
    threads: int | None

    def work(self, bench: Bench, job: Job) -> None:
        """Do one job.

        Raises:
            SettingsError: the run is not there on this machine.
        """
        try:
            os.chdir(self.home)
            there = bench.folder.suite_yaml.is_file()
        except OSError:
            there = False
        if not there:
            raise SettingsError(
                f"{self.home / bench.folder.path} is not there on a machine that should run a job: the working "
                "directory, the data and --output have to be in folders that all machines share under the same path."
            )
        path = self.news / f"{job[0]}-{job[1]}.jsonl"

        def report(epoch: int | None, losses: dict[str, float]) -> None:
            with suppress(OSError), path.open("a", encoding="utf-8") as file:  # who asked may be gone
                file.write(json.dumps([*job, epoch, losses]) + "\n")

        threads = self.threads or int(os.environ.get("SLURM_CPUS_PER_TASK", torch.get_num_threads()))
        work(bench, job, runs_folder=self.runs_folder, threads=threads, report=report)


@dataclass(frozen=True)
class News:
    """Reads what processes tell of their epochs.

    Args:
        folder: where they write.
    """

    folder: Path
    _read: dict[Path, int] = field(default_factory=dict)  # bytes of each file

    def pass_on(self, started: Started, told: Told) -> None:
        """Pass on what is new."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")  # a line that is still being written comes later
            self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
            for line in whole.splitlines():
                name, fold, epoch, losses = json.loads(line)
                if epoch is None:
                    started((name, fold))
                else:
                    told((name, fold), epoch, losses)


@contextmanager
def asked_to_end() -> Iterator[None]:
    """Have SIGTERM end this process as Ctrl-C does, so that what it started elsewhere ends with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = threading.Event()

    def end(*_: object) -> None:
        asked.set()
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with time_to_tell_others():
            yield
    except SystemExit:
        if asked.is_set():  # Ray's compiled code makes another exit code of it
            raise SystemExit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def send_mapped_files_by_name() -> None:
    """Have mapped files pickled by their place, not by their content."""
    copyreg.pickle(np.memmap, _reopened_memmap)


def _reopened_memmap(array: np.memmap[Any, Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    whole = array.filename is not None and array.base is not None and not isinstance(array.base, np.ndarray)
    if not whole:
        return np.asarray, (np.array(array),)
    return _open_memmap, (str(array.filename), array.dtype, array.offset, array.shape)


def _open_memmap(name: str, dtype: Any, offset: int, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    return np.memmap(name, dtype=dtype, mode="r", offset=offset, shape=shape)
