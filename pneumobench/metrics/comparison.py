"""Which architectures can be told apart: paired patient bootstrap of AUC differences, Holm over all pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.metrics.intervals import (
    RESAMPLES,
    patient_weights,
    percentile_interval,
    weighted_area_under_roc,
)
from pneumobench.metrics.validation import (
    Floats,
    checked_flags,
    checked_scores,
    group_indices,
    require_both_classes,
    require_same_length,
)

SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class AucDifference:
    """Area under the ROC curve of `better` minus that of `worse`, on the same images.

    Attributes:
        better: the architecture with the larger area (the first by name when equal).
        worse: the other one.
        difference: not negative.
        low: lower end of the 95 % patient-bootstrap interval, without correction for many pairs.
        high: upper end.
        p_value: two-sided bootstrap p-value.
        p_holm: the same, corrected for all pairs compared.
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


def resamples_for(architectures: int) -> int:
    """Return how many resamples let Holm over all pairs of so many architectures find a difference.

    With B resamples no p-value is below 2 / (1 + B), and Holm multiplies the smallest by the number of pairs.
    At least 2,000; more from 8 architectures on, so that half the significance level stays within reach.

    >>> resamples_for(7), resamples_for(12)
    (2000, 5279)
    """
    return max(RESAMPLES, math.ceil(4 * math.comb(architectures, 2) / SIGNIFICANCE) - 1)


def paired_auc_differences(
    probabilities: Mapping[str, ArrayLike],
    has_pneumonia: ArrayLike,
    groups: ArrayLike,
    *,
    resamples: int | None = None,
    seed: int = 0,
) -> AucComparison:
    """Return the AUC differences of all pairs of architectures, each measured on the same resampled patients.

    The p-value is the share of resamples in which the difference is zero or has the other sign, doubled,
    with one added to count and number: a bootstrap of B resamples cannot support p = 0. Resamples with one
    class only are left out.

    Args:
        probabilities: by architecture, (N,) in [0, 1], all in the same order of images.
        has_pneumonia: (N,) of 0 and 1, both classes.
        groups: (N,) integers or strings; equal = same patient.
        resamples: as `resamples_for` gives if None.
        seed: not negative.

    Raises:
        ValueError: malformed arrays, no architecture, one class or one patient only, or too few resamples
            for any difference to be found among so many pairs.

    Source: Efron and Tibshirani 1993, chapter 15; Davison and Hinkley 1997 (the added one); Holm 1979.
    """
    if not probabilities:
        raise ValueError("no architecture to compare; expected at least one name with its probabilities.")
    pairs = math.comb(len(probabilities), 2)
    resamples = resamples_for(len(probabilities)) if resamples is None else resamples
    if 2 * pairs / (1 + resamples) >= SIGNIFICANCE:
        raise ValueError(
            f"{resamples} resamples cannot show a difference among {pairs} pairs; "
            f"expected at least {resamples_for(len(probabilities))} for {len(probabilities)} architectures."
        )
    labels, image_group = checked_flags(has_pneumonia), group_indices(groups)
    require_both_classes(labels, "comparing architectures")
    require_same_length(has_pneumonia=labels, groups=image_group)
    if image_group.max() == 0:
        raise ValueError("all images are of one patient; comparing architectures needs at least two.")
    areas: dict[str, float] = {}
    for name, probability in probabilities.items():
        try:
            areas[name] = area_under_roc(checked_scores(probability, labels)[0], labels)
        except ValueError as error:
            raise ValueError(f"architecture {name}: {error}") from error
    ranked = sorted(areas, key=lambda name: (-areas[name], name))
    resampled = _resampled_areas(probabilities, ranked, labels, image_group, resamples, seed)
    couples = list(itertools.combinations(range(len(ranked)), 2))
    drawn = [resampled[first] - resampled[second] for first, second in couples]
    p_values = [_two_sided(values) for values in drawn]
    differences = []
    for (first, second), values, p_value, p_holm in zip(couples, drawn, p_values, holm(p_values), strict=True):
        interval = percentile_interval(values)
        differences.append(
            AucDifference(
                better=ranked[first],
                worse=ranked[second],
                difference=areas[ranked[first]] - areas[ranked[second]],
                low=interval.low,
                high=interval.high,
                p_value=p_value,
                p_holm=p_holm,
            )
        )
    return AucComparison(area_under_roc={name: areas[name] for name in ranked}, differences=tuple(differences))


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


def _resampled_areas(
    probabilities: Mapping[str, ArrayLike],
    names: Sequence[str],
    has_pneumonia: ArrayLike,
    groups: ArrayLike,
    resamples: int,
    seed: int,
) -> Floats:
    """Return (architectures, resamples) areas; every architecture sees the same patients in a resample."""
    statistics = [weighted_area_under_roc(probabilities[name], has_pneumonia) for name in names]
    chunks = []
    for weights in patient_weights(groups, resamples=resamples, seed=seed):
        by_image = np.asfortranarray(weights)  # as every statistic reads them: turned once, not by each
        chunks.append(np.stack([statistic(by_image) for statistic in statistics]))
    return np.concatenate(chunks, axis=1)


def _two_sided(differences: Floats) -> float:
    defined = differences[~np.isnan(differences)]
    smaller_tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + int(smaller_tail)) / (1 + defined.size))
