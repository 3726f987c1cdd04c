"""Scores and cost of one job, by the names under which they are tracked."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd

from pneumobench.leaderboard.lung_attention import attention_with_outcomes, scored_as_chance
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD, area_of, metrics_of
from pneumobench.leaderboard.three_classes import class_probabilities
from pneumobench.metrics import multiclass
from pneumobench.metrics.confusion import confusion_at
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import CLASSES


def final_metrics(folder: RunFolder, record: JobRecord) -> dict[str, float]:
    """Return a completed job's scores on the test part of its fold, and its cost, without undefined ones.

    Every metric of the table is there as `test_NAME`, decisions at probability 0.5. The mean lung attention ratio of
    the images with pneumonia carries the tier of the lung masks in its name, because tiers must not share a column. The
    95 % interval of the AUC, over patients, is `test_auc_low` and `test_auc_high`.

    Raises:
        RecordError: the predictions or the lung attention are missing or were changed.
    """
    predictions = folder.predictions(record)
    test = predictions[predictions["split"] == "test"]
    probability, has_pneumonia = test["probability"].to_numpy(), test["label"].to_numpy() == 1
    at_half = confusion_at(probability, has_pneumonia, threshold=DEFAULT_THRESHOLD)
    scores = metrics_of(probability, has_pneumonia) | at_half.values()
    metrics = {f"test_{name}": value for name, value in scores.items()} | _area_ends(folder, test)
    if "class_label" in test and test["class_label"].nunique() == len(CLASSES):
        number, shares = test["class_label"].to_numpy(), class_probabilities(test)
        metrics["test_macro_auc"] = float(multiclass.area_by_class(shares, number).mean())
        metrics["test_macro_f1"] = float(multiclass.f1_by_class(multiclass.confusion_matrix(shares, number)).mean())
    if record.explanation is not None:
        rows = scored_as_chance(attention_with_outcomes(folder.attention(record), test))
        shown = rows[(rows["method"] == record.explanation.method) & (rows["label"] == 1)]
        metrics[f"test_lar_{record.explanation.mask_tier}"] = float(shown["lar"].mean())
    if record.cost is not None:
        cost = dataclasses.asdict(record.cost)
        metrics |= {f"cost_{name}": float(value) for name, value in cost.items() if value is not None}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _area_ends(folder: RunFolder, test: pd.DataFrame) -> dict[str, float]:
    """Return the ends of the 95 % interval of the AUC over patients; nothing where one class is absent."""
    if test["label"].nunique() < 2:
        return {}
    index, _ = folder.index_and_folds()
    interval = area_of(test, index.table.set_index("image_id")["group"]).area_interval()
    return {"test_auc_low": interval.low, "test_auc_high": interval.high}
