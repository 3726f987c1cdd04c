"""Scores of normal, bacterial and viral of one architecture from its predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.leaderboard.scores import folds_of
from pneumobench.metrics import multiclass
from pneumobench.metrics.estimates import area_estimate, mean_estimate
from pneumobench.metrics.intervals import Interval
from pneumobench.records.run_folder import CLASS_COLUMNS
from pneumobench.suite.spec import CLASSES


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class against the others; the class with the largest probability is called. What does not exist is NaN."""

    images: int
    recall: float
    precision: float
    f1: float
    auc: float


@dataclass(frozen=True, kw_only=True)
class ThreeClassScores:
    """Scores of one set of predictions of three classes.

    Args:
        images: number of images.
        accuracy: share of images that are called right.
        balanced_accuracy: mean of the classes' recalls (macro recall).
        macro_precision: mean of the classes' precisions, that of a class that is never called counted as 0.
        macro_f1: mean of the classes' F1.
        mcc: Matthews correlation coefficient of three classes.
        macro_auc: mean of the areas of each class against the others, within folds.
        macro_auc_interval: its 95 % interval over patients.
        bacterial_auc: bacterial against viral images among those with pneumonia, by their relative probability, within
            folds.
        bacterial_auc_interval: its 95 % interval over patients.
        by_class: scores of each class.
        confusion: images by class (rows) and call (columns), in the order normal, bacterial, viral.
    """

    images: int
    accuracy: float
    balanced_accuracy: float
    macro_precision: float
    macro_f1: float
    mcc: float
    macro_auc: float
    macro_auc_interval: Interval
    bacterial_auc: float
    bacterial_auc_interval: Interval
    by_class: dict[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]


def three_class_scores(table: pd.DataFrame, group: pd.Series[int]) -> ThreeClassScores | None:
    """Return the scores of a table of predictions; None where it is of two classes, or a class is missing.

    Args:
        table: image_id and CLASS_COLUMNS; `fold` where there are several models.
        group: patient group by image_id.
    """
    if "class_label" not in table or table["class_label"].nunique() < len(CLASSES):
        return None
    number, probability = table["class_label"].to_numpy(np.int64), class_probabilities(table)
    groups = group.loc[table["image_id"]].to_numpy()
    confusion = multiclass.confusion_matrix(probability, number)
    recall, precision = multiclass.recall_by_class(confusion), multiclass.precision_by_class(confusion)
    f1, folds = multiclass.f1_by_class(confusion), folds_of(table)
    areas = [area_estimate(probability[:, k], number == k, groups, folds) for k in range(len(CLASSES))]
    macro = mean_estimate(areas)
    ill = number > 0
    # an image that is surely normal has no relative probability; it says nothing about the two
    bacterial, viral = probability[ill, 1], probability[ill, 2]
    relative = np.divide(bacterial, bacterial + viral, out=np.full(len(viral), 0.5), where=bacterial + viral > 0)
    bacterial_area = area_estimate(relative, number[ill] == 1, groups[ill], None if folds is None else folds[ill])
    return ThreeClassScores(
        images=len(table),
        accuracy=multiclass.multiclass_accuracy(confusion),
        balanced_accuracy=float(recall.mean()),
        macro_precision=float(np.nan_to_num(precision).mean()),
        macro_f1=float(f1.mean()),
        mcc=multiclass.multiclass_mcc(confusion),
        macro_auc=macro.value,
        macro_auc_interval=macro.area_interval(),
        bacterial_auc=bacterial_area.value,
        bacterial_auc_interval=bacterial_area.area_interval(),
        by_class={
            name: ClassScores(
                images=int(confusion[k].sum()),
                recall=float(recall[k]),
                precision=float(precision[k]),
                f1=float(f1[k]),
                auc=areas[k].value,
            )
            for k, name in enumerate(CLASSES)
        },
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def class_probabilities(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probabilities (N, 3) of a table, brought to a sum of 1: nine digits a number are on disk."""
    shares = table[list(CLASS_COLUMNS[1:])].to_numpy(np.float64)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
