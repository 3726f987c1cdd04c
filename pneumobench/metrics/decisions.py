"""Formulas of what decisions are worth, from counts of true and false positives and negatives.

Counts are arrays (N,) of whole numbers as floats, so that one confusion matrix and 2,000 resampled ones share a
formula. A share of nothing is NaN: it was not measured, and a 0 would enter means over folds as if it had been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from pneumobench.metrics.validation import Floats

# from true positives, false negatives, false positives and true negatives, (N,) each, to N values
CountFormula: TypeAlias = Callable[[Floats, Floats, Floats, Floats], Floats]


def accuracy(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return the share of right decisions, in [0, 1]; NaN without images."""
    return _share(tp + tn, tp + fn + fp + tn)


def precision(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    """Return the share of pneumonia among the images called so, in [0, 1]; NaN when none was called so."""
    return _share(tp, tp + fp)


def npv(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    """Return the negative predictive value: the share of normal images among those called normal, in [0, 1].

    NaN when every image is called pneumonia. Like precision it depends on how frequent pneumonia is in the images.
    """
    return _share(tn, tn + fn)


def recall(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    """Return the sensitivity: the share of pneumonia that was found, in [0, 1]; NaN without pneumonia."""
    return _share(tp, tp + fn)


def specificity(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    """Return the share of images without pneumonia that were left alone, in [0, 1]; NaN without any."""
    return _share(tn, tn + fp)


def f1(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    """Return the harmonic mean of precision and recall, in [0, 1].

    NaN when no image has pneumonia and none was called so. It is 2 tp / (2 tp + fp + fn), which is 0, not
    NaN, when there is pneumonia and none was found.
    """
    return _share(2 * tp, 2 * tp + fp + fn)


def f1_normal(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return F1 of the images without pneumonia, in [0, 1]: as `f1` with the classes exchanged."""
    return f1(tn, fp, fn, tp)


def macro_f1(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return the mean of `f1` and `f1_normal`, in [0, 1]; NaN where one of them is."""
    return (f1(tp, fn, fp, tn) + f1_normal(tp, fn, fp, tn)) / 2


def balanced_accuracy(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return the mean of recall and specificity, in [0, 1], chance = 0.5; NaN with one class only."""
    return (recall(tp, fn, fp, tn) + specificity(tp, fn, fp, tn)) / 2


def mcc(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return Matthews' correlation of truth and decision, in [-1, 1]: 1 = all right, 0 = chance.

    The same decision for every image is chance: 0. With one class only there is nothing to correlate: NaN.

    Source: Chicco and Jurman 2020, doi 10.1186/s12864-019-6413-7.

    >>> mcc(*np.array([[2.0], [0.0], [0.0], [2.0]])).tolist()
    [1.0]
    """
    truth, decision = (tp + fn) * (fp + tn), (tp + fp) * (fn + tn)
    constant_decision = (truth > 0) & (decision == 0)
    return np.where(constant_decision, 0.0, _share(tp * tn - fp * fn, np.sqrt(truth * decision)))


def diagnostic_odds_ratio(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    """Return the odds of being called pneumonia with pneumonia over those without it, from 0 up; 1 = chance.

    It is tp tn / (fn fp). Without a missed pneumonia or without a false alarm the ratio has no finite value: NaN.
    Adding one half to every count, as meta-analyses do, would give one; but it would set the value of a perfect
    network by the number of its images, and so it is not done here. It is 0 when no decision of a class is right.

    Source: Glas et al. 2003, doi 10.1016/S0895-4356(03)00177-X.

    >>> diagnostic_odds_ratio(*np.array([[6.0], [2.0], [1.0], [3.0]])).tolist()
    [9.0]
    """
    return _share(tp * tn, fn * fp)


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
