"""Bootstrap intervals over patients: the images of one child are drawn together or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import (
    Floats,
    Integers,
    group_indices,
)

RESAMPLES = 2000
LEVEL = 0.95
# Numbers in one chunk of weights: 8 MB as int64, so that chunk and intermediates stay near the processor.
CHUNK_VALUES = 1_000_000
CHUNKS_KEPT = 32  # 2 MB each up to 65,535 patients: 2,000 resamples of 15,000 images

# From weights (R, N) of R resamples to R values.
WeightedStatistic: TypeAlias = Callable[[Integers], Floats]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval.

    Attributes:
        low: lower end; NaN when there are fewer than two patients or no resample had a value.
        high: upper end; NaN as `low`.
        undefined_resamples: of a bootstrap: how many resamples had no value (of one class only, say) and were left out.
    """

    low: float
    high: float
    undefined_resamples: int = 0


def patient_weights(groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int) -> Iterator[Integers]:
    """Yield how often every image stands in each resample, in chunks of resamples.

    Each resample draws as many patients as there are, with replacement, and takes all their images. The same
    groups, number and seed give the same weights on every machine and with every NumPy: they come from the
    raw bits of PCG64, whose stream is guaranteed, unlike that of the methods on top of it (NEP 19).

    Args:
        groups: (N,) integers or strings; equal = same patient.
        resamples: how many.
        seed: not negative.

    Yields:
        (R, N) integer weights; the R of all chunks sum to `resamples`.

    Raises:
        ValueError: malformed groups, or `resamples` below 1.

    Source: Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x (cluster bootstrap).
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1.")
    image_group = group_indices(groups)
    return _weight_chunks(image_group, resamples, seed)


def bootstrap_interval(
    statistic: WeightedStatistic,
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Return the patient-bootstrap percentile interval of any weighted statistic.

    Args:
        statistic: takes integer image weights (R, N), gives R values, NaN where undefined.
        groups: (N,) integers or strings; equal = same patient.
        resamples: how many.
        seed: not negative.
        level: coverage in (0, 1).

    Raises:
        ValueError: malformed groups or options.

    >>> ages = np.array([1.0, 2.0, 3.0, 4.0])
    >>> mean = lambda weights: weights @ ages / weights.sum(axis=1)
    >>> bootstrap_interval(mean, ["a", "a", "b", "c"], resamples=500, seed=1).low
    1.5
    """
    return percentile_interval(resampled_values(statistic, groups, resamples=resamples, seed=seed), level=level)


def resampled_values(statistic: WeightedStatistic, groups: ArrayLike, *, resamples: int, seed: int) -> Floats:
    """Return the statistic of every resample; all NaN with one patient, whose resamples are all the same."""
    chunks = patient_weights(groups, resamples=resamples, seed=seed)
    values = np.concatenate([statistic(weights) for weights in chunks])
    if group_indices(groups).max() == 0:
        values = np.full(values.shape, np.nan)
    return values


def percentile_interval(values: Floats, *, level: float = LEVEL) -> Interval:
    """Return the middle `level` of bootstrap values, NaN left out and counted.

    Raises:
        ValueError: `level` outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share in (0, 1), such as 0.95.")
    defined = values[~np.isnan(values)]
    undefined = int(values.size - defined.size)
    if defined.size == 0:
        return Interval(low=np.nan, high=np.nan, undefined_resamples=undefined)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low=low, high=high, undefined_resamples=undefined)


def mean_interval(values: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the 95 % patient-bootstrap interval of the mean over images, NaN left out.

    Args:
        values: (N,), such as lung attention ratios; NaN = not measured on this image.
        groups: (N,) integers or strings; equal = same patient.
        resamples: how many.
        seed: not negative.

    Returns:
        The interval; NaN when fewer than two patients have a value.

    Raises:
        ValueError: malformed arrays, or an infinite value.
    """
    numbers: Floats = np.asarray(values, np.float64)
    names = np.asarray(groups)
    if numbers.ndim != 1 or names.shape != numbers.shape:
        raise ValueError(f"values have shape {numbers.shape}, groups {names.shape}; expected one of each an image.")
    if np.isinf(numbers).any():
        raise ValueError("values hold infinity; expected numbers, or NaN where nothing was measured.")
    measured = ~np.isnan(numbers)
    if not measured.any():
        return Interval(low=np.nan, high=np.nan, undefined_resamples=resamples)
    kept = numbers[measured]

    def mean(weights: Integers) -> Floats:
        # einsum, as `weights @ kept` makes floats of all weights first, which takes five times as long
        result: Floats = np.einsum("rn,n->r", weights, kept) / weights.sum(axis=1)
        return result

    return bootstrap_interval(mean, names[measured], resamples=resamples, seed=seed)


def _weight_chunks(image_group: Integers, resamples: int, seed: int) -> Iterator[Integers]:
    chunk = max(1, CHUNK_VALUES // image_group.size)
    group = image_group.tobytes()
    for start in range(0, resamples, chunk):
        yield _weights(group, start, min(chunk, resamples - start), seed)


@functools.lru_cache(maxsize=CHUNKS_KEPT)
def _weights(image_group: bytes, start: int, rows: int, seed: int) -> Integers:
    """Return the weights (rows, N) of some resamples; many statistics are asked for on the same images."""
    group = np.frombuffer(image_group, np.int64)
    patients = int(group.max()) + 1
    bits = np.random.PCG64(np.random.SeedSequence(seed)).advance(start * patients)
    # The upper 53 bits make a number in [0, 1), as in Generator.random.
    uniform = (bits.random_raw((rows, patients)) >> np.uint64(11)) * 2.0**-53
    drawn = (uniform * patients).astype(np.int64)
    drawn += np.arange(rows)[:, None] * patients  # each row counts into its own stretch
    times = np.bincount(drawn.ravel(), minlength=rows * patients).reshape(rows, patients)
    weights: Integers = times.astype(np.min_scalar_type(patients))[:, group]
    weights.flags.writeable = False
    return weights
