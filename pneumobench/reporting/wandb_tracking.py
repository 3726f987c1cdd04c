"""Weights & Biases: a run for each job and one for the leaderboard, on a thread no training waits for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Literal

from rich.console import Console

from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.tracking import History
from pneumobench.reporting.wandb_results import send_epoch, send_leaderboard, send_results
from pneumobench.reporting.wandb_runs import NotTrackedError, TrackedRun, WandbRuns, job_run, leaderboard_run
from pneumobench.suite.spec import Suite

LAST_WAIT_SECONDS: Final = 15.0  # all that a suite ever waits for W&B, once, after its last job
INTERRUPTED_WAIT_SECONDS: Final = 1.0  # the same after Ctrl-C, which has to end the process within 5 s
REASON_LENGTH_MAX: Final = 300


class WandbTracking:
    """Tracks jobs with Weights & Biases; the first fault is told in one line, and tracking ends there.

    Calls of W&B run one after another on a background thread. A training only adds to their queue, so a
    slow or unreachable service costs it nothing; `close` and an interruption wait for it, but not for long.

    Args:
        mode: `offline` (files only, for `wandb sync`) or `online`.
        runs_folder: folder of all runs; files go into `wandb` below it.
        project: W&B project.
    """

    def __init__(self, *, mode: Literal["offline", "online"], runs_folder: Path, project: str) -> None:
        self.runs = WandbRuns(mode=mode, runs_folder=runs_folder, project=project)
        self._suite = Suite()
        self._stopped = False
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._run: Any = None  # the open run belongs to the background thread

    @contextmanager
    def job(self, folder: RunFolder, suite: Suite, architecture: str, fold: int) -> Iterator[History]:
        """Open the run of a job; a training's error fails it and passes through."""
        self._suite = suite
        if self._ready():
            self._send(lambda: self._start(lambda: job_run(folder, suite, architecture, fold)))
        try:
            yield lambda epoch, row: self._send(lambda: send_epoch(self._run, epoch, row))
        except BaseException as error:
            self._send(lambda: self._finish(exit_code=1))
            if not isinstance(error, Exception):
                self._leave(INTERRUPTED_WAIT_SECONDS)
            raise
        self._send(lambda: self._finish(exit_code=0))

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Send the results of the open job."""
        suite = self._suite
        if record.completed:
            self._send(lambda: send_results(self.runs.package, self._run, folder, suite, record))

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Send leaderboard.csv as a table in a run of its own."""
        if self._ready():
            self._send(lambda: self._start(lambda: leaderboard_run(folder, suite)))
            path = folder.leaderboard / "leaderboard.csv"
            self._send(lambda: send_leaderboard(self.runs.package, self._run, path))
            self._send(lambda: self._finish(exit_code=0))

    def close(self) -> None:
        """Wait a little for all to arrive."""
        self._leave(LAST_WAIT_SECONDS)

    # On the thread of the training

    def _ready(self) -> bool:
        """Check the folder and import W&B on first use; return whether tracking still works."""
        if self.runs.package is None and not self._stopped:
            try:
                self.runs.prepare()
            except NotTrackedError as error:
                self._stop(str(error))
            else:
                self._send(self.runs.log_in)
        return not self._stopped

    def _send(self, call: Callable[[], None]) -> None:
        if self._stopped or self.runs.package is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wandb-calls", daemon=True)
            self._thread.start()
        self._calls.put(call)

    def _leave(self, seconds: float) -> None:
        """Wait until all is sent; after `seconds` let go of it, so that the process can end."""
        if self._thread is None:
            return
        self._calls.put(None)  # ends the thread
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._thread = None
            return
        self._stop(f"no answer within {seconds:.0f} s; `wandb sync` can send what is in {self.runs.files}")
        # takes back W&B's hook that waits at the exit of the process: a daemon thread waits instead
        threading.Thread(target=self._tear_down, name="wandb-teardown", daemon=True).start()

    def _stop(self, reason: str) -> None:
        """End tracking for the rest of the suite and say why, once."""
        if self._stopped:
            return
        self._stopped = True
        text = f"warning: not tracked with Weights & Biases: {' '.join(reason.split())[:REASON_LENGTH_MAX]}."
        Console(stderr=True).print(
            f"{text} The suite goes on; every job's curves are in its history.csv.",
            style="yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    # On the background thread

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                if not self._stopped:
                    call()
            except NotTrackedError as error:
                self._stop(str(error))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - no fault of W&B may reach a training
                self._stop(f"{type(error).__name__}: {error}")
                with contextlib.suppress(Exception, SystemExit):
                    self._finish(exit_code=1)

    def _tear_down(self) -> None:
        with contextlib.suppress(Exception, SystemExit):
            self.runs.package.teardown()

    def _start(self, wanted: Callable[[], TrackedRun]) -> None:
        self._run = self.runs.open(wanted())

    def _finish(self, *, exit_code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            self.runs.close(run, exit_code=exit_code)
