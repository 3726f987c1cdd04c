"""Curves within folds for figures: precision against recall, and how far resampled patients move a curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.discrimination import fold_numbers, roc_curve
from pneumobench.metrics.intervals import LEVEL, patient_weights
from pneumobench.metrics.validation import Booleans, Floats, Integers, checked_scores, require_same_length

BAND_RESAMPLES: Final = 500  # of patients; a band is looked at, no number is read from it

# weighted counts of false and true positives (K,), from nobody called positive to all; heights of the curve (G,)
CurveHeights: TypeAlias = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """The middle 95 % of resampled curves at each place, (G,) in [0, 1]; NaN where no resample had a curve.

    Attributes:
        at: places on the horizontal axis.
        low: lower end at each.
        high: upper end at each.
    """

    at: Floats
    low: Floats
    high: Floats


def precision_recall_within_folds(
    probability: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None
) -> tuple[Floats, Floats]:
    """Return the mean precision-recall curve of the folds: at every recall the mean of their precisions.

    Each fold's curve is a step function, as in `average_precision`; so the area under the mean is that of
    `within_folds(average_precision, ...)`.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        folds: as in `within_folds`.

    Returns:
        Recall, rising from 0 to 1, and precision, both (P,): the corners of the steps. Empty where no fold has both
        classes.

    Raises:
        ValueError: malformed arrays.

    Source: Davis and Goadrich 2006, doi 10.1145/1143844.1143874 (steps); Fawcett 2006, doi
        10.1016/j.patrec.2005.10.010, algorithm 3 (vertical averaging).

    >>> recall, precision = precision_recall_within_folds([0.1, 0.4, 0.6, 0.8], [0, 1, 0, 1], None)
    >>> recall.tolist(), precision.round(3).tolist()
    ([0.0, 0.5, 0.5, 1.0], [1.0, 1.0, 0.667, 0.667])
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    fold = fold_numbers(folds, scores.size)
    parts = [part for part in _parts(fold) if 0 < labels[part].sum() < part.sum()]
    if not parts:
        return np.empty(0), np.empty(0)
    counts = [_counts(scores[part], labels[part]) for part in parts]
    recalls = np.unique(np.concatenate([true / true[-1] for _, true in counts]))[1:]  # without 0
    heights = [_precision_at(false, true, recalls) for false, true in counts]
    mean = np.average(heights, axis=0, weights=[part.sum() for part in parts])
    return np.repeat(np.append(0.0, recalls), 2)[1:-1], np.repeat(mean, 2)


def roc_band(
    probability: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None, groups: ArrayLike, at: Floats,
    *, resamples: int = BAND_RESAMPLES, seed: int = 0,
) -> Band:  # fmt: skip
    """Return how far the mean ROC curve of the folds moves when patients are drawn again.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        folds: as in `within_folds`.
        groups: (N,) integers or strings; equal = same patient.
        at: (G,) false positive rates in [0, 1].
        resamples: how many.
        seed: not negative.

    Raises:
        ValueError: malformed arrays.

    Source: Efron and Tibshirani 1993, chapter 13 (percentiles); Fawcett 2006, doi 10.1016/j.patrec.2005.10.010
        (vertical averaging).
    """
    return _band(_sensitivity_at, probability, has_pneumonia, folds, groups, at, resamples, seed)


def precision_recall_band(
    probability: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None, groups: ArrayLike, at: Floats,
    *, resamples: int = BAND_RESAMPLES, seed: int = 0,
) -> Band:  # fmt: skip
    """Return how far the mean precision-recall curve of the folds moves when patients are drawn again.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        folds: as in `within_folds`.
        groups: (N,) integers or strings; equal = same patient.
        at: (G,) recalls in (0, 1].
        resamples: how many.
        seed: not negative.

    Raises:
        ValueError: malformed arrays.

    Source: as `roc_band` and `precision_recall_within_folds`.
    """
    return _band(_precision_at, probability, has_pneumonia, folds, groups, at, resamples, seed)


def _band(
    heights: CurveHeights, probability: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None,
    groups: ArrayLike, at: Floats, resamples: int, seed: int,
) -> Band:  # fmt: skip
    scores, labels = checked_scores(probability, has_pneumonia)
    names = np.asarray(groups)
    require_same_length(probability=scores, groups=names)
    parts = [np.flatnonzero(part) for part in _parts(fold_numbers(folds, scores.size))]
    sums = [_WeightedCounts.of(scores[part], labels[part]) for part in parts]
    curves = []
    for weights in patient_weights(names, resamples=resamples, seed=seed):  # (R, N)
        total, images = np.zeros((len(weights), at.size)), np.zeros((len(weights), 1))
        for part, counted in zip(parts, sums, strict=True):
            drawn = weights[:, part].astype(np.float64)
            for row, (false, true) in enumerate(counted.rows(drawn)):
                if false[-1] and true[-1]:
                    total[row] += drawn[row].sum() * heights(false, true, at)
                    images[row] += drawn[row].sum()
        curves.append(total[images[:, 0] > 0] / images[images[:, 0] > 0])
    found = np.concatenate(curves)
    if not len(found):
        return Band(at=at, low=np.full(at.size, np.nan), high=np.full(at.size, np.nan))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Band(at=at, low=low, high=high)


@dataclass(frozen=True, kw_only=True, eq=False)
class _WeightedCounts:
    """The images of one fold in falling order of their probability, for counts of many resamples."""

    order: Integers
    labels: Booleans
    last: Integers  # place of the last image of each distinct probability

    @classmethod
    def of(cls, scores: Floats, labels: Booleans) -> _WeightedCounts:
        order = np.argsort(-scores, kind="stable")
        last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
        return cls(order=order, labels=labels[order], last=last)

    def rows(self, weights: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Yield false and true positives (K,) of each resample; weights are (R, images of the fold)."""
        ordered = weights[:, self.order]
        false, true = (
            np.pad(np.cumsum(ordered * of_class, axis=1)[:, self.last], ((0, 0), (1, 0)))
            for of_class in (~self.labels, self.labels)
        )
        yield from zip(false, true, strict=True)


def _parts(fold: Integers) -> list[Booleans]:
    return [fold == number for number in range(int(fold.max()) + 1)]


def _counts(scores: Floats, labels: Booleans) -> tuple[Floats, Floats]:
    false_rate, true_rate, _ = roc_curve(scores, labels)
    return false_rate * (~labels).sum(), true_rate * labels.sum()


def _sensitivity_at(false: Floats, true: Floats, at: Floats) -> Floats:
    heights: Floats = np.interp(at, false / false[-1], true / true[-1])  # of a jump its upper end
    return heights


def _precision_at(false: Floats, true: Floats, at: Floats) -> Floats:
    """Return the precision where a recall is first reached; `at` above 0."""
    first = np.searchsorted(true / true[-1], at - 1e-12)  # a recall of another fold differs by rounding alone
    heights: Floats = true[first] / (true[first] + false[first])
    return heights
