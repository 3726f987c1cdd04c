"""Train one architecture on one fold, exactly resumable, and leave the best weights as safetensors."""

from __future__ import annotations

import io
import signal
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.multiprocessing.spawn import ProcessException

from pneumobench.architectures import Architecture
from pneumobench.architectures.weights_file import save_weights
from pneumobench.datasets.datamodule import FoldDataModule
from pneumobench.errors import TERMINATED, SettingsError
from pneumobench.files import write_text, written_whole
from pneumobench.suite.forms import plain
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.averaging import MovingAverage
from pneumobench.training.checkpoints import SafeCheckpointIO, can_resume, remove_checkpoint, written_here
from pneumobench.training.classifier import PneumoniaClassifier
from pneumobench.training.devices import (
    EndWithRun,
    OneThread,
    end_processes,
    error_of_process,
    memory_format,
    reported,
    strategy_of,
)
from pneumobench.training.keeping import (
    RESUME_FILE,
    EpochReport,
    TrainingKeeper,
    best_epoch,
    both_reports,
    quiet_lightning,
    state_of,
)

NOT_STOPPED = EarlyStoppingReason.NOT_STOPPED.value


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a training went.

    Args:
        epochs_run: epochs trained.
        best_epoch: epoch (from 0) with the best monitored value, whose weights are kept.
        best_value: the monitored value of that epoch.
        seconds: wall time of the training, over all its starts.
        step_seconds: median seconds from the end of a step to that of the next within an epoch, loading and
            augmentation included; None where no epoch has two steps.
        stopped_early: whether early stopping ended it.
        peak_memory_mib: sum of the peaks of the processes of several devices; 0 where this one trained alone.
    """

    epochs_run: int
    best_epoch: int
    best_value: float
    seconds: float
    step_seconds: float | None
    stopped_early: bool
    peak_memory_mib: float


def _history_csv(rows: list[dict[str, float]]) -> str:
    buffer = io.StringIO()
    table = pd.DataFrame(rows).astype({"epoch": int})
    table.to_csv(buffer, index=False, float_format="%.6g", lineterminator="\n")
    return buffer.getvalue()


def fit(
    architecture: Architecture,
    data: FoldDataModule,
    spec: TrainingSpec,
    *,
    folder: Path,
    seed: int,
    epoch_report: EpochReport | None = None,
    history: EpochReport | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> FitResult:
    """Train, or go on training where an interrupted start left off; write weights.safetensors and history.csv.

    Args:
        architecture: network with its initial weights.
        data: the fold.
        spec: settings; `auto` means the plain form here, see `FORMS`.
        folder: folder of the job.
        seed: seed of all randomness.
        epoch_report: called after every epoch with its number and its losses.
        history: called with every epoch of the training, those before an interruption first.
        callbacks: further Lightning callbacks.

    Raises:
        DivergedError: the loss became infinite or not a number.
        SettingsError: there are more devices than images to validate on.
    """
    quiet_lightning()
    spec = plain(spec)
    if len(data.images.positions["tune"]) < spec.devices:
        raise SettingsError(
            f"training.devices is {spec.devices}, and the validation part has {len(data.images.positions['tune'])} "
            "images to share among them; set training.devices to 1."
        )
    module = PneumoniaClassifier(architecture, spec, class_weight=data.images.class_weight(), seed=seed)
    resume = folder / RESUME_FILE
    found = SafeCheckpointIO().load_checkpoint(resume) if can_resume(resume) else None
    if found is not None and history is not None:
        for row in state_of(found, TrainingKeeper)["rows"]:
            history(int(row["epoch"]), row)
    if found is None or not _is_over(found, spec):
        with reported(both_reports(epoch_report, history), spec.devices) as report:
            keeper = TrainingKeeper(folder, spec, report)
            trainer = _trainer(spec, folder, keeper, callbacks)
            module.to(memory_format=memory_format(spec))
            module.train()  # Lightning keeps the mode it is given, and looking at a network leaves it in eval mode
            folder.mkdir(parents=True, exist_ok=True)
            _fit_or_stop(trainer, module, data, None if found is None else resume)
        # with several devices the callbacks lived in other processes; what they saw is in the last checkpoint
        found = {"callbacks": {keeper.state_key: keeper.state_dict()}} if spec.devices == 1 else written_here(resume)
    seen = state_of(found, TrainingKeeper)
    values = [row[spec.monitor] for row in seen["rows"]]
    best = best_epoch(values, spec.monitor)
    module.fine_tuning.apply(len(values) - 1)  # wherever it was trained: what was trained in the end is counted
    with written_whole(folder / "weights.safetensors") as temporary:
        save_weights(seen["best"], temporary)
    write_text(folder / "history.csv", _history_csv(seen["rows"]))
    return FitResult(
        epochs_run=len(values),
        best_epoch=best,
        best_value=values[best],
        seconds=seen["seconds"],
        step_seconds=statistics.median(seen["step_seconds"]) if seen["step_seconds"] else None,
        stopped_early=len(values) < spec.epochs,
        peak_memory_mib=seen["peak_memory_mib"],
    )


def _trainer(
    spec: TrainingSpec,
    folder: Path,
    keeper: TrainingKeeper,
    callbacks: tuple[Callback, ...],
) -> lightning.Trainer:
    further: list[Callback] = []
    if spec.early_stopping_patience is not None:
        mode = "min" if spec.monitor == "tune_loss" else "max"
        further.append(EarlyStopping(spec.monitor, mode=mode, patience=spec.early_stopping_patience))
    if spec.ema_decay is not None:
        further.append(MovingAverage(spec.ema_decay))
    if spec.devices > 1:
        further.append(EndWithRun())
    strategy = strategy_of(spec)
    if strategy == "ddp_fork":
        further.append(OneThread())
    return lightning.Trainer(
        accelerator=spec.accelerator,
        devices=spec.devices,
        strategy=strategy,
        precision=spec.precision,  # type: ignore[arg-type]
        max_epochs=spec.epochs,
        gradient_clip_val=spec.gradient_clip_norm,
        deterministic="warn" if spec.deterministic else False,
        plugins=[SafeCheckpointIO(), LightningEnvironment()],  # also where Slurm started this process, which is alone
        callbacks=[*further, *callbacks, keeper],
        logger=False,
        use_distributed_sampler=False,  # the data module deals out images, each once
        reload_dataloaders_every_n_epochs=1,  # the order of images is drawn anew for each epoch
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _is_over(checkpoint: dict[str, Any], spec: TrainingSpec) -> bool:
    """Tell whether a checkpoint is that of the last epoch; Lightning does not remember that it stopped early."""
    if len(state_of(checkpoint, TrainingKeeper)["rows"]) >= spec.epochs:
        return True
    stopping = state_of(checkpoint, EarlyStopping) if spec.early_stopping_patience is not None else {}
    return bool(stopping.get("stopping_reason", NOT_STOPPED) != NOT_STOPPED)


def _fit_or_stop(
    trainer: lightning.Trainer, module: PneumoniaClassifier, data: FoldDataModule, start: Path | None
) -> None:
    """Fit; an interruption gets through as what it was, where Lightning would end the process with code 1 or 0."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except ProcessException as error:
        raise error_of_process(error, trainer.num_devices) from None
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        end_processes(trainer)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # Lightning ignores Ctrl-C from its first one on


def remove_training_files(folder: Path) -> None:
    """Delete what only an unfinished training needs."""
    remove_checkpoint(folder / RESUME_FILE)
    for left_over in folder.glob(f"*{RESUME_FILE}.new*"):  # of a process that was killed while it wrote
        left_over.unlink(missing_ok=True)
