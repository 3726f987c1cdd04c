"""Which architectures can be told apart: paired tests of AUC differences by patient, Holm over all pairs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pneumobench.metrics.estimates import PatientEstimate

SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class AucDifference:
    """Area under the ROC curve of `better` minus that of `worse`, within folds, on the same images.

    Attributes:
        better: the architecture with the larger area (the first by name when equal).
        worse: the other one.
        difference: not negative.
        low: lower end of the 95 % interval by patient, without correction for many pairs.
        high: upper end.
        p_value: two-sided, by patient.
        p_holm: the same, corrected for all that it was compared with.
    """

    better: str
    worse: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class AucComparison:
    """All architectures, best first, and all their pairs.

    Attributes:
        area_under_roc: by architecture, from the largest down; equal ones by name.
        differences: one of each pair.
    """

    area_under_roc: Mapping[str, float]
    differences: tuple[AucDifference, ...]


def paired_auc_differences(estimates: Mapping[str, PatientEstimate]) -> AucComparison:
    """Return the AUC differences of all pairs of architectures, each on the same patients.

    What a patient does to both areas cancels in the difference of the influences; its size by patient is the error that
    a t-test sets the difference against. benchmark/statistics/equal_networks.md shows how often it finds a difference
    between equal architectures.

    Args:
        estimates: `area_estimate` by architecture, all over the same images.

    Raises:
        ValueError: no architecture, an undefined area, or one patient only.

    Source: LeDell, Petersen and van der Laan 2015; DeLong et al. 1988 (pairing); Holm 1979.
    """
    if not estimates:
        raise ValueError("no architecture to compare; expected at least one name with its area.")
    for name, estimate in estimates.items():
        if math.isnan(estimate.value):
            raise ValueError(f"architecture {name}: no fold has images of both classes; comparing needs at least one.")
        if estimate.patients.size < 2:
            raise ValueError("all images are of one patient; comparing architectures needs at least two.")
    ranked = sorted(estimates, key=lambda name: (-estimates[name].value, name))
    return AucComparison(
        area_under_roc={name: estimates[name].value for name in ranked},
        differences=_corrected([_difference(a, b, estimates) for a, b in itertools.combinations(ranked, 2)]),
    )


def differences_from(reference: str, estimates: Mapping[str, PatientEstimate]) -> dict[str, AucDifference]:
    """Return the difference of every architecture from one of them, by name; Holm over these.

    Args:
        reference: a name of `estimates`.
        estimates: `area_estimate` by architecture, all over the same images.
    """
    others = [name for name in estimates if name != reference]
    found = [_difference(name, reference, estimates) for name in others]
    return dict(zip(others, _corrected(found), strict=True))


def top_group(comparison: AucComparison) -> list[str]:
    """Return the architectures that cannot be told apart from the one with the largest area, best first.

    Those with a Holm-corrected p-value of at least 0.05 against the best one, and the best one itself.
    """
    best = next(iter(comparison.area_under_roc))
    alike = {pair.worse for pair in comparison.differences if pair.better == best and pair.p_holm >= SIGNIFICANCE}
    return [name for name in comparison.area_under_roc if name == best or name in alike]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the order given.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def _difference(first: str, second: str, estimates: Mapping[str, PatientEstimate]) -> AucDifference:
    """Return the difference of two architectures, the better one first, not corrected for others."""
    better, worse = sorted((first, second), key=lambda name: (-estimates[name].value, name))
    difference = estimates[better].minus(estimates[worse])
    interval = difference.difference_interval()
    p_value = difference.p_value()
    return AucDifference(
        better=better,
        worse=worse,
        difference=difference.value,
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        p_holm=p_value,
    )


def _corrected(differences: Sequence[AucDifference]) -> tuple[AucDifference, ...]:
    p_holm = holm([pair.p_value for pair in differences])
    return tuple(dataclasses.replace(pair, p_holm=p) for pair, p in zip(differences, p_holm, strict=True))
