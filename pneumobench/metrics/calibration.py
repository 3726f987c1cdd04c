"""Whether a probability means what it says, and temperature scaling fitted on the validation part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

# scipy is imported in functions: the table of metrics names this module, and is read where nothing is computed
from pneumobench.metrics.validation import (
    Booleans,
    Floats,
    Integers,
    checked_logits,
    checked_numbers,
    checked_scores,
    require_both_classes,
)

# Trained networks need about 1 to 3. Beyond these, probabilities are all but 0 and 1, or all but one half.
LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0
ECE_BINS: Final = 15


def brier_score(probability: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the mean squared distance of probability and truth: 0 = sure and right, 0.25 = always one half.

    Args:
        probability: (N,) in [0, 1].
        has_pneumonia: (N,) of 0 and 1.

    Raises:
        ValueError: malformed arrays.

    Source: Brier 1950, doi 10.1175/1520-0493(1950)078<0001:vofeit>2.0.co;2.

    >>> brier_score([0.5, 1.0], [0, 1])
    0.125
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    return float(np.mean((scores - labels) ** 2))


def expected_calibration_error(probability: ArrayLike, has_pneumonia: ArrayLike, *, bins: int = ECE_BINS) -> float:
    """Return the mean distance of probability and share of pneumonia over bins of equally many images.

    Equal probabilities share a bin, whatever the order of the images; without ties the bin sizes differ by at
    most one. (Bins of equal width would leave most of them empty: networks are seldom unsure.)

    Args:
        probability: (N,) in [0, 1].
        has_pneumonia: (N,) of 0 and 1.
        bins: how many.

    Returns:
        A value in [0, 1]: 0 = calibrated. A few images a bin give a value above 0 by chance alone.

    Raises:
        ValueError: malformed arrays, or fewer than one bin.

    Source: Naeini 2015, doi 10.1609/aaai.v29i1.9602; equal masses: Nixon 2019, arXiv 1904.01685.

    >>> round(expected_calibration_error([0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1], bins=2), 4)
    0.25
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    gap = np.bincount(_bin_of(scores, bins), weights=scores - labels, minlength=bins)
    return float(np.abs(gap).sum() / scores.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityBins:
    """Bins of images by their probability, (B,) from low to high; bins without an image are left out.

    Attributes:
        probability: mean probability of the images of each bin, in [0, 1].
        share: share of them that show pneumonia, in [0, 1]; equal to `probability` = calibrated.
        images: how many they are.
    """

    probability: Floats
    share: Floats
    images: Integers


def reliability_bins(probability: ArrayLike, has_pneumonia: ArrayLike, *, bins: int = ECE_BINS) -> ReliabilityBins:
    """Return the bins of `expected_calibration_error`: the mean of |probability - share| over images is that error.

    Args:
        probability: (N,) in [0, 1].
        has_pneumonia: (N,) of 0 and 1.
        bins: how many.

    Raises:
        ValueError: malformed arrays, or fewer than one bin.

    Source: as `expected_calibration_error`; the diagram: Niculescu-Mizil and Caruana 2005, doi 10.1145/1102351.1102430.

    >>> found = reliability_bins([0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1], bins=2)
    >>> found.probability.round(3).tolist(), found.share.tolist(), found.images.tolist()
    ([0.2, 0.7], [0.0, 1.0], [2, 2])
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    place = _bin_of(scores, bins)
    images = np.bincount(place, minlength=bins)
    there = images > 0
    probabilities, shares = (np.bincount(place, weights=values, minlength=bins) for values in (scores, labels))
    return ReliabilityBins(
        probability=probabilities[there] / images[there], share=shares[there] / images[there], images=images[there]
    )


def _bin_of(scores: Floats, bins: int) -> Integers:
    """Return the bin of every image (N,), from 0."""
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1.")
    _, block, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    first_rank = np.cumsum(sizes) - sizes
    bin_of_block = bins * (2 * first_rank + sizes - 1) // (2 * scores.size)  # by the middle rank of the tie
    place: Integers = bin_of_block[block]
    return place


def calibration_slope_intercept(logit: ArrayLike, has_pneumonia: ArrayLike) -> tuple[float, float]:
    """Return calibration slope and intercept; calibrated logits have slope 1 and intercept 0.

    The slope comes from logistic regression of the truth on the logit: below 1 = overconfident. The intercept
    is calibration-in-the-large, with the slope held at 1: below 0 = pneumonia is overestimated on the whole.

    Args:
        logit: (N,), finite.
        has_pneumonia: (N,) of 0 and 1.

    Returns:
        Slope and intercept. Both are NaN when only one class is there; the slope is NaN when a threshold
        separates the classes without error or all logits are equal: then no finite slope fits best.

    Raises:
        ValueError: malformed arrays.

    Source: Van Calster 2019, doi 10.1186/s12916-019-1466-7; Cox 1958, doi 10.1093/biomet/45.3-4.562.
    """
    logits, labels = checked_logits(logit, has_pneumonia)
    if labels.all() or not labels.any():
        return math.nan, math.nan
    return _slope(logits, labels), _intercept_at_slope_one(logits, labels)


def fit_temperature(logit: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the temperature T whose `sigmoid(logit / T)` has the smallest negative log-likelihood.

    The likelihood has one minimum in 1 / T; it is found as the root of its slope. When no image lies on the
    wrong side of logit 0, ever smaller temperatures fit ever better and say nothing about other images: the
    logits are left as they are, T = 1.

    Args:
        logit: (N,), finite, of the validation part.
        has_pneumonia: (N,) of 0 and 1, both classes.

    Returns:
        A value in [0.05, 20]: above 1 = the model was overconfident. 20 also when the order is no better than
        chance, so that every honest probability is one half.

    Raises:
        ValueError: malformed arrays, or only one class.

    Source: Guo 2017, arXiv 1706.04599.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    logits, labels = checked_logits(logit, has_pneumonia)
    require_both_classes(labels, "fitting a temperature")
    if np.all(np.where(labels, logits, -logits) >= 0):
        return 1.0

    def slope(inverse_temperature: float) -> float:
        return float(np.mean((expit(logits * inverse_temperature) - labels) * logits))

    lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    if slope(lowest) >= 0:
        return HIGHEST_TEMPERATURE
    if slope(highest) <= 0:
        return LOWEST_TEMPERATURE
    return 1 / float(brentq(slope, lowest, highest, xtol=1e-12))


def apply_temperature(logit: ArrayLike, temperature: float) -> Floats:
    """Return the probabilities `sigmoid(logit / temperature)`.

    Args:
        logit: (N,), finite.
        temperature: above 0; 1 changes nothing, more pulls towards one half.

    Raises:
        ValueError: malformed logits, or a temperature that is not a positive number.

    >>> apply_temperature([0.0, 2.0], 2.0).round(3).tolist()
    [0.5, 0.731]
    """
    from scipy.special import expit

    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}; expected a positive number, as fit_temperature gives.")
    probability: Floats = expit(checked_numbers(logit, "logit") / temperature)
    return probability


def _slope(logits: Floats, labels: Booleans) -> float:
    from scipy.optimize import minimize
    from scipy.special import expit

    with_pneumonia, without = logits[labels], logits[~labels]
    if without.max() <= with_pneumonia.min() or with_pneumonia.max() <= without.min():
        return math.nan
    spread = float(logits.std())
    standard = (logits - logits.mean()) / spread  # one size for both coefficients, whatever the logits' scale
    design = np.stack([np.ones_like(standard), standard], axis=1)

    def loss(coefficients: Floats) -> float:
        linear = design @ coefficients
        return float(np.mean(np.logaddexp(0, linear) - labels * linear))

    def gradient(coefficients: Floats) -> Floats:
        result: Floats = design.T @ (expit(design @ coefficients) - labels) / labels.size
        return result

    def curvature(coefficients: Floats) -> Floats:
        probability = expit(design @ coefficients)
        result: Floats = (design.T * (probability * (1 - probability))) @ design / labels.size
        return result

    fit = minimize(loss, np.zeros(2), method="trust-exact", jac=gradient, hess=curvature, tol=1e-10)
    return float(fit.x[1]) / spread


def _intercept_at_slope_one(logits: Floats, labels: Booleans) -> float:
    """Return the shift b for which the mean of sigmoid(logit + b) equals the share of pneumonia."""
    from scipy.optimize import brentq
    from scipy.special import expit

    share = float(labels.mean())
    centre = math.log(share / (1 - share))
    # Shifted by `low` every probability is at most the share, by `high` at least.
    low, high = centre - float(logits.max()), centre - float(logits.min())
    if high - low < 1e-12:
        return low
    # The ends lie on the root itself when all but one logit are alike: a step outwards keeps the signs apart.
    return float(
        brentq(lambda shift: float(np.mean(expit(logits + shift)) - share), low - 1e-6, high + 1e-6, xtol=1e-12)
    )
