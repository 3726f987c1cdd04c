"""The numbers of one architecture from its predictions: out of fold, fold by fold, and on the official test.

What orders images is computed within folds: a table of predictions with a column `fold` was scored by one model a fold,
a table without it by one predictor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.metrics import calibration
from pneumobench.metrics.confusion import Confusion, confusion_at
from pneumobench.metrics.discrimination import area_under_roc, within_folds
from pneumobench.metrics.estimates import PatientEstimate, area_estimate
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.selective import confidence_at_coverage
from pneumobench.metrics.table import CALIBRATION_METRICS, METRICS, RANK_METRICS
from pneumobench.metrics.thresholds import MAIN_RULE, THRESHOLD_RULES
from pneumobench.records.run_folder import CLASS_COLUMNS

DEFAULT_THRESHOLD: Final = 0.5
COVERAGES: Final = (0.95, 0.9, 0.8)  # shares of the validation part that are decided, the others being for a reader


class MetricValues:
    """Scores of images whose metrics are asked for by the names of the table of metrics."""

    of_probability: Mapping[str, float]
    at_half: Confusion

    @property
    def auc(self) -> float:
        """Area under the ROC curve, 0 to 1, 1 = perfect ranking: what the leaderboard is ordered by."""
        return self.of_probability["auc"]

    def value(self, metric: str) -> float:
        """Return a metric of the table by its name; decisions are those at probability 0.5.

        Raises:
            KeyError: no metric has this name.
        """
        return self.of_probability[metric] if metric in self.of_probability else self.at_half.value(metric)


@dataclass(frozen=True, kw_only=True)
class Scores(MetricValues):
    """All scores of one set of predictions.

    Args:
        images: number of images.
        pneumonia_images: how many of them show pneumonia.
        auc_interval: 95 % interval of the AUC over patient groups; None for a single fold.
        auc_pooled: area over the images of all folds together, which mixes the scales of their models: shown
            beside `auc`, and nothing rests on it; None where one predictor scored all.
        of_probability: every metric of probabilities, by name; those of the order of images within folds.
        tempered: every calibration metric after temperature scaling, by name.
        at_half: decisions at probability 0.5.
        at_tuned: decisions at the threshold(s) chosen on the validation part.
    """

    images: int
    pneumonia_images: int
    auc_interval: Interval | None
    auc_pooled: float | None
    of_probability: Mapping[str, float]
    tempered: Mapping[str, float]
    at_half: Confusion
    at_tuned: Confusion


@dataclass(frozen=True, kw_only=True)
class FoldModel:
    """One fold's predictions with what its validation part decided.

    Args:
        fold: number of the fold.
        thresholds: probability threshold by each rule of THRESHOLD_RULES, on the validation part.
        temperature: what logits are divided by, fitted on the validation part.
        sure_from: tempered confidence that a share of the validation part reaches, by share, see COVERAGES.
        test: out-of-fold rows: image_id, label, logit, probability, tempered; for three classes CLASS_COLUMNS too.
        official: the official test rows, the same columns; may be empty.
    """

    fold: int
    thresholds: dict[str, float]
    temperature: float
    sure_from: dict[str, float]
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
    of_tune = predictions["split"].to_numpy() == "tune"
    tune = predictions[of_tune]
    has_pneumonia = _labels(tune)
    temperature = calibration.fit_temperature(tune["logit"].to_numpy(np.float64), has_pneumonia)
    tempered = calibration.apply_temperature(predictions["logit"].to_numpy(np.float64), temperature)
    table = predictions.assign(tempered=tempered)
    columns = ["image_id", "label", "logit", "probability", "tempered"]
    columns += [column for column in CLASS_COLUMNS if column in table]
    return FoldModel(
        fold=fold,
        thresholds={name: rule.choose(_probability(tune), has_pneumonia) for name, rule in THRESHOLD_RULES.items()},
        temperature=temperature,
        sure_from={f"{share:g}": confidence_at_coverage(tempered[of_tune], share) for share in COVERAGES},
        test=table.loc[table["split"] == "test", columns].sort_values("image_id", ignore_index=True),
        official=table.loc[table["split"] == "official_test", columns].sort_values("image_id", ignore_index=True),
    )


def out_of_fold_scores(models: list[FoldModel], group: pd.Series[int]) -> Scores:
    """Score all out-of-fold predictions: their order within folds, each fold's threshold applied to that fold only.

    Args:
        models: the folds, each image tested in one of them.
        group: patient group by image_id.
    """
    return _scores(
        out_of_fold_predictions(models),
        [(_probability(model.test), _labels(model.test), model.threshold) for model in models],
        group,
    )


def out_of_fold_predictions(models: list[FoldModel]) -> pd.DataFrame:
    """Return the out-of-fold rows of all folds with their `fold`, sorted by image_id."""
    tables = [model.test.assign(fold=model.fold) for model in models]
    return pd.concat(tables).sort_values("image_id", ignore_index=True)


def folds_of(table: pd.DataFrame) -> NDArray[np.int64] | None:
    """Return the fold of every image; None where one predictor scored all."""
    return table["fold"].to_numpy(np.int64) if "fold" in table else None


def area_of(table: pd.DataFrame, group: pd.Series[int]) -> PatientEstimate:
    """Return the AUC of predictions, within folds, with the influence of every patient.

    Args:
        table: image_id, label and probability; `fold` where there are several models.
        group: patient group by image_id.
    """
    return area_estimate(_probability(table), _labels(table), group.loc[table["image_id"]].to_numpy(), folds_of(table))


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
        out_of_fold: decisions on out-of-fold images, each with the threshold of its own fold.
        official: decisions on the official test folder at the mean threshold; None when there is none.
    """

    threshold: float
    out_of_fold: Confusion
    official: Confusion | None


def chosen_points(models: list[FoldModel]) -> dict[str, ChosenPoint]:
    """Return the decisions by each rule of THRESHOLD_RULES; nothing without models."""
    if not models:
        return {}
    official = official_predictions(models)
    points = {}
    for name in THRESHOLD_RULES:
        mean = float(np.mean([model.thresholds[name] for model in models]))
        points[name] = ChosenPoint(
            threshold=mean,
            out_of_fold=_decided([(_probability(m.test), _labels(m.test), m.thresholds[name]) for m in models]),
            official=_decided([(_probability(official), _labels(official), mean)])
            if official["label"].nunique() == 2
            else None,
        )
    return points


def fold_scores(model: FoldModel, rows: pd.DataFrame) -> Scores:
    """Score one fold's model on `rows` (its test or its official rows), without an interval."""
    return _scores(rows, [(_probability(rows), _labels(rows), model.threshold)], None)


def spread(scores: list[Scores]) -> dict[str, MeanSpread]:
    """Return mean and standard deviation over folds of every metric, by name; decisions are those at 0.5."""
    found = {}
    for name in METRICS:
        column = [fold.value(name) for fold in scores]
        deviation = float(np.std(column, ddof=1)) if len(column) > 1 else float("nan")
        found[name] = MeanSpread(mean=float(np.mean(column)), sd=deviation)
    return found


def metrics_of(
    probability: NDArray[np.float64], has_pneumonia: NDArray[np.bool_], folds: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Return every metric of probabilities of the table, by name; those of the order of images within folds."""
    order = {
        name: within_folds(metric.function, probability, has_pneumonia, folds) for name, metric in RANK_METRICS.items()
    }
    return order | {name: metric.function(probability, has_pneumonia) for name, metric in CALIBRATION_METRICS.items()}


def _decided(parts: list[tuple[NDArray[np.float64], NDArray[np.bool_], float]]) -> Confusion:
    """Return the decisions on several sets of images together, each with its own threshold."""
    counts = Confusion(tp=0, fn=0, fp=0, tn=0)
    for probability, has_pneumonia, threshold in parts:
        counts += confusion_at(probability, has_pneumonia, threshold=threshold)
    return counts


def _scores(
    table: pd.DataFrame,
    tuned_parts: list[tuple[NDArray[np.float64], NDArray[np.bool_], float]],
    group: pd.Series[int] | None,
) -> Scores:
    probability, has_pneumonia = _probability(table), _labels(table)
    tempered = table["tempered"].to_numpy(np.float64)
    folds = folds_of(table)
    return Scores(
        images=len(table),
        pneumonia_images=int(has_pneumonia.sum()),
        auc_interval=None if group is None else area_of(table, group).area_interval(),
        auc_pooled=None if folds is None else area_under_roc(probability, has_pneumonia),
        of_probability=metrics_of(probability, has_pneumonia, folds),
        tempered={name: metric.function(tempered, has_pneumonia) for name, metric in CALIBRATION_METRICS.items()},
        at_half=confusion_at(probability, has_pneumonia, threshold=DEFAULT_THRESHOLD),
        at_tuned=_decided(tuned_parts),
    )


def _probability(table: pd.DataFrame) -> NDArray[np.float64]:
    return table["probability"].to_numpy(np.float64)


def _labels(table: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(table["label"].to_numpy() == 1, dtype=np.bool_)
