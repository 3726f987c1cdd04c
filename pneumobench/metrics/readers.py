"""What several readers of the same images come to: means over readers, changes between two readings, and agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.decision_intervals import NORMAL_QUANTILE
from pneumobench.metrics.estimates import PatientEstimate, logit_interval
from pneumobench.metrics.intervals import RESAMPLES, Interval, bootstrap_interval
from pneumobench.metrics.validation import Floats, Integers, checked_flags, require_same_length

# With fewer readers, or fewer images of a class, intervals of a mean over readers hold the truth too seldom, and with
# fewer images that of one reader's change of AUC: benchmark/statistics/reader_coverage.md
LEAST_READERS: Final = 3
LEAST_IMAGES: Final = 20
NEAR_ONE: Final = 0.95  # a mean AUC from here on; simulated were .9 and .97
NO_INTERVAL: Final = Interval(low=math.nan, high=math.nan)
NO_VARIANCE: Final = 1e-15  # of shares: below is what arithmetic leaves of 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number with its 95 % interval, NaN where there is none."""

    value: float
    interval: Interval


def mean_over_readers(estimates: Sequence[PatientEstimate]) -> Measured:
    """Return the mean of an area or a share over readers of the same images, for other readers and other patients.

    The interval is symmetric on the logit scale, so that it stays inside (0, 1). Whoever shows it heeds LEAST_READERS
    and LEAST_IMAGES.

    Args:
        estimates: of each reader, two or more, over the same patients.

    Returns:
        Mean and interval; without an interval where nothing varies.

    Raises:
        ValueError: fewer than two readers, or other patients.

    Source: Obuchowski and Rockette 1995, doi 10.1080/03610919508813243; Hillis 2007, doi 10.1002/sim.2532 (degrees of
        freedom). benchmark/statistics/reader_coverage.md shows how often it holds the truth.
    """
    mean, half = _mean_and_half(estimates)
    return Measured(value=mean, interval=logit_interval(mean, half))


def mean_change_over_readers(estimates: Sequence[PatientEstimate]) -> Measured:
    """Return the mean over readers of the change of an area or a share, for other readers and other patients.

    Args:
        estimates: of each reader, two or more: the difference between two readings of the same images.

    Returns:
        Mean and interval, cut to -1 and 1; without an interval where nothing varies.

    Raises:
        ValueError: fewer than two readers, or other patients.

    Source: as of `mean_over_readers`; this is their analysis of two modalities.
    """
    mean, half = _mean_and_half(estimates)
    if math.isnan(half):
        return Measured(value=mean, interval=NO_INTERVAL)
    return Measured(value=mean, interval=Interval(low=max(mean - half, -1.0), high=min(mean + half, 1.0)))


def _mean_and_half(estimates: Sequence[PatientEstimate]) -> tuple[float, float]:
    """Return a mean over readers, and half the width of its 95 % interval; NaN where nothing varies.

    The variance of the mean of r readers is (S + r C) / r: S is the variance of their numbers, and C the mean
    covariance of two readers that comes from their images being the same, 0 where it comes out below; what a patient
    does to the numbers of two readers is in the influences. The law is Student's, of the degrees of freedom that r
    readers leave. Readers who happen to come out alike make S small: the interval is never narrower than that of these
    very readers for other patients.
    """
    from scipy.special import stdtrit  # here: whoever asks for no mean does without scipy

    if len(estimates) < 2:
        raise ValueError(f"{len(estimates)} readers; expected at least two for a mean that speaks of others.")
    if any(not np.array_equal(one.patients, estimates[0].patients) for one in estimates):
        raise ValueError("the readers read other patients; expected the same ones of all.")
    values: Floats = np.array([one.value for one in estimates])
    readers, patients = values.size, estimates[0].patients.size
    mean = float(values.mean())
    if math.isnan(mean) or patients < 2:
        return mean, math.nan
    influence = np.stack([one.influence for one in estimates])
    covariance = influence @ influence.T * patients / (patients - 1)
    own = float(np.trace(covariance)) / readers
    shared = float(covariance.sum() - readers * own) / (readers * (readers - 1))
    spread = float(values.var(ddof=1))
    total = spread + readers * max(shared, 0.0)
    if max(total, own) < NO_VARIANCE:
        return mean, math.nan
    freedom = min((readers - 1) * (total / max(spread, NO_VARIANCE)) ** 2, 1e12)  # the normal law from there on
    of_others = float(stdtrit(freedom, 0.975)) * math.sqrt(total / readers)
    of_these = NORMAL_QUANTILE * math.sqrt(max(own + (readers - 1) * shared, 0.0) / readers)
    return mean, max(of_others, of_these)


def paired_share_change(before: ArrayLike, after: ArrayLike) -> Measured:
    """Return the change of a share, such as a reader's sensitivity, between two readings of the same images.

    The interval speaks of other patients, the reader being the same. It adds one image to each kind of disagreement, so
    that it holds for few images, and where no answer changed.

    Args:
        before: (N,) of 0 and 1, one image of each patient.
        after: (N,) of 0 and 1, the same images.

    Raises:
        ValueError: malformed arrays.

    Source: Bonett and Price 2012, doi 10.3102/1076998611411915.

    >>> found = paired_share_change([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1, 0])
    >>> round(found.value, 3), round(found.interval.low, 3), round(found.interval.high, 3)
    (0.1, -0.279, 0.445)
    """
    first, second = checked_flags(before, "before"), checked_flags(after, "after")
    require_same_length(before=first, after=second)
    images = first.size
    gained, lost = int(np.sum(second & ~first)), int(np.sum(first & ~second))
    up, down = (gained + 1) / (images + 2), (lost + 1) / (images + 2)
    half = NORMAL_QUANTILE * math.sqrt((up + down - (up - down) ** 2) / (images + 2))
    interval = Interval(low=max(up - down - half, -1.0), high=min(up - down + half, 1.0))
    return Measured(value=(gained - lost) / images, interval=interval)


def mean_kappa(pairs: Sequence[tuple[ArrayLike, ArrayLike]], *, resamples: int = RESAMPLES, seed: int = 0) -> Measured:
    """Return the mean of Cohen's kappa over pairs of readers, with its interval over images of one patient each.

    1 = agree on every image, 0 = as often as by chance, negative = less often. The interval speaks of other patients,
    the readers being the same.

    Args:
        pairs: decisions (N,) of 0 and 1 of the two readers of each pair, all of the same images.
        resamples: how many.
        seed: not negative.

    Returns:
        NaN where a pair has no kappa; resamples in which one has none are left out and counted. Without an interval
        where all resamples have the same kappa.

    Raises:
        ValueError: malformed arrays, or no pair.

    Source: Cohen 1960, doi 10.1177/001316446002000104; Light 1971, doi 10.1037/h0031643 (mean over pairs).

    >>> mean_kappa([([1, 1, 0, 0], [1, 0, 0, 0])]).value
    0.5
    """
    if not pairs:
        raise ValueError("no pair of readers; expected at least one.")
    checked = [(checked_flags(a, "first"), checked_flags(b, "second")) for a, b in pairs]
    images = checked[0][0].size
    for a, b in checked:
        require_same_length(first=a, second=b, others=checked[0][0])
    value = float(_kappas(checked, np.ones((1, images), np.int64))[0])
    interval = bootstrap_interval(
        lambda weights: _kappas(checked, weights), np.arange(images), resamples=resamples, seed=seed
    )
    if math.isnan(value) or interval.low == interval.high:  # nothing varies: one calls all the same, or both alike
        interval = NO_INTERVAL
    return Measured(value=value, interval=interval)


def _kappas(pairs: Sequence[tuple[np.ndarray, np.ndarray]], weights: Integers) -> Floats:
    """Return the mean kappa of pairs (N,) in each resample (R, N)."""
    images = weights.sum(axis=1).astype(np.float64)
    kappas = []
    for a, b in pairs:
        indicator = np.stack([a == b, a, b], axis=1).astype(np.float64)  # (N, 3)
        agree, calls_a, calls_b = (weights.astype(np.float64) @ indicator / images[:, None]).T
        chance = calls_a * calls_b + (1 - calls_a) * (1 - calls_b)
        with np.errstate(invalid="ignore", divide="ignore"):
            kappas.append(np.where(chance < 1 - 1e-12, (agree - chance) / (1 - chance), np.nan))
    mean: Floats = np.mean(kappas, axis=0)
    return mean
