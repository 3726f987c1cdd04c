"""How well probabilities order the images, whatever the threshold: ROC curve, AUROC, average precision."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import Booleans, Floats, checked_scores


def roc_curve(probability: ArrayLike, has_pneumonia: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return false positive rate, true positive rate and threshold at every distinct probability.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.

    Returns:
        Three vectors of one length, from (0, 0) to (1, 1). An image is called positive when its probability
        is at least the threshold; the first threshold is infinite: nobody is called positive. Without any
        negative (positive) image the false (true) positive rate is NaN.

    Raises:
        ValueError: malformed arrays.

    Source: Fawcett 2006, doi 10.1016/j.patrec.2005.10.010, algorithm 1.

    >>> false_positive_rate, true_positive_rate, threshold = roc_curve([0.1, 0.4, 0.8], [0, 1, 1])
    >>> true_positive_rate.tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    false_positives, true_positives, threshold = _counts_by_threshold(*checked_scores(probability, has_pneumonia))
    return _rate(false_positives), _rate(true_positives), threshold


def area_under_roc(probability: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the area under the ROC curve.

    It is the chance that a random image with pneumonia gets a higher probability than one without, a tie
    counting half: 1 = perfect order, 0.5 = chance.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.

    Returns:
        A value in [0, 1]; NaN when only one class is there.

    Raises:
        ValueError: malformed arrays.

    Source: Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.

    >>> area_under_roc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    if labels.all() or not labels.any():
        return math.nan
    false_positives, true_positives, _ = _counts_by_threshold(scores, labels)
    # Twice the area in units of one pair: whole numbers, so that the sum is exact in any order.
    doubled = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1]))
    return float(doubled / (2 * false_positives[-1] * true_positives[-1]))


def average_precision(probability: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the area under the precision-recall curve as a step function.

    It is the mean over the images with pneumonia of the precision at their probability: 1 = perfect order,
    the share of pneumonia = chance.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.

    Returns:
        A value in (0, 1]; NaN when only one class is there.

    Raises:
        ValueError: malformed arrays.

    Source: Davis and Goadrich 2006, doi 10.1145/1143844.1143874 (why not the trapezoidal area).

    >>> round(average_precision([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    if labels.all() or not labels.any():
        return math.nan
    false_positives, true_positives, _ = _counts_by_threshold(scores, labels)
    found = np.diff(true_positives)
    precision = true_positives[1:] / (true_positives[1:] + false_positives[1:])
    return math.fsum(found * precision) / float(true_positives[-1])


def _counts_by_threshold(scores: Floats, labels: Booleans) -> tuple[Floats, Floats, Floats]:
    """Return false and true positive counts (whole numbers) and thresholds, from high to low."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(np.flatnonzero(np.diff(falling)), scores.size - 1)  # of the images of each distinct score
    true_positives: Floats = np.concatenate([[0.0], np.cumsum(labels[order], dtype=np.float64)[last]])
    false_positives: Floats = np.concatenate([[0.0], np.cumsum(~labels[order], dtype=np.float64)[last]])
    thresholds: Floats = np.concatenate([[np.inf], falling[last]])
    return false_positives, true_positives, thresholds


def _rate(counts: Floats) -> Floats:
    total = counts[-1]
    return counts / total if total else np.full_like(counts, np.nan)
