"""What another way of showing external images changes, and what coarse facts without structure say of the label."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.leaderboard.external import CHANCE, inverted
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.metrics.comparison import holm
from pneumobench.metrics.confusion import Confusion, confusion_at
from pneumobench.metrics.estimates import PatientEstimate, area_estimate, mean_estimate
from pneumobench.metrics.intervals import Interval
from pneumobench.suite.external_variants import AS_IS

STRATA: Final = 10  # parts of equal size, by a fact
Direction = Literal["same", "opposite", "unclear"]


@dataclass(frozen=True, kw_only=True)
class VariantScore:
    """One architecture on external images that were shown in one way.

    Args:
        architecture: its name.
        variant: `as_is`, or a value of `evaluate --variants`.
        auc: of the mean probability of the networks asked.
        auc_interval: its 95 % interval over patients.
        decisions: at probability 0.5.
        difference: auc minus that of the same images as they are; None for these.
        difference_interval: its 95 % interval, the same patients on both sides.
        p_holm: two-sided, corrected for all rows that are compared.
    """

    architecture: str
    variant: str
    auc: float
    auc_interval: Interval
    decisions: Confusion
    difference: float | None = None
    difference_interval: Interval | None = None
    p_holm: float | None = None


@dataclass(frozen=True, kw_only=True)
class SetFact:
    """What a fact says of the label in one set of images.

    Args:
        normal: mean over normal images; NaN for a model of facts.
        pneumonia: the same over those with pneumonia.
        auc: how well a higher value tells pneumonia: below 0.5, it tells normal.
        auc_interval: 95 % interval over patients.
    """

    normal: float
    pneumonia: float
    auc: float
    auc_interval: Interval


@dataclass(frozen=True, kw_only=True)
class FactScore:
    """What a fact says of the label in the run's own images and in external ones."""

    name: str
    own: SetFact
    external: SetFact

    @property
    def direction(self) -> Direction:
        """Whether it tells the label in the same direction in both sets, as far as intervals without 0.5 say."""
        signs = [_sign(one.auc_interval) for one in (self.own, self.external)]
        if 0 in signs:
            return "unclear"
        return "same" if signs[0] == signs[1] else "opposite"


@dataclass(frozen=True, kw_only=True)
class StrataScore:
    """AUC of an architecture among external images that are alike in a fact: within tenths of it, averaged."""

    architecture: str
    fact: str
    auc: float
    auc_interval: Interval


def variant_scores(predictions: Mapping[str, pd.DataFrame], group: pd.Series[int]) -> tuple[VariantScore, ...]:
    """Score all variants, each paired with the images as they are.

    Args:
        predictions: by variant, `as_is` among them; columns architecture and EXTERNAL_COLUMNS.
        group: patient group by image_id.
    """
    scores = []
    for name in sorted(predictions[AS_IS]["architecture"].unique()):
        areas: dict[str, PatientEstimate] = {}
        for variant, table in predictions.items():
            probability, label, groups = mean_probability(table[table["architecture"] == name], group)
            areas[variant] = area_estimate(probability, label, groups)
            score = VariantScore(
                architecture=name,
                variant=variant,
                auc=areas[variant].value,
                auc_interval=areas[variant].area_interval(),
                decisions=confusion_at(probability, label, threshold=DEFAULT_THRESHOLD),
            )
            if variant != AS_IS:
                change = areas[variant].minus(areas[AS_IS])
                score = dataclasses.replace(
                    score,
                    difference=change.value,
                    difference_interval=change.difference_interval(),
                    p_holm=change.p_value(),
                )
            scores.append(score)
    corrected = iter(holm([score.p_holm for score in scores if score.p_holm is not None]))
    return tuple(
        score if score.p_holm is None else dataclasses.replace(score, p_holm=next(corrected)) for score in scores
    )


def mean_probability(
    predictions: pd.DataFrame, group: pd.Series[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return mean probability over networks, label and patient group of every image, sorted by image_id."""
    wide = predictions.pivot(index="image_id", columns="fold", values="probability")
    label = predictions.groupby("image_id")["label"].first().loc[wide.index].to_numpy() == 1
    groups = np.asarray(group.loc[wide.index], dtype=np.int64)
    return wide.to_numpy(np.float64).mean(axis=1), label, groups


def set_fact(
    values: NDArray[np.float64],
    label: NDArray[np.bool_],
    groups: NDArray[np.int64],
    folds: NDArray[np.int64] | None = None,
) -> SetFact:
    """Return what a fact (N,) says of the label (N,); within `folds` where several models made it."""
    return _of_estimate(_area_of_fact(values, label, groups, folds), values, label)


def model_fact(models: list[NDArray[np.float64]], label: NDArray[np.bool_], groups: NDArray[np.int64]) -> SetFact:
    """Return what models of facts say of external labels: the mean of their AUC, as of single networks."""
    return _of_estimate(mean_estimate([area_estimate(one, label, groups) for one in models]), None, label)


def _area_of_fact(
    values: NDArray[np.float64], label: NDArray[np.bool_], groups: NDArray[np.int64], folds: NDArray[np.int64] | None
) -> PatientEstimate:
    ranks = pd.Series(values).rank().to_numpy() / len(values)  # an area of scores in [0, 1], which has the same order
    return area_estimate(ranks, label, groups, folds)


def _of_estimate(estimate: PatientEstimate, values: NDArray[np.float64] | None, label: NDArray[np.bool_]) -> SetFact:
    return SetFact(
        normal=np.nan if values is None else float(values[~label].mean()),
        pneumonia=np.nan if values is None else float(values[label].mean()),
        auc=estimate.value,
        auc_interval=estimate.area_interval(),
    )


def strata_score(
    architecture: str, fact: str, predictions: pd.DataFrame, values: pd.Series[float], group: pd.Series[int]
) -> StrataScore:
    """Return the AUC of an architecture within tenths of a fact, averaged by images.

    Args:
        architecture: its name.
        fact: name of the fact.
        predictions: EXTERNAL_COLUMNS of this architecture.
        values: the fact by image_id.
        group: patient group by image_id.
    """
    probability, label, groups = mean_probability(predictions, group)
    order = values.sort_index().loc[sorted(predictions["image_id"].unique())].rank(method="first").to_numpy()
    tenth = ((order - 1) * STRATA // len(order)).astype(np.int64)
    estimate = area_estimate(probability, label, groups, tenth)
    return StrataScore(architecture=architecture, fact=fact, auc=estimate.value, auc_interval=estimate.area_interval())


def _sign(interval: Interval) -> int:
    return -1 if inverted(interval) else int(interval.low > CHANCE)
