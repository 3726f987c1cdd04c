"""Scores and cost of one job, by the names under which they are tracked."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from pneumobench.leaderboard.lung_attention import attention_with_outcomes
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.leaderboard.three_classes import class_probabilities
from pneumobench.metrics import multiclass
from pneumobench.metrics.confusion import confusion_at, confusion_metrics
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import CLASSES

REPORTED_AT_HALF: Final = ("accuracy", "f1", "mcc", "recall", "specificity")


def final_metrics(folder: RunFolder, record: JobRecord) -> dict[str, float]:
    """Return a completed job's scores on the test part of its fold, and its cost, without undefined ones.

    Accuracy and its like are at probability 0.5. The mean lung attention ratio of the images with pneumonia
    carries the tier of the lung masks in its name, because tiers must not share a column.

    Raises:
        RecordError: the predictions or the lung attention are missing or were changed.
    """
    predictions = folder.predictions(record)
    test = predictions[predictions["split"] == "test"]
    probability, has_pneumonia = test["probability"].to_numpy(), test["label"].to_numpy() == 1
    at_half = confusion_metrics(confusion_at(probability, has_pneumonia, threshold=DEFAULT_THRESHOLD))
    metrics = {"test_auc": area_under_roc(probability, has_pneumonia)}
    metrics |= {f"test_{name}": at_half[name] for name in REPORTED_AT_HALF}
    if "class_label" in test and test["class_label"].nunique() == len(CLASSES):
        number, shares = test["class_label"].to_numpy(), class_probabilities(test)
        metrics["test_macro_auc"] = float(multiclass.area_by_class(shares, number).mean())
        metrics["test_macro_f1"] = float(multiclass.f1_by_class(multiclass.confusion_matrix(shares, number)).mean())
    if record.explanation is not None:
        rows = attention_with_outcomes(folder.attention(record), test)
        shown = rows[(rows["method"] == record.explanation.method) & (rows["label"] == 1)]
        metrics[f"test_lar_{record.explanation.mask_tier}"] = float(shown["lar"].mean())
    if record.cost is not None:
        cost = dataclasses.asdict(record.cost)
        metrics |= {f"cost_{name}": float(value) for name, value in cost.items() if value is not None}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
