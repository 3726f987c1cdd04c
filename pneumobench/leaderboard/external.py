"""Scores of a run's networks on data of another source, beside those on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.leaderboard.scores import (
    DEFAULT_THRESHOLD,
    FoldModel,
    MetricValues,
    metrics_of,
    pooled_predictions,
)
from pneumobench.metrics.confusion import Confusion, confusion_at
from pneumobench.metrics.intervals import Interval, bootstrap_interval, weighted_area_under_roc
from pneumobench.metrics.validation import Floats, Integers

EXTERNAL_COLUMNS: Final = ("image_id", "label", "fold", "logit", "probability")


@dataclass(frozen=True, kw_only=True)
class ExternalScore(MetricValues):
    """One architecture on external data.

    Args:
        architecture: its name.
        folds: folds whose networks were asked.
        images: images of the external data.
        of_probability: every metric of the mean probability of the networks, by name.
        auc_interval: 95 % interval of its AUC over patients.
        single_auc: mean over the networks of their own areas.
        internal_auc: out of fold, on the run's own data; there, too, each image is scored by one network.
        drop: internal_auc minus single_auc.
        drop_interval: its 95 % interval; the patients of both sources are resampled.
        at_half: decisions of the mean probability at 0.5.
        at_tuned: decisions at the mean of the thresholds that the folds' validation parts chose.
    """

    architecture: str
    folds: int
    images: int
    of_probability: Mapping[str, float]
    auc_interval: Interval
    single_auc: float
    internal_auc: float
    drop: float
    drop_interval: Interval
    at_half: Confusion
    at_tuned: Confusion


def external_score(
    architecture: str,
    models: list[FoldModel],
    predictions: pd.DataFrame,
    group: pd.Series[int],
    internal_group: pd.Series[int],
) -> ExternalScore:
    """Score external predictions of an architecture.

    Args:
        architecture: its name.
        models: predictions of the asked folds on the run's own images.
        predictions: columns EXTERNAL_COLUMNS, one row an image and fold of the same folds.
        group: patient group of the external images by image_id, both classes present.
        internal_group: the same of the run's own images.
    """
    wide = predictions.pivot(index="image_id", columns="fold", values="probability")
    label = predictions.groupby("image_id")["label"].first().loc[wide.index].to_numpy() == 1
    probability, count = wide.to_numpy(np.float64).mean(axis=1), len(wide)
    of_mean = weighted_area_under_roc(probability, label)
    singles = [weighted_area_under_roc(wide[fold].to_numpy(np.float64), label) for fold in wide.columns]
    own = pooled_predictions(models)
    inside = weighted_area_under_roc(own["probability"].to_numpy(np.float64), own["label"].to_numpy() == 1)

    def single(weights: Integers) -> Floats:
        return np.asarray(np.mean([area(weights) for area in singles], axis=0), dtype=np.float64)

    def drop(weights: Integers) -> Floats:
        return np.asarray(inside(weights[:, count:]) - single(weights[:, :count]), dtype=np.float64)

    groups = group.loc[wide.index].to_numpy()
    # patients of two sources are never the same: their numbers are kept apart
    both = np.concatenate([groups, internal_group.loc[own["image_id"]].to_numpy() + groups.max() + 1])
    everything = np.ones((1, len(both)), dtype=np.int64)
    threshold = float(np.mean([model.threshold for model in models]))
    return ExternalScore(
        architecture=architecture,
        folds=len(singles),
        images=count,
        of_probability=metrics_of(probability, label),
        auc_interval=bootstrap_interval(of_mean, groups),
        single_auc=float(single(everything[:, :count])[0]),
        internal_auc=float(inside(everything[:, count:])[0]),
        drop=float(drop(everything)[0]),
        drop_interval=bootstrap_interval(drop, both),
        at_half=confusion_at(probability, label, threshold=DEFAULT_THRESHOLD),
        at_tuned=confusion_at(probability, label, threshold=threshold),
    )
