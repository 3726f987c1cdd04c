"""What is kept of a training while it runs: history, best weights, and now and then a checkpoint to go on from."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from pneumobench.suite.training import Monitor, TrainingSpec
from pneumobench.training.averaging import MovingAverage
from pneumobench.training.memory import peak_memory_mib, reset_peak_memory
from pneumobench.training.step_clock import StepClock

HISTORY: Final = ("train_loss", "tune_loss", "tune_auc", "tune_accuracy")
RESUME_FILE: Final = "resume.ckpt"
CHECKPOINT_EVERY_S: Final = 60.0  # a longer epoch has a checkpoint of its own
NETWORK: Final = "network."  # before the names of the network's weights in a LightningModule's
EpochReport = Callable[[int, dict[str, float]], None]


def both_reports(first: EpochReport | None, second: EpochReport | None) -> EpochReport | None:
    """Return what calls both, None where both are None."""
    asked = [report for report in (first, second) if report is not None]
    if len(asked) < 2:
        return asked[0] if asked else None

    def both(epoch: int, row: dict[str, float]) -> None:
        for report in asked:
            report(epoch, row)

    return both


def best_epoch(values: Sequence[float], monitor: Monitor) -> int:
    """Return the epoch (from 0) with the best monitored value, the last of equals; NaN is never the best.

    Small validation parts tie: once all images are told apart, the AUC is 1 in every further epoch. The last one has
    seen most, at the lowest learning rate (`benchmark/evidence/epoch_choice.md`).

    >>> best_epoch([math.nan, 0.5, 1.0, 1.0, 0.9], "tune_auc")
    3
    """
    sign = -1.0 if monitor == "tune_loss" else 1.0
    return max(
        range(len(values)), key=lambda epoch: (-math.inf if math.isnan(values[epoch]) else sign * values[epoch], epoch)
    )


def quiet_lightning() -> None:
    """Keep Lightning from advertising and from warning of what is done on purpose."""
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # the record tells who died
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*log_every_n_steps.*",
        ".*LeafSpec.*",
        ".*isinstance.*",
        ".*exists and is not empty.*",
        ".*val_dataloader.*",  # of the pretraining, which validates nothing
        ".*sync_dist=True.*",  # what is logged is of all devices already
    ):
        warnings.filterwarnings("ignore", message=message)


class TrainingKeeper(Checkpoint):
    """Keeps the history and the best weights, and writes both with all else that a resumed training needs.

    The first epoch and the last have a checkpoint, and each between that ends CHECKPOINT_EVERY_S after the one before;
    a resumed training repeats the epochs since. Best weights are in the same file: they are never of another training.

    Args:
        folder: folder of the job.
        spec: what is monitored.
        report: called after every epoch.
    """

    def __init__(self, folder: Path, spec: TrainingSpec, report: EpochReport | None) -> None:
        self.path, self.monitor, self.report = folder / RESUME_FILE, spec.monitor, report
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.seconds, self.started = 0.0, time.perf_counter()
        self.step_seconds: list[float] = []  # from the end of a step to that of the next, within an epoch
        self.written = -math.inf
        self.peak_memory_mib = 0.0  # of all processes together, where several train

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Count the memory of a process that trains on one of several devices from here."""
        del pl_module
        if trainer.world_size > 1:
            reset_peak_memory()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to time the steps of an epoch."""
        del trainer
        self.clock = StepClock(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the end of a step."""
        del trainer, pl_module, outputs, batch, batch_idx
        self.clock.mark()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch; Lightning calls checkpoints last, so that what stops a training has spoken."""
        now = time.perf_counter()
        row = {"epoch": float(trainer.current_epoch), "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}
        row |= {name: float(trainer.callback_metrics[name]) for name in HISTORY}
        self.rows.append(row)
        self.seconds += now - self.started
        self.step_seconds += self.clock.between()
        self.started = now
        if best_epoch([row[self.monitor] for row in self.rows], self.monitor) == len(self.rows) - 1:
            self.best = weights_to_use(trainer, pl_module)
        if trainer.world_size > 1:
            self.peak_memory_mib = max(self.peak_memory_mib, _sum_of_peaks(trainer))
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        due = last or now - self.written >= CHECKPOINT_EVERY_S
        if trainer.strategy.broadcast(due):  # all devices take part in one
            trainer.save_checkpoint(self.path)
            self.written = now
        if self.report is not None and trainer.is_global_zero:
            self.report(trainer.current_epoch, row)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of this."""
        peak = {"peak_memory_mib": self.peak_memory_mib}
        times = {"seconds": self.seconds, "step_seconds": self.step_seconds}
        return {"rows": self.rows, "best": self.best, **times, **peak}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows, self.seconds, self.best = state_dict["rows"], state_dict["seconds"], state_dict["best"]
        self.step_seconds = state_dict.get("step_seconds", [])  # an older checkpoint has none
        self.peak_memory_mib = state_dict["peak_memory_mib"]


def _sum_of_peaks(trainer: lightning.Trainer) -> float:
    """Return the sum of the peak memories of all processes; what forked ones share counts in each."""
    device = trainer.strategy.root_device
    peak = torch.tensor(peak_memory_mib(device.type), device=device)
    return float(trainer.strategy.reduce(peak, reduce_op="sum"))


def weights_to_use(trainer: lightning.Trainer, module: lightning.LightningModule) -> dict[str, Tensor]:
    """Return a copy of the network's weights as they are now, in main memory; of the averaged ones, if there are."""
    found: dict[str, Any] = {"state_dict": module.state_dict()}
    for callback in trainer.callbacks:  # type: ignore[attr-defined] # untyped in Lightning
        if isinstance(callback, MovingAverage):
            callback.on_save_checkpoint(trainer, module, found)
    return {
        name.removeprefix(NETWORK): weight.detach().to("cpu", copy=True)
        for name, weight in found["state_dict"].items()
        if name.startswith(NETWORK)
    }


def state_of(checkpoint: dict[str, Any], callback: type[Any]) -> dict[str, Any]:
    """Return what a callback kept in a checkpoint; its key may carry settings behind the name of the class."""
    states: dict[str, dict[str, Any]] = checkpoint["callbacks"]
    return next((state for key, state in states.items() if key.startswith(callback.__qualname__)), {})
