"""What the record of one job claims, against the suite, the split and the index: epochs, images, initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index, unknown_patients
from pneumobench.records.belonging import refuse
from pneumobench.records.job_record import WEIGHTS, JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import Suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.suite.weights import HUB, IMAGENET, NONE, SELF_SUPERVISED

CLOCKS_APART: Final = timedelta(days=1)  # machines of one run may tell another time
HISTORY_ERROR: Final = 1e-5  # history.csv is written with six digits


def refuse_false_claims(
    folder: RunFolder, suite: Suite, index: Index, folds: Folds, records: Sequence[JobRecord]
) -> None:
    """Check every record against suite, index and split.

    Raises:
        RecordError: a record claims what cannot be, or cannot be of this run.
    """
    latest = datetime.now(UTC) + CLOCKS_APART
    unknown = int(unknown_patients(index.table).sum())
    for record in records:
        path = folder.record_path(record.architecture, record.fold)
        if datetime.fromisoformat(record.created) > latest:
            refuse(path, f"created {record.created}", f"a time up to today, {latest - CLOCKS_APART:%Y-%m-%d}")
        if not record.completed:
            continue
        parts = folds.positions(index, record.fold)
        counts = {"train_images": len(parts["train"])}
        if not record.is_control:
            counts["tune_images"] = len(parts["tune"])
        if "images_of_unknown_patients" in record.training:  # older records do not say it
            counts["images_of_unknown_patients"] = unknown
        for key, expected in counts.items():
            if (found := record.training.get(key)) != expected:
                refuse(path, f"{key} {found}", f"{expected} (index.csv and folds.json)")
        if record.is_control:
            continue
        cost = record.cost
        if cost is not None and cost.trainable_parameters > cost.parameters:
            refuse(path, f"{cost.trainable_parameters} trainable parameters", f"at most all, {cost.parameters}")
        _require_origin(folder, suite, record)
        if (fitted := record.training.get("fit", "network")) != suite.training.fit:
            refuse(path, f"fit {fitted}", f"{suite.training.fit} (training.fit in suite.yaml)")
        if suite.training.is_frozen:
            continue
        _require_epochs(folder, suite.training, record)
        _require_history(folder, suite.training, record)


def _require_origin(folder: RunFolder, suite: Suite, record: JobRecord) -> None:
    """Refuse initial weights other than those that the suite names; a plugin may bring its own where it names none."""
    name, origin = record.architecture, record.weights_origin
    weights = suite.architectures.weights_source(name)
    if weights == NONE:
        right = origin == "random" if record.plugin is None else not origin.startswith("file:")
        expected = "random"
    elif weights == IMAGENET:
        right, expected = origin.startswith(f"timm:{name}"), f"timm:{name}"
    elif weights == SELF_SUPERVISED:
        right, expected = origin.startswith(f"{SELF_SUPERVISED}:"), SELF_SUPERVISED
    elif weights.startswith(HUB):
        right, expected = origin == weights, weights
    else:
        right, expected = origin == f"file:{name}.safetensors", f"file:{name}.safetensors"
        if f"{WEIGHTS}{name}" not in record.inputs and "code" in record.software:
            refuse(folder.record_path(name, record.fold), "no SHA-256 of the initial weights", f"{WEIGHTS}{name}")
    if not right:
        path = folder.record_path(name, record.fold)
        refuse(path, f"weights_origin {origin}", f"{expected} (architectures.weights: {weights} in suite.yaml)")


def _require_epochs(folder: RunFolder, spec: TrainingSpec, record: JobRecord) -> None:
    path = folder.record_path(record.architecture, record.fold)
    run, best = record.training.get("epochs_run"), record.training.get("best_epoch")
    early = record.training.get("stopped_early")
    if type(run) is not int or not 1 <= run <= spec.epochs:
        refuse(path, f"epochs_run {run}", f"1 to {spec.epochs} (training.epochs in suite.yaml)")
    if type(best) is not int or not 0 <= best < run:
        refuse(path, f"best_epoch {best} of {run} epochs", f"0 to {run - 1}, counted from 0")
    if early is not (run < spec.epochs):
        refuse(path, f"stopped_early {early} after {run} of {spec.epochs} epochs", f"{run < spec.epochs}")
    if early and spec.early_stopping_patience is None:
        refuse(path, f"{run} of {spec.epochs} epochs", "all: suite.yaml sets no training.early_stopping_patience")


def _require_history(folder: RunFolder, spec: TrainingSpec, record: JobRecord) -> None:
    """Compare history.csv, where it is, with the epochs of the record."""
    path = folder.history_path(record.architecture, record.fold)
    if not path.is_file():
        return
    try:
        table = pd.read_csv(path)
    except ValueError as error:
        refuse(path, f"no table ({error})", "a row for each epoch")
    run, best = record.training["epochs_run"], record.training["best_epoch"]
    assert isinstance(best, int)
    if len(table) != run:
        refuse(path, f"{len(table)} epochs", f"{run} (epochs_run in record.json)")
    if spec.monitor not in table:
        return
    values = pd.to_numeric(table[spec.monitor], errors="coerce").to_numpy(np.float64)
    values = values if spec.monitor == "tune_loss" else -values
    if np.isnan(values).all():
        return
    lowest = np.nanmin(values)
    if not values[best] - lowest <= HISTORY_ERROR * max(1.0, abs(lowest)):
        epoch = int(np.nanargmin(values))
        refuse(path, f"the best {spec.monitor} in epoch {epoch}", f"epoch {best} (best_epoch in record.json)")
