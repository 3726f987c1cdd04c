"""The jobs of the controls: the same folds, predictions and records as those of the networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pneumobench.records.job_record import CONTROL_ORIGIN, JobRecord, read_record
from pneumobench.records.manifest import finish_job
from pneumobench.records.run_folder import write_predictions
from pneumobench.runs.context import Bench
from pneumobench.runs.train_job import SCORED_PARTS
from pneumobench.training.controls import Seen, control_features, controls_of, fit_control


def _is_fitted(bench: Bench, name: str, fold: int, sizes: str) -> bool:
    path = bench.folder.record_path(name, fold)
    return path.is_file() and read_record(path).training.get("sizes") == sizes


def run_controls(bench: Bench, folds: Sequence[int]) -> list[JobRecord]:
    """Fit every control of the suite on the folds that have no record of it, and return the new records.

    Raises:
        DataError: the table of original sizes cannot be used.
        SettingsError: no control has a name of the suite.
    """
    classes = bench.three_classes()
    target = bench.index.table["label"].to_numpy(dtype="int64") if classes is None else classes
    written = []
    for control in controls_of(bench.suite):
        name = control.record_name
        sizes = bench.suite.controls.original_sizes if control.reads_original_sizes else ""
        todo = [fold for fold in folds if not _is_fitted(bench, name, fold, sizes)]
        if not todo:
            continue
        features: NDArray[np.float64] | None = None
        for fold in todo:
            positions = bench.folds.positions(bench.index, fold)
            if features is None or control.of_fold or bench.regions is not None:
                seen = Seen(
                    index=bench.index, radiographs=bench.seen(fold), masks=bench.masks, train=positions["train"],
                    original_sizes=sizes,
                )  # fmt: skip
                features = control_features(control, seen)
            outputs = fit_control(features, target, positions["train"], bench.suite.training_seed)
            rows = {part: (positions[part], outputs[positions[part]]) for part in SCORED_PARTS}
            path = bench.folder.predictions_path(name, fold)
            record = bench.record(name, fold, weights_origin=CONTROL_ORIGIN)
            record = dataclasses.replace(
                record,
                status="completed",
                reason=None,
                hashes={**record.hashes, "predictions": write_predictions(path, bench.prediction_rows(fold, rows))},
                training={"train_images": len(positions["train"]), "features": features.shape[1], "sizes": sizes},
            )
            finish_job(bench.folder, record)
            written.append(record)
    return written
