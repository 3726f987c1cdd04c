"""The numbers of one architecture from its predictions: pooled, fold by fold, and on the official test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.metrics import calibration, confusion, discrimination, thresholds
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.intervals import Interval, area_under_roc_interval
from pneumobench.records.run_folder import CLASS_COLUMNS

DEFAULT_THRESHOLD: Final = 0.5
MISS_COST: Final = 5  # false alarms that one missed pneumonia weighs as much as, for the rule `cost`
ThresholdRule: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]
MAIN_RULE: Final = "youden"
THRESHOLD_RULES: Final[dict[str, ThresholdRule]] = {
    MAIN_RULE: thresholds.threshold_youden,
    "f1": partial(thresholds.threshold_best, metric="f1"),
    "mcc": partial(thresholds.threshold_best, metric="mcc"),
    "sensitivity_95": partial(thresholds.threshold_for_sensitivity, at_least=0.95),
    "specificity_95": partial(thresholds.threshold_for_specificity, at_least=0.95),
    "cost": partial(thresholds.threshold_for_cost, miss_cost=MISS_COST),
}


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What follows from one confusion matrix. A ratio whose denominator is 0 is NaN."""

    tp: int
    fn: int
    fp: int
    tn: int
    accuracy: float
    precision: float
    recall: float
    specificity: float
    f1: float
    mcc: float
    balanced_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores of one set of predictions.

    Args:
        images: number of images.
        pneumonia_images: how many of them show pneumonia.
        auc: area under the ROC curve, 0 to 1, 1 = perfect ranking.
        auc_interval: 95 % bootstrap interval over patient groups; None for a single fold.
        average_precision: area under the precision-recall curve.
        at_half: at probability 0.5.
        at_tuned: at the threshold(s) chosen on the validation part.
        brier, brier_tempered: mean squared error of the probability, before and after temperature scaling.
        ece, ece_tempered: expected calibration error, before and after temperature scaling.
    """

    images: int
    pneumonia_images: int
    auc: float
    auc_interval: Interval | None
    average_precision: float
    at_half: OperatingPoint
    at_tuned: OperatingPoint
    brier: float
    brier_tempered: float
    ece: float
    ece_tempered: float


@dataclass(frozen=True, kw_only=True)
class FoldModel:
    """One fold's predictions with what its validation part decided.

    Args:
        fold: number of the fold.
        thresholds: probability threshold by each rule of THRESHOLD_RULES on the validation part.
        temperature: what logits are divided by, fitted on the validation part.
        test: out-of-fold rows: image_id, label, logit, probability, tempered; for three classes CLASS_COLUMNS too.
        official: the official test rows, the same columns; may be empty.
    """

    fold: int
    thresholds: dict[str, float]
    temperature: float
    test: pd.DataFrame
    official: pd.DataFrame

    @property
    def threshold(self) -> float:
        """The threshold of MAIN_RULE."""
        return self.thresholds[MAIN_RULE]


@dataclass(frozen=True, kw_only=True)
class MeanSpread:
    """Mean and standard deviation (n - 1) over folds; the deviation of one fold is NaN."""

    mean: float
    sd: float


def fold_model(fold: int, predictions: pd.DataFrame) -> FoldModel:
    """Choose threshold and temperature on the validation rows of one job; apply the temperature to the others."""
    tune = predictions[predictions["split"] == "tune"]
    has_pneumonia = _labels(tune)
    temperature = calibration.fit_temperature(tune["logit"].to_numpy(np.float64), has_pneumonia)
    tempered = calibration.apply_temperature(predictions["logit"].to_numpy(np.float64), temperature)
    table = predictions.assign(tempered=tempered)
    columns = ["image_id", "label", "logit", "probability", "tempered"]
    columns += [column for column in CLASS_COLUMNS if column in table]
    return FoldModel(
        fold=fold,
        thresholds={name: rule(_probability(tune), has_pneumonia) for name, rule in THRESHOLD_RULES.items()},
        temperature=temperature,
        test=table.loc[table["split"] == "test", columns].sort_values("image_id", ignore_index=True),
        official=table.loc[table["split"] == "official_test", columns].sort_values("image_id", ignore_index=True),
    )


def pooled_scores(models: list[FoldModel], group: pd.Series[int]) -> Scores:
    """Score all out-of-fold predictions together, each fold's validation threshold applied to that fold only.

    Args:
        models: the folds, each image tested in one of them.
        group: patient group by image_id.
    """
    return _scores(
        pooled_predictions(models),
        [(_probability(model.test), _labels(model.test), model.threshold) for model in models],
        group,
    )


def pooled_predictions(models: list[FoldModel]) -> pd.DataFrame:
    """Return the out-of-fold rows of all folds, sorted by image_id."""
    return pd.concat([model.test for model in models]).sort_values("image_id", ignore_index=True)


def official_predictions(models: list[FoldModel]) -> pd.DataFrame:
    """Return the official test rows with the mean probability of all folds' models (empty without any).

    `tempered` is the mean of the tempered probabilities.
    """
    stacked = pd.concat([model.official for model in models])
    columns = ["label", "probability", "tempered", *(column for column in CLASS_COLUMNS if column in stacked)]
    mean = stacked.groupby("image_id", sort=True)[columns].mean()
    return mean.astype({column: np.int64 for column in ("label", "class_label") if column in mean}).reset_index()


def official_scores(models: list[FoldModel], group: pd.Series[int]) -> Scores | None:
    """Score the mean of the folds' models on the official test; its threshold is the mean of theirs.

    Returns:
        None when there is no official test, or when it has one class only.
    """
    table = official_predictions(models)
    if table["label"].nunique() < 2:
        return None
    threshold = float(np.mean([model.threshold for model in models]))
    return _scores(table, [(_probability(table), _labels(table), threshold)], group)


@dataclass(frozen=True, kw_only=True)
class ChosenPoint:
    """What a rule that chooses thresholds on the validation parts leads to.

    Args:
        threshold: mean over the folds' models.
        pooled: decisions on out-of-fold images, each with the threshold of its own fold.
        official: decisions on the official test folder at the mean threshold; None when there is none.
    """

    threshold: float
    pooled: OperatingPoint
    official: OperatingPoint | None


def chosen_points(models: list[FoldModel]) -> dict[str, ChosenPoint]:
    """Return the decisions by each rule of THRESHOLD_RULES; nothing without models."""
    if not models:
        return {}
    official = official_predictions(models)
    points = {}
    for name in THRESHOLD_RULES:
        pooled = Confusion(tp=0, fn=0, fp=0, tn=0)
        for model in models:
            pooled += confusion.confusion_at(
                _probability(model.test), _labels(model.test), threshold=model.thresholds[name]
            )
        mean = float(np.mean([model.thresholds[name] for model in models]))
        found = None
        if official["label"].nunique() == 2:
            found = confusion.confusion_at(_probability(official), _labels(official), threshold=mean)
        points[name] = ChosenPoint(
            threshold=mean,
            pooled=operating_point_of(pooled),
            official=None if found is None else operating_point_of(found),
        )
    return points


def fold_scores(model: FoldModel, rows: pd.DataFrame) -> Scores:
    """Score one fold's model on `rows` (its test or its official rows), without an interval."""
    return _scores(rows, [(_probability(rows), _labels(rows), model.threshold)], None)


def spread(scores: list[Scores]) -> dict[str, MeanSpread]:
    """Return mean and standard deviation over folds of the main scores."""
    values = {
        "auc": [s.auc for s in scores],
        "average_precision": [s.average_precision for s in scores],
        "accuracy": [s.at_half.accuracy for s in scores],
        "precision": [s.at_half.precision for s in scores],
        "recall": [s.at_half.recall for s in scores],
        "specificity": [s.at_half.specificity for s in scores],
        "f1": [s.at_half.f1 for s in scores],
        "mcc": [s.at_half.mcc for s in scores],
        "brier": [s.brier for s in scores],
        "ece": [s.ece for s in scores],
    }
    return {
        name: MeanSpread(
            mean=float(np.mean(column)), sd=float(np.std(column, ddof=1)) if len(column) > 1 else float("nan")
        )
        for name, column in values.items()
    }


def operating_point_of(counts: Confusion) -> OperatingPoint:
    """Return every score of one confusion matrix."""
    return OperatingPoint(
        tp=counts.tp,
        fn=counts.fn,
        fp=counts.fp,
        tn=counts.tn,
        accuracy=confusion.accuracy(counts),
        precision=confusion.precision(counts),
        recall=confusion.recall(counts),
        specificity=confusion.specificity(counts),
        f1=confusion.f1(counts),
        mcc=confusion.mcc(counts),
        balanced_accuracy=confusion.balanced_accuracy(counts),
    )


def _scores(
    table: pd.DataFrame,
    tuned_parts: list[tuple[NDArray[np.float64], NDArray[np.bool_], float]],
    group: pd.Series[int] | None,
) -> Scores:
    probability, has_pneumonia = _probability(table), _labels(table)
    tempered = table["tempered"].to_numpy(np.float64)
    tuned = Confusion(tp=0, fn=0, fp=0, tn=0)
    for part_probability, part_labels, threshold in tuned_parts:
        tuned += confusion.confusion_at(part_probability, part_labels, threshold=threshold)
    interval = None
    if group is not None:
        groups = group.loc[table["image_id"]].to_numpy()
        interval = area_under_roc_interval(probability, has_pneumonia, groups)
    at_half = confusion.confusion_at(probability, has_pneumonia, threshold=DEFAULT_THRESHOLD)
    return Scores(
        images=len(table),
        pneumonia_images=int(has_pneumonia.sum()),
        auc=discrimination.area_under_roc(probability, has_pneumonia),
        auc_interval=interval,
        average_precision=discrimination.average_precision(probability, has_pneumonia),
        at_half=operating_point_of(at_half),
        at_tuned=operating_point_of(tuned),
        brier=calibration.brier_score(probability, has_pneumonia),
        brier_tempered=calibration.brier_score(tempered, has_pneumonia),
        ece=calibration.expected_calibration_error(probability, has_pneumonia),
        ece_tempered=calibration.expected_calibration_error(tempered, has_pneumonia),
    )


def _probability(table: pd.DataFrame) -> NDArray[np.float64]:
    return table["probability"].to_numpy(np.float64)


def _labels(table: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(table["label"].to_numpy() == 1, dtype=np.bool_)
