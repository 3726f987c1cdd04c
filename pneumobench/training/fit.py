"""Train one architecture on one fold, resumable after every epoch, and leave the best weights as safetensors."""

from __future__ import annotations

import io
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pneumobench.architectures import Architecture
from pneumobench.architectures.weights_file import save_weights
from pneumobench.datasets.datamodule import FoldDataModule
from pneumobench.errors import RecordError, warn
from pneumobench.files import write_text, written_whole
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.checkpoints import SafeCheckpointIO, can_resume, checkpoint_of_epoch, remove_checkpoint
from pneumobench.training.classifier import PneumoniaClassifier

HISTORY = ("train_loss", "tune_loss", "tune_auc", "tune_accuracy")
RESUME_FILE, BEST_FILE = "resume.ckpt", "best.ckpt"
NOT_STOPPED = EarlyStoppingReason.NOT_STOPPED.value
TERMINATED = 128 + signal.SIGTERM  # exit code of a process that was asked to end
EpochReport = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a training went.

    Args:
        epochs_run: epochs trained.
        best_epoch: epoch (from 0) with the best monitored value, whose weights are kept.
        best_value: the monitored value of that epoch.
        seconds: wall time of the training, over all its starts.
        stopped_early: whether early stopping ended it.
    """

    epochs_run: int
    best_epoch: int
    best_value: float
    seconds: float
    stopped_early: bool


class _EpochHistory(Callback):
    """Losses of every epoch and time spent, kept in the checkpoint so that they survive a resume."""

    def __init__(self, report: EpochReport | None) -> None:
        self.rows: list[dict[str, float]] = []
        self.seconds, self.report = 0.0, report
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        now = time.perf_counter()
        row = {"epoch": float(trainer.current_epoch), "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}
        row |= {name: float(trainer.callback_metrics[name]) for name in HISTORY}
        self.rows.append(row)
        self.seconds += now - self.started
        self.started = now
        if self.report is not None:
            self.report(trainer.current_epoch, row)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]


class _MovableCheckpoint(ModelCheckpoint):
    """Keeps its best score when the run's folder was moved between two starts; Lightning's own forgets it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        here, there = str(self.dirpath), str(state_dict["dirpath"])

        def moved(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace(there, here, 1) if value.startswith(there) else value
            return {moved(key): moved(item) for key, item in value.items()} if isinstance(value, dict) else value

        super().load_state_dict(moved(state_dict))


def _history_csv(rows: list[dict[str, float]]) -> str:
    buffer = io.StringIO()
    table = pd.DataFrame(rows).astype({"epoch": int})
    table.to_csv(buffer, index=False, float_format="%.6g", lineterminator="\n")
    return buffer.getvalue()


def memory_format(spec: TrainingSpec, device_type: str) -> torch.memory_format:
    """Return the memory format for a device: channels_last pays on CUDA and costs dearly on CPUs."""
    chosen = spec.memory_format == "channels_last" or (spec.memory_format == "auto" and device_type == "cuda")
    return torch.channels_last if chosen else torch.contiguous_format


def quiet_lightning() -> None:
    """Keep Lightning from advertising and from warning of what is done on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*log_every_n_steps.*",
        ".*LeafSpec.*",
        ".*isinstance.*",
        ".*exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def fit(
    architecture: Architecture,
    data: FoldDataModule,
    spec: TrainingSpec,
    *,
    folder: Path,
    seed: int,
    epoch_report: EpochReport | None = None,
    loggers: tuple[Any, ...] = (),
    callbacks: tuple[Callback, ...] = (),
) -> FitResult:
    """Train, or go on training where an interrupted start left off; write weights.safetensors and history.csv.

    Args:
        architecture: network with its initial weights.
        data: the fold.
        spec: settings.
        folder: folder of the job.
        seed: seed of all randomness.
        epoch_report: called after every epoch with its number and its losses.
        loggers: Lightning loggers.
        callbacks: further Lightning callbacks.

    Raises:
        DivergedError: the loss became infinite or not a number.
    """
    quiet_lightning()
    module = PneumoniaClassifier(architecture, spec, class_weight=data.images.class_weight(), seed=seed)
    mode = "min" if spec.monitor == "tune_loss" else "max"
    history = _EpochHistory(epoch_report)
    best = _MovableCheckpoint(
        folder,
        Path(BEST_FILE).stem,
        monitor=spec.monitor,
        mode=mode,
        # only whole checkpoints hold averaged weights
        save_weights_only=spec.ema_decay is None,
        enable_version_counter=False,
    )
    # a checkpoint of every epoch, whatever its loss, written after the best so that it knows of it
    resume = _MovableCheckpoint(
        folder, Path(RESUME_FILE).stem, save_on_train_epoch_end=True, every_n_epochs=1, enable_version_counter=False
    )
    further: list[Callback] = []
    if spec.early_stopping_patience is not None:
        further.append(EarlyStopping(spec.monitor, mode=mode, patience=spec.early_stopping_patience))
    if spec.ema_decay is not None:
        further.append(EMAWeightAveraging(decay=spec.ema_decay))
    trainer = lightning.Trainer(
        accelerator=spec.accelerator,
        devices=spec.devices,
        strategy=spec.strategy,
        precision=spec.precision,  # type: ignore[arg-type]
        max_epochs=spec.epochs,
        gradient_clip_val=spec.gradient_clip_norm,
        deterministic="warn" if spec.deterministic else False,
        plugins=[SafeCheckpointIO()],
        callbacks=[history, *further, *callbacks, best, resume],
        logger=list(loggers) or False,
        reload_dataloaders_every_n_epochs=1,  # the order of images is drawn anew for each epoch
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    module.to(memory_format=memory_format(spec, trainer.strategy.root_device.type))
    module.train()  # Lightning keeps the mode it is given, and looking at a network leaves it in eval mode
    folder.mkdir(parents=True, exist_ok=True)
    start = _checkpoint_to_go_on_from(folder, spec)
    if start is None or not _is_over(SafeCheckpointIO().load_checkpoint(start), spec):
        _fit_or_stop(trainer, module, data, start)
    # with several devices the callbacks live in other processes; what they saw is in the last checkpoint
    seen = SafeCheckpointIO().load_checkpoint(folder / RESUME_FILE)["callbacks"][history.state_key]
    values = [row[spec.monitor] for row in seen["rows"]]
    module.fine_tuning.apply(
        len(values) - 1
    )  # whatever process trained: what was trained in the end is what is counted
    best_epoch = _best_epoch(values, spec)
    found = checkpoint_of_epoch(folder / BEST_FILE, (best_epoch,))
    if found is None:
        remove_training_files(folder)
        raise RecordError(
            f"{folder / BEST_FILE}: the weights of epoch {best_epoch}, the best one, are damaged or missing. Start "
            "again with --retry-failed: this fold is then trained from its first epoch."
        )
    weights = found["state_dict"]
    prefix = "network."
    with written_whole(folder / "weights.safetensors") as temporary:
        save_weights(
            {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)},
            temporary,
        )
    write_text(folder / "history.csv", _history_csv(seen["rows"]))
    return FitResult(
        epochs_run=len(values),
        best_epoch=best_epoch,
        best_value=values[best_epoch],
        seconds=seen["seconds"],
        stopped_early=len(values) < spec.epochs,
    )


def _checkpoint_to_go_on_from(folder: Path, spec: TrainingSpec) -> Path | None:
    """Return the checkpoint of the last whole epoch, if the best weights of those epochs are there as well.

    Without them the fold is trained from its first epoch: weights of a lesser epoch would pass for the best.
    """
    resume = folder / RESUME_FILE
    if not can_resume(resume):
        return None
    rows = _state_of(SafeCheckpointIO().load_checkpoint(resume), _EpochHistory)["rows"]
    values = [row[spec.monitor] for row in rows]
    # a kill between the two checkpoints of an epoch leaves the best of one that is trained again
    if checkpoint_of_epoch(folder / BEST_FILE, (_best_epoch(values, spec), len(values))) is not None:
        return resume
    warn(f"{folder / BEST_FILE}: the best weights so far are damaged; this fold is trained from its first epoch again.")
    remove_training_files(folder)
    return None


def _is_over(checkpoint: dict[str, Any], spec: TrainingSpec) -> bool:
    """Tell whether a checkpoint is that of the last epoch; Lightning does not remember that it stopped early."""
    if len(_state_of(checkpoint, _EpochHistory)["rows"]) >= spec.epochs:
        return True
    stopping = _state_of(checkpoint, EarlyStopping) if spec.early_stopping_patience is not None else {}
    return bool(stopping.get("stopping_reason", NOT_STOPPED) != NOT_STOPPED)


def _state_of(checkpoint: dict[str, Any], callback: type[Callback]) -> dict[str, Any]:
    """Return what a callback kept in a checkpoint; its key may carry settings behind the name of the class."""
    states: dict[str, dict[str, Any]] = checkpoint["callbacks"]
    return next((state for key, state in states.items() if key.startswith(callback.__qualname__)), {})


def _best_epoch(values: Sequence[float], spec: TrainingSpec) -> int:
    """Return the first epoch (from 0) with the best monitored value; one that is not a number is never the best."""
    sign = 1.0 if spec.monitor == "tune_loss" else -1.0
    return min(range(len(values)), key=lambda epoch: math.inf if math.isnan(values[epoch]) else sign * values[epoch])


def _fit_or_stop(
    trainer: lightning.Trainer, module: PneumoniaClassifier, data: FoldDataModule, start: Path | None
) -> None:
    """Fit; an interruption gets through as what it was, where Lightning would end the process with code 1 or 0."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # Lightning ignores Ctrl-C from its first one on


def remove_training_files(folder: Path) -> None:
    """Delete what only an unfinished training needs."""
    for name in (RESUME_FILE, BEST_FILE):
        remove_checkpoint(folder / name)
        for left_over in folder.glob(f"*{name}.new*"):  # of a process that was killed while it wrote
            left_over.unlink()
