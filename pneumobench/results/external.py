"""Scores of a run's networks on data of another source, beside those on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.metrics import calibration, operating_point
from pneumobench.metrics.intervals import Interval, bootstrap_interval, weighted_area_under_roc
from pneumobench.metrics.validation import Floats, Integers
from pneumobench.results.leaderboard import Row
from pneumobench.results.scores import DEFAULT_THRESHOLD, OperatingPoint, operating_point_of

EXTERNAL_COLUMNS: Final = ("image_id", "label", "fold", "logit", "probability")


@dataclass(frozen=True, kw_only=True)
class ExternalScore:
    """One architecture on external data, mean probability of its folds' networks.

    Args:
        architecture: its name.
        folds: networks in the mean.
        images: films of the external data.
        auc: area under the ROC curve there.
        auc_interval: its 95 % interval over patients.
        internal_auc: out of fold, on the run's own data.
        drop: internal minus external.
        drop_interval: its 95 % interval; the patients of both sources are resampled.
        at_half: decisions at probability 0.5.
        at_tuned: decisions at the mean of the thresholds that the folds' tune parts chose.
        brier: Brier score.
        ece: expected calibration error.
    """

    architecture: str
    folds: int
    images: int
    auc: float
    auc_interval: Interval
    internal_auc: float
    drop: float
    drop_interval: Interval
    at_half: OperatingPoint
    at_tuned: OperatingPoint
    brier: float
    ece: float


def external_score(
    row: Row, predictions: pd.DataFrame, group: pd.Series[int], internal_group: pd.Series[int]
) -> ExternalScore:
    """Score external predictions of an architecture.

    Args:
        row: its row in the run's leaderboard.
        predictions: columns EXTERNAL_COLUMNS, one row an image and fold.
        group: patient group of the external films by image_id, both classes present.
        internal_group: the same of the run's own films.
    """
    mean = predictions.groupby("image_id", sort=True)[["label", "probability"]].mean()
    probability, label = mean["probability"].to_numpy(np.float64), mean["label"].to_numpy() == 1
    outside = weighted_area_under_roc(probability, label)
    own = row.predictions
    inside = weighted_area_under_roc(own["probability"].to_numpy(np.float64), own["label"].to_numpy() == 1)
    groups, count = group.loc[mean.index].to_numpy(), len(mean)

    def drop(weights: Integers) -> Floats:
        return np.asarray(inside(weights[:, count:]) - outside(weights[:, :count]), dtype=np.float64)

    # patients of two sources are never the same: their numbers are kept apart
    both = np.concatenate([groups, internal_group.loc[own["image_id"]].to_numpy() + groups.max() + 1])
    everything = np.ones((1, count), dtype=np.int64)
    auc = float(outside(everything)[0])
    assert row.pooled is not None
    threshold = float(np.mean(list(row.thresholds.values())))
    at_half, at_tuned = (
        operating_point_of(operating_point.confusion_at(probability, label, threshold=value))
        for value in (DEFAULT_THRESHOLD, threshold)
    )
    return ExternalScore(
        architecture=row.architecture,
        folds=int(predictions["fold"].nunique()),
        images=count,
        auc=auc,
        auc_interval=bootstrap_interval(outside, groups),
        internal_auc=row.pooled.auc,
        drop=row.pooled.auc - auc,
        drop_interval=bootstrap_interval(drop, both),
        at_half=at_half,
        at_tuned=at_tuned,
        brier=calibration.brier_score(probability, label),
        ece=calibration.expected_calibration_error(probability, label),
    )
