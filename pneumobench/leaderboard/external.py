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
    area_of,
    metrics_of,
    out_of_fold_predictions,
)
from pneumobench.metrics.confusion import Confusion, confusion_at
from pneumobench.metrics.estimates import area_estimate, mean_estimate
from pneumobench.metrics.intervals import Interval

EXTERNAL_COLUMNS: Final = ("image_id", "label", "fold", "logit", "probability")
CHANCE: Final = 0.5  # the area of a score that has nothing to do with the label


def inverted(interval: Interval) -> bool:
    """Tell whether an area is inverted: its interval lies wholly below 0.5, so that normal images have higher scores.

    A score that is lost has an area about 0.5. One that is inverted still tells the classes, the wrong way round.

    >>> inverted(Interval(low=0.38, high=0.47)), inverted(Interval(low=0.49, high=0.58))
    (True, False)
    """
    return interval.high < CHANCE


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
        internal_auc: within folds, on the run's own data; there, too, each image is scored by one network.
        drop: internal_auc minus single_auc.
        drop_interval: its 95 % interval; the patients of both sources vary.
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

    @property
    def inverted(self) -> bool:
        """Whether it tells the classes the wrong way round, see `inverted`."""
        return inverted(self.auc_interval)


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
    own = out_of_fold_predictions(models)
    groups = group.loc[wide.index].to_numpy()
    single = mean_estimate([area_estimate(wide[fold].to_numpy(np.float64), label, groups) for fold in wide.columns])
    # patients of two sources are never the same: their numbers are kept apart
    inside = area_of(own, internal_group + groups.max() + 1)
    drop = inside.minus(single)
    threshold = float(np.mean([model.threshold for model in models]))
    return ExternalScore(
        architecture=architecture,
        folds=len(wide.columns),
        images=count,
        of_probability=metrics_of(probability, label),
        auc_interval=area_estimate(probability, label, groups).area_interval(),
        single_auc=single.value,
        internal_auc=inside.value,
        drop=drop.value,
        drop_interval=drop.difference_interval(),
        at_half=confusion_at(probability, label, threshold=DEFAULT_THRESHOLD),
        at_tuned=confusion_at(probability, label, threshold=threshold),
    )
