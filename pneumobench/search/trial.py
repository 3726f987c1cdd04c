"""One trial: train an architecture on the folds asked for and judge it by their validation parts; tests stay unseen."""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from optuna_integration import PyTorchLightningPruningCallback

from pneumobench.datasets.datamodule import FoldImages
from pneumobench.datasets.folds import Part
from pneumobench.errors import DivergedError
from pneumobench.records.run_folder import FOLD_PREFIX
from pneumobench.runs.context import Bench
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import fold_data
from pneumobench.suite.spec import Suite
from pneumobench.training.fit import fit, remove_training_files
from pneumobench.training.keeping import EpochReport

HIDDEN = -1  # label of an image that a search may not see


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of a trial.

    Args:
        value: mean over the folds of the monitored value at the best epoch.
        epochs: epochs trained, over all folds.
        seconds: training time, over all folds and starts.
    """

    value: float
    epochs: int
    seconds: float


def search_images(bench: Bench, fold: int) -> FoldImages:
    """Return the train and validation part of a fold; the other images have no label and stand in no part."""
    images = bench.fold_images(fold)
    seen: tuple[Part, ...] = ("train", "tune")
    positions = {part: images.positions[part] for part in seen}

    def hidden(label: NDArray[np.int64]) -> NDArray[np.int64]:
        known = np.full_like(label, HIDDEN)
        for rows in positions.values():
            known[rows] = label[rows]
        return known

    return dataclasses.replace(
        images,
        label=hidden(images.label),
        three_classes=None if images.three_classes is None else hidden(images.three_classes),
        positions=positions,
    )


def train_trial(
    bench: Bench,
    suite: Suite,
    *,
    folder: Path,
    trial: optuna.Trial | None = None,
    fold_started: Callable[[int], None] | None = None,
    report: EpochReport | None = None,
) -> Judged:
    """Train the suite's one architecture on each fold of the search, or go on where a trial was interrupted.

    Args:
        bench: data and folds of the search.
        suite: the suite with the values of this trial.
        folder: folder of this trial.
        trial: Optuna's trial, if it may be pruned: it is told of every epoch of the first fold.
        fold_started: called with each fold.
        report: called after every epoch.

    Raises:
        DivergedError: the loss or the monitored value is infinite or not a number.
        TrialPruned: the trial was found hopeless.
    """
    name, spec = suite.architectures.names[0], suite.training
    fitted = []
    # see job.run_job
    torch.set_flush_denormal(True)
    try:
        for place, fold in enumerate(suite.search.folds):
            if fold_started is not None:
                fold_started(fold)
            callbacks: tuple[Callback, ...] = ()
            if trial is not None and place == 0:
                callbacks = (PyTorchLightningPruningCallback(trial, monitor=spec.monitor),)
            result = fit(
                build_network(suite, name),
                fold_data(suite, search_images(bench, fold)),
                spec,
                folder=folder / f"{FOLD_PREFIX}{fold}",
                seed=suite.training_seed,
                epoch_report=report,
                callbacks=callbacks,
            )
            if not math.isfinite(result.best_value):
                raise DivergedError(f"{spec.monitor} of fold {fold} became {result.best_value}")
            fitted.append(result)
    finally:
        torch.set_flush_denormal(False)
        gc.collect()
    return Judged(
        value=math.fsum(result.best_value for result in fitted) / len(fitted),
        epochs=sum(result.epochs_run for result in fitted),
        seconds=sum(result.seconds for result in fitted),
    )


def tidy(folder: Path, *, keep_weights: bool) -> None:
    """Delete what takes space of a finished trial, its weights too unless it is the best so far; its curves stay."""
    for fold in folder.glob(f"{FOLD_PREFIX}*"):
        remove_training_files(fold)
        if not keep_weights:
            (fold / "weights.safetensors").unlink(missing_ok=True)
