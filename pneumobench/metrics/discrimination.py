"""How well probabilities order the images, whatever the threshold: ROC curve, AUROC, average precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import Booleans, Floats, Integers, checked_scores


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
    return area_of_checked(*checked_scores(probability, has_pneumonia))


def area_of_checked(scores: Floats, labels: Booleans) -> float:
    """Return `area_under_roc` of arrays that were checked before."""
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


def within_folds(
    metric: Callable[[Floats, Booleans], float],
    probability: ArrayLike,
    has_pneumonia: ArrayLike,
    folds: ArrayLike | None,
) -> float:
    """Return a metric of the order of images within each fold, averaged over folds weighted by their images.

    The models of several folds have several scales of probability: an image of one fold says nothing when it is set
    against an image of another. So only images that one model scored are compared.

    Args:
        metric: of probabilities and labels; NaN where undefined.
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        folds: (N,) integers; images of one fold were scored by one model. None = one model scored all.

    Returns:
        The mean; folds where the metric is undefined (of one class only) are left out of it. NaN where it is in all.

    Raises:
        ValueError: malformed arrays.

    Source: Airola et al. 2011, doi 10.1016/j.csda.2010.11.018 (pooling is biased, averaging over folds is not).

    >>> within_folds(area_under_roc, [0.1, 0.2, 0.8, 0.9], [0, 1, 0, 1], [0, 0, 1, 1])
    1.0
    >>> area_under_roc([0.1, 0.2, 0.8, 0.9], [0, 1, 0, 1])
    0.75
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    fold = fold_numbers(folds, scores.size)
    parts = [fold == number for number in range(int(fold.max()) + 1)]
    found = [(float(part.sum()), metric(scores[part], labels[part])) for part in parts]
    defined = [(images, value) for images, value in found if not math.isnan(value)]
    if len(defined) < 2:
        return defined[0][1] if defined else math.nan
    return math.fsum(images * value for images, value in defined) / math.fsum(images for images, _ in defined)


def roc_curve_within_folds(
    probability: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None
) -> tuple[Floats, Floats]:
    """Return the mean ROC curve of the folds: at every false positive rate the mean of their true positive rates.

    The area under it is that of `within_folds`.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        folds: as in `within_folds`.

    Returns:
        False and true positive rate, from (0, 0) to (1, 1); empty where no fold has both classes.

    Raises:
        ValueError: malformed arrays.

    Source: Fawcett 2006, doi 10.1016/j.patrec.2005.10.010, algorithm 3 (vertical averaging).
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    fold = fold_numbers(folds, scores.size)
    parts = [fold == number for number in range(int(fold.max()) + 1)]
    parts = [part for part in parts if 0 < labels[part].sum() < part.sum()]
    if not parts:
        return np.empty(0), np.empty(0)
    curves = [roc_curve(scores[part], labels[part])[:2] for part in parts]
    rates = np.unique(np.concatenate([false_positive for false_positive, _ in curves]))
    ends = [_vertical_ends(*curve, rates) for curve in curves]  # a curve that jumps has two heights at one rate
    height = np.average(ends, axis=0, weights=[part.sum() for part in parts])
    return np.repeat(rates, 2), height.T.ravel()


def _vertical_ends(false_positive: Floats, true_positive: Floats, rates: Floats) -> Floats:
    """Return the lower and the upper end (2, R) of a ROC curve at each rate."""
    first = np.searchsorted(false_positive, rates, side="left")
    last = np.searchsorted(false_positive, rates, side="right") - 1
    between = np.interp(rates, false_positive, true_positive)
    lower, upper = true_positive[first], true_positive[last]
    return np.where(first <= last, [lower, upper], between)


def fold_numbers(folds: ArrayLike | None, images: int) -> Integers:
    """Return for every image the place of its fold, from 0, in the order of their numbers; all 0 where there is one.

    Raises:
        ValueError: another number of folds than of images, or something else than whole numbers.
    """
    if folds is None:
        return np.zeros(images, np.int64)
    numbers = np.asarray(folds)
    if numbers.shape != (images,) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"folds holds {numbers.dtype} values of shape {numbers.shape}; expected one whole number "
            f"for each of {images} images."
        )
    places: Integers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return places


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
