"""Areas under the ROC curve with what each patient contributes to their error: intervals, differences and tests.

To first order an area is a sum over images: how an image of one class stands against all of the other. Summed by
patient, these influences give the variance of the area, and of every difference of areas on the same patients, without
any resampling: the images of a child are taken together, and the patients of a fold stand for that fold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumobench.metrics.discrimination import area_of_checked, fold_numbers, within_folds
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.validation import (
    Booleans,
    Floats,
    Integers,
    checked_flags,
    checked_scores,
    group_indices,
    require_same_length,
)

NORMAL_QUANTILE: Final = 1.959963984540054  # of the normal law at 0.975
LEAST_P: Final = 1e-16
HALVINGS: Final = 50  # of the interval [0, 1] that the bound of a perfect area lies in


@dataclass(frozen=True, kw_only=True, eq=False)
class PatientEstimate:
    """A number and its linear dependence on the patients it was computed from.

    Attributes:
        value: the area, or a difference or mean of areas; NaN where undefined.
        patients: names (P,) of the patients, sorted, each once.
        influence: what each patient adds to the error of `value`, (P,), of sum 0.
        least_error: standard error to go by where no patient has an influence: an area of exactly 1 (or 0), in which
            nothing was seen to go wrong, may do so with other patients.
    """

    value: float
    patients: NDArray[Any]
    influence: Floats
    least_error: float

    @property
    def standard_error(self) -> float:
        """Cluster-robust standard error; NaN with fewer than two patients."""
        count = self.patients.size
        if math.isnan(self.value) or count < 2:
            return math.nan
        squares = float(np.sum(self.influence**2))
        return math.sqrt(squares * count / (count - 1)) if squares else self.least_error

    @property
    def degrees_of_freedom(self) -> float:
        """How well the standard error is known: as if from so many patients of normal influences.

        Where few patients carry the whole error, as near an area of 1, the error itself is uncertain. Above 2, since
        the kurtosis of P influences is at most P; infinite where all influences are equal in size, or 0.

        Source: Pan and Wall 2002, doi 10.1002/sim.1142 (moments of the sandwich estimator).
        """
        squares = self.influence**2
        total, count = float(np.sum(squares)), self.patients.size
        kurtosis = count * float(np.sum(squares**2)) / total**2 if total else 1.0
        return 2 * count / (kurtosis - 1) if kurtosis > 1 + 1e-12 else math.inf

    def minus(self, other: PatientEstimate) -> PatientEstimate:
        """Return the difference; a patient of both is one patient, others are independent."""
        patients, own, others = _aligned(self, other)
        return PatientEstimate(
            value=self.value - other.value,
            patients=patients,
            influence=own - others,
            least_error=math.hypot(self.least_error, other.least_error),
        )

    def area_interval(self) -> Interval:
        """Return the 95 % interval of an area: symmetric on the logit scale, so that it stays inside (0, 1).

        An area of exactly 1 (or 0) has no logit: its interval ends there, and goes as far from it as `least_error`
        says. NaN where undefined, or with fewer than two patients. benchmark/statistics/interval_coverage.md shows how
        often it holds the true area, and how often others do.

        Source: LeDell, Petersen and van der Laan 2015, doi 10.1214/15-EJS1035 (the error); Pepe 2003, The statistical
        evaluation of medical tests, section 5.2 (the scale).
        """
        error = self.standard_error
        half = NORMAL_QUANTILE * error
        if self.value in (0.0, 1.0) and not math.isnan(error):
            return Interval(low=max(0.0, self.value - half), high=min(1.0, self.value + half))
        return logit_interval(self.value, half)

    def difference_interval(self) -> Interval:
        """Return the 95 % interval of a difference of areas, by the law of `p_value`: it may have any sign."""
        from scipy.special import stdtrit  # here: whoever asks for no difference does without scipy

        half = float(stdtrit(self._law(), 0.975)) * self.standard_error
        return Interval(low=self.value - half, high=self.value + half)

    def p_value(self) -> float:
        """Return the two-sided p-value of the value being 0: 1 where it is exactly 0, NaN where undefined.

        By Student's law, as a few patients may carry most of a difference: benchmark/statistics/equal_networks.md shows
        how often equal networks are told apart. Never below LEAST_P: no tail is known as far out.
        """
        from scipy.special import stdtr

        error = self.standard_error
        if self.value == 0:
            return 1.0
        if math.isnan(error):
            return math.nan
        return max(LEAST_P, float(2 * stdtr(self._law(), -abs(self.value) / error)))

    def _law(self) -> float:
        return min(self.degrees_of_freedom, 1e12)  # the normal law from there on


def area_estimate(
    probability: ArrayLike, has_pneumonia: ArrayLike, groups: ArrayLike, folds: ArrayLike | None = None
) -> PatientEstimate:
    """Return the area under the ROC curve within folds, with the influence of every patient.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        groups: (N,) integers or strings; equal = same patient.
        folds: (N,) integers; images of one fold were scored by one model. None = one model scored all.

    Returns:
        The mean over folds of the area within each, weighted by images, see `within_folds`. NaN where no fold has
        both classes.

    Raises:
        ValueError: malformed arrays.

    Source: LeDell, Petersen and van der Laan 2015, doi 10.1214/15-EJS1035; Obuchowski 1997, doi 10.2307/2533958
        (patients with several images).

    >>> estimate = area_estimate([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], ["a", "b", "c", "d"])
    >>> estimate.value, estimate.influence.tolist()
    (0.875, [0.0625, -0.0625, -0.0625, 0.0625])
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    patient = group_indices(groups)
    require_same_length(probability=scores, groups=patient)
    names = np.unique(np.asarray(np.asarray(groups).tolist()))
    fold = fold_numbers(folds, scores.size)
    parts = [part for number in range(int(fold.max()) + 1) if _both(labels[part := np.flatnonzero(fold == number)])]
    images = sum(part.size for part in parts)
    influence: Floats = np.zeros(scores.size)
    for part in parts:
        influence[part] = part.size / images * _influence_of_images(scores[part], labels[part])
    value = within_folds(area_of_checked, scores, labels, fold)
    perfect = value in (0.0, 1.0)
    return PatientEstimate(
        value=value,
        patients=names,
        influence=np.bincount(patient, influence, names.size).astype(np.float64),
        least_error=least_error([(part.size / images, labels[part], patient[part]) for part in parts])
        if perfect
        else 0.0,
    )


def share_estimate(hits: ArrayLike, groups: ArrayLike) -> PatientEstimate:
    """Return a share of images, such as accuracy, with the influence of every patient: for paired differences.

    The test that two shares on the same images are equal is then McNemar's with patients as clusters: what the
    disagreements of a patient come to, summed, against their spread. An interval of one share alone is
    `share_interval`.

    Args:
        hits: (N,) of 0 and 1.
        groups: (N,) integers or strings; equal = same patient.

    Raises:
        ValueError: malformed arrays.

    Source: Obuchowski 1998, doi 10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I.

    >>> first, second = (share_estimate(hits, ["a", "a", "b", "c"]) for hits in ([1, 1, 1, 0], [0, 1, 1, 0]))
    >>> first.minus(second).value, first.minus(second).influence.tolist()
    (0.25, [0.125, -0.0625, -0.0625])
    """
    flags, patient = checked_flags(hits, "hits"), group_indices(groups)
    require_same_length(hits=flags, groups=patient)
    names, share = np.unique(np.asarray(np.asarray(groups).tolist())), float(flags.mean())
    return PatientEstimate(
        value=share,
        patients=names,
        influence=np.bincount(patient, (flags - share) / flags.size, names.size).astype(np.float64),
        least_error=0.0,
    )


def mean_estimate(estimates: Sequence[PatientEstimate]) -> PatientEstimate:
    """Return the mean of areas over the same patients, such as those of several classes or networks.

    Raises:
        ValueError: no estimate, or other patients.
    """
    first = estimates[0] if estimates else None
    if first is None or any(not np.array_equal(first.patients, other.patients) for other in estimates):
        raise ValueError("a mean of areas needs at least one, all of the same patients.")
    return PatientEstimate(
        value=math.fsum(one.value for one in estimates) / len(estimates),
        patients=first.patients,
        influence=np.mean([one.influence for one in estimates], axis=0),
        least_error=max(one.least_error for one in estimates),
    )


def _influence_of_images(scores: Floats, labels: Booleans) -> Floats:
    """Return the influence (N,) of the images of one fold on its area: the placements of DeLong et al. 1988."""
    influence: Floats = np.empty(scores.size)
    for flags, sign in ((labels, 1.0), (~labels, -1.0)):
        others, own = np.sort(scores[~flags]), scores[flags]
        below = np.searchsorted(others, own, side="left") + np.searchsorted(others, own, side="right")
        placement = sign * below / (2 * others.size)  # a tie counts half
        influence[flags] = (placement - placement.mean()) / own.size
    return influence


def least_error(parts: Sequence[tuple[float, Booleans, Integers]]) -> float:
    """Return the error that makes the 95 % interval of a perfect area that of Newcombe's score method.

    Its lower end is the smallest area t under which 1 is no surprise: (1 - t)^2 = z^2 V(t), with the variance V that
    Hanley and McNeil give for so many patients (not images: a cautious count) of each class.

    Args:
        parts: weight, labels and patients of each fold.

    Source: Newcombe 2006, doi 10.1002/sim.2324 (method 5).
    """
    counted = [
        (weight, np.unique(patient[labels]).size, np.unique(patient[~labels]).size) for weight, labels, patient in parts
    ]

    def surprise(area: float) -> float:
        spread = (1 - area) / (2 - area) + area / (1 + area)
        variance = sum(w**2 * (1 + ((m + n) / 2 - 1) * spread) / (m * n) for w, m, n in counted)
        return (1 - area) - NORMAL_QUANTILE**2 * area * variance  # both sides divided by 1 - area

    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if surprise(middle) > 0 else (low, middle)
    return (1 - low) / NORMAL_QUANTILE


def _aligned(first: PatientEstimate, second: PatientEstimate) -> tuple[NDArray[Any], Floats, Floats]:
    """Return the patients of both, and the influences of each, 0 where a patient is of the other alone."""
    if np.array_equal(first.patients, second.patients):
        return first.patients, first.influence, second.influence
    patients = np.union1d(first.patients, second.patients)
    spread = [np.zeros(patients.size) for _ in range(2)]
    for influence, estimate in zip(spread, (first, second), strict=True):
        influence[np.searchsorted(patients, estimate.patients)] = estimate.influence
    return patients, spread[0], spread[1]


def _both(labels: Booleans) -> bool:
    return bool(labels.any() and not labels.all())


def logit_interval(value: float, half: float) -> Interval:
    """Return the interval that is symmetric on the logit scale, so that it stays inside (0, 1); NaN where half is NaN.

    Args:
        value: between 0 and 1, both left out: they have no logit.
        half: half of its width, to first order, on the scale of the value.

    Source: Pepe 2003, The statistical evaluation of medical tests, section 5.2.
    """
    if math.isnan(half):
        return Interval(low=math.nan, high=math.nan)
    odds = math.log(value) - math.log1p(-value)
    half /= value * (1 - value)
    return Interval(low=_inverse_logit(odds - half), high=_inverse_logit(odds + half))


def _inverse_logit(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else 1 - 1 / (1 + math.exp(odds))
