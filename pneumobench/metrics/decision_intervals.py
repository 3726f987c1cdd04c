"""Intervals over patients of what decisions are worth: shares such as recall, which hold near 0 and 1, and the rest."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.intervals import RESAMPLES, Interval, percentile_interval, resampled_values
from pneumobench.metrics.table import COUNT_METRICS
from pneumobench.metrics.validation import Booleans, Floats, Integers, checked_flags, group_indices, require_same_length

NORMAL_QUANTILE: Final = 1.959963984540054  # of the normal law at 0.975


def share_interval(hits: ArrayLike, groups: ArrayLike) -> Interval:
    """Return the 95 % interval of a share of images over patients: Wilson's, for the effective number of images.

    How much less than their number the images say is the design effect: the variance that whole patients give the
    share, against that of independent images. Few misses say little of it, so it is kept between 1 and what it would be
    if all images of a patient were alike, which is taken where there is no miss (or no hit) at all.

    Args:
        hits: (N,) of 0 and 1.
        groups: (N,) integers or strings; equal = same patient.

    Returns:
        NaN with fewer than two patients. benchmark/statistics/share_coverage.md shows how often it holds the true
        share.

    Raises:
        ValueError: malformed arrays.

    Source: Wilson 1927, doi 10.1080/01621459.1927.10502953; Korn and Graubard 1998, Survey Methodology 24, 193-201
        (effective number).

    >>> found = share_interval([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], range(10))
    >>> round(found.low, 3), found.high
    (0.722, 1.0)
    """
    flags, patient = checked_flags(hits, "hits"), group_indices(groups)
    require_same_length(hits=flags, groups=patient)
    sizes = np.bincount(patient)
    images, patients = int(sizes.sum()), int(np.count_nonzero(sizes))
    if patients < 2:
        return Interval(low=math.nan, high=math.nan)
    share = float(flags.mean())
    alike = float(np.sum(sizes.astype(np.float64) ** 2)) / images  # the design effect if a patient's images are alike
    if 0 < share < 1:
        rest = np.bincount(patient, flags - share) / images
        variance = float(np.sum(rest**2)) * patients / (patients - 1)
        effect = min(max(variance * images / (share * (1 - share)), 1.0), alike)
    else:
        effect = alike
    return _wilson(share, images / effect)


def _wilson(share: float, images: float) -> Interval:
    square = NORMAL_QUANTILE**2 / images
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    low, high = middle - half, middle + half
    return Interval(low=0.0 if share == 0 else max(0.0, low), high=1.0 if share == 1 else min(1.0, high))


def confusion_metric_intervals(
    predicted_positive: ArrayLike,
    has_pneumonia: ArrayLike,
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the 95 % interval over patients of every metric of the confusion matrix, by name.

    That of a share of images is `share_interval`, that of the others the middle 95 % of a bootstrap.

    Args:
        predicted_positive: (N,) of 0 and 1: the decision, made with each image's own fold's threshold.
        has_pneumonia: (N,) of 0 and 1.
        groups: (N,) integers or strings; equal = same patient.
        resamples: how many.
        seed: not negative.

    Raises:
        ValueError: malformed arrays.
    """
    called, labels = checked_flags(predicted_positive, "predicted_positive"), checked_flags(has_pneumonia)
    patient = group_indices(groups)
    require_same_length(predicted_positive=called, has_pneumonia=labels, groups=patient)
    shares = {
        "accuracy": (called == labels, np.ones_like(labels)),
        "precision": (labels, called),
        "recall": (called, labels),
        "specificity": (~called, ~labels),
        "npv": (~labels, ~called),
    }
    cells = np.stack([called & labels, ~called & labels, called & ~labels, ~called & ~labels])  # tp fn fp tn
    indicator = cells.T.astype(np.float64)  # (N, 4); floats go through BLAS and are exact for these counts

    def counts(weights: Integers) -> Floats:
        result: Floats = weights.astype(np.float64) @ indicator
        return result

    tp, fn, fp, tn = resampled_values(counts, patient, resamples=resamples, seed=seed).T
    return {
        name: _of_some(*shares[name], patient)
        if name in shares
        else percentile_interval(metric.function(tp, fn, fp, tn))
        for name, metric in COUNT_METRICS.items()
    }


def _of_some(hits: Booleans, among: Booleans, patient: Integers) -> Interval:
    """Return the interval of the share of hits among some images; NaN where there are none."""
    if not among.any():
        return Interval(low=math.nan, high=math.nan)
    return share_interval(hits[among], patient[among])
