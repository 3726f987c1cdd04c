"""TensorBoard through Lightning's logger: one folder of events for each job, with the keys of history.csv."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.errors import warn
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.final_metrics import final_metrics
from pneumobench.reporting.tracking import History
from pneumobench.suite.spec import Suite

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger


class TensorBoardTracking:
    """Writes curves and results of jobs as TensorBoard reads them; the first fault is told, and tracking ends there.

    The x axis is the epoch. The folder of a job is written anew when it is begun again: its earlier epochs come first.

    Args:
        runs_folder: folder of all runs; events go into `tensorboard/SUITE/ARCHITECTURE-fold-K` below it.
    """

    def __init__(self, runs_folder: Path) -> None:
        self.files = runs_folder / "tensorboard"
        self._stopped = False
        self._logger: TensorBoardLogger | None = None

    @contextmanager
    def job(self, folder: RunFolder, suite: Suite, architecture: str, fold: int) -> Iterator[History]:
        """Open the events of a job."""
        del folder
        self._open(suite.name, f"{architecture}-fold-{fold}")
        try:
            yield lambda epoch, row: self._log(row, epoch)
        finally:
            if self._logger is not None:
                self._logger.experiment.close()
                self._logger = None

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Write the final metrics, after the last epoch."""
        if record.completed:
            epochs = record.training.get("epochs_run")
            self._log(final_metrics(folder, record), epochs if isinstance(epochs, int) else 0)

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Do nothing: TensorBoard has no tables."""

    def close(self) -> None:
        """Do nothing: all is written when a job ends."""

    def _open(self, suite: str, job: str) -> None:
        if self._stopped:
            return
        try:
            from lightning.pytorch.loggers import TensorBoardLogger

            shutil.rmtree(self.files / suite / job, ignore_errors=True)
            self._logger = TensorBoardLogger(save_dir=self.files, name=suite, version=job)
            self._logger.experiment  # noqa: B018 - opens the file, so that what is wrong shows here
        except (OSError, ImportError) as error:
            self._stop(error)

    def _log(self, metrics: dict[str, float], step: int) -> None:
        if self._logger is None:
            return
        try:
            self._logger.log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)
        except OSError as error:
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._stopped, self._logger = True, None
        remedy = "; install pneumobench[tensorboard]" if isinstance(error, ImportError) else ""
        warn(f"not tracked with TensorBoard: {' '.join(str(error).split())}{remedy}. The suite goes on.")
