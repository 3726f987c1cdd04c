"""What is left of an area under the ROC curve among images that are alike in facts which tell the label by themselves.

Size, aspect ratio and mean gray level of a radiograph come from how it was acquired and stored. Where they differ
between classes, a score that follows them ranks well, and its area says nothing of lungs. Two answers: areas among
images matched on such facts, and areas in which every image with pneumonia is set against normal images of its own
stratum of facts alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.discrimination import fold_numbers
from pneumobench.metrics.estimates import PatientEstimate, least_error
from pneumobench.metrics.validation import (
    Booleans,
    Floats,
    Integers,
    checked_scores,
    group_indices,
    require_same_length,
)

CALIPER_SD: Final = 0.1  # largest difference of each covariate within a pair, in standard deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class AdjustedArea:
    """A covariate-adjusted area under the ROC curve.

    Attributes:
        estimate: the area, 0.5 = nothing is left beyond the strata, 1 = perfect within them.
        compared: share of the images with pneumonia whose fold and stratum hold a normal image, 0 to 1.
    """

    estimate: PatientEstimate
    compared: float


def adjusted_area_estimate(
    probability: ArrayLike,
    has_pneumonia: ArrayLike,
    groups: ArrayLike,
    strata: ArrayLike,
    folds: ArrayLike | None = None,
) -> AdjustedArea:
    """Return the covariate-adjusted area: each image with pneumonia against the normal ones of its stratum and fold.

    The mean over images with pneumonia of the share of normal images of the same stratum, scored by the same model,
    that score lower; ties count half. Images with pneumonia without such a normal image are left out.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        groups: (N,) integers or strings; equal = same patient.
        strata: (N,) integers; images of one stratum are alike in the covariates.
        folds: (N,) integers; images of one fold were scored by one model. None = one model scored all.

    Returns:
        NaN where no stratum holds both classes.

    Raises:
        ValueError: malformed arrays.

    Source: Janes and Pepe 2009, doi 10.1093/biomet/asp002 (discrete covariates). The error: patients' influences, as
    in `area_estimate`, the number of images with pneumonia in a stratum being random too.

    >>> adjusted = adjusted_area_estimate([0.1, 0.2, 0.8, 0.9], [0, 1, 0, 1], ["a", "b", "c", "d"], [0, 0, 1, 1])
    >>> adjusted.estimate.value, adjusted.compared
    (1.0, 1.0)
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    patient = group_indices(groups)
    stratum = np.asarray(strata)
    require_same_length(probability=scores, groups=patient, strata=stratum)
    cell = np.unique(np.stack([fold_numbers(folds, scores.size), group_indices(stratum)]), axis=1, return_inverse=True)[
        1
    ].ravel()
    parts = [
        part
        for number in range(int(cell.max()) + 1)
        if labels[part := np.flatnonzero(cell == number)].any() and not labels[part].all()
    ]
    names = np.unique(np.asarray(np.asarray(groups).tolist()))
    ill = sum(int(labels[part].sum()) for part in parts)
    won: Floats = np.zeros(scores.size)
    influence: Floats = np.zeros(scores.size)
    for part in parts:
        won[part] = _placements(scores[part], labels[part])
    compared = np.concatenate(parts) if parts else np.empty(0, np.int64)
    value = float(won[compared[labels[compared]]].mean()) if parts else math.nan
    for part in parts:
        cases, normals = part[labels[part]], part[~labels[part]]
        influence[cases] = (won[cases] - value) / ill
        influence[normals] = (won[normals] - won[normals].mean()) * cases.size / (ill * normals.size)
    perfect = value in (0.0, 1.0)
    estimate = PatientEstimate(
        value=value,
        patients=names,
        influence=np.bincount(patient, influence, names.size).astype(np.float64),
        least_error=least_error([(labels[part].sum() / ill, labels[part], patient[part]) for part in parts])
        if perfect
        else 0.0,
    )
    return AdjustedArea(estimate=estimate, compared=ill / int(labels.sum()) if labels.any() else math.nan)


def matched_pairs(
    covariates: ArrayLike, has_pneumonia: ArrayLike, folds: ArrayLike | None = None, *, caliper_sd: float = CALIPER_SD
) -> Integers:
    """Return pairs (n, 2) of an image with pneumonia and a normal one of the same fold that are alike in covariates.

    Every image stands in one pair at most. In each fold there are as many pairs within the caliper as possible, and
    of these the most alike: the mean difference over covariates, each in its standard deviations, is least in sum.

    Args:
        covariates: (N, covariates); an image that lacks one (NaN) is in no pair.
        has_pneumonia: (N,) of 0 and 1.
        folds: (N,) integers. None = one fold.
        caliper_sd: largest difference of each covariate within a pair, in standard deviations over all images.

    Raises:
        ValueError: malformed arrays, or a caliper that is not above 0.

    Source: Rosenbaum 1989, doi 10.1080/01621459.1989.10478868 (optimal matching); Cochran and Rubin 1973 (calipers).

    >>> matched_pairs([[0.0], [0.1], [2.0], [2.1], [9.0]], [0, 1, 0, 1, 1], caliper_sd=0.1).tolist()
    [[1, 0], [3, 2]]
    """
    from scipy.optimize import linear_sum_assignment

    values: Floats = np.asarray(covariates, np.float64)
    labels: Booleans = np.asarray(np.asarray(has_pneumonia) == 1, dtype=np.bool_)
    if values.ndim != 2:
        raise ValueError(f"covariates have shape {values.shape}; expected (images, covariates).")
    require_same_length(covariates=values[:, 0], has_pneumonia=labels)
    if not caliper_sd > 0:
        raise ValueError(f"caliper_sd is {caliper_sd}; expected more than 0.")
    spread = np.array([column[np.isfinite(column)].std() if np.isfinite(column).any() else 0.0 for column in values.T])
    standard = values / np.where(spread > 0, spread, 1.0)
    known, fold = np.isfinite(values).all(axis=1), fold_numbers(folds, len(values))
    found: list[Integers] = []
    for number in range(int(fold.max()) + 1):
        cases, normals = (np.flatnonzero((fold == number) & known & flags) for flags in (labels, ~labels))
        apart = np.abs(standard[cases][:, None] - standard[normals][None])
        outside: Booleans = np.asarray((apart > caliper_sd).any(axis=2), dtype=np.bool_)
        # a pair outside costs more than all pairs inside together, so that as many as possible are inside
        cost = np.where(outside, 1 + caliper_sd * min(outside.shape, default=0), apart.mean(axis=2))
        rows, columns = linear_sum_assignment(cost)
        inside = ~outside[rows, columns]
        found.append(np.stack([cases[rows[inside]], normals[columns[inside]]], axis=1))
    return np.concatenate(found)


def equal_strata(values: ArrayLike, *, count: int) -> Integers:
    """Return strata (N,) of about equal numbers of images, from 0 for the least values; equal values are in one.

    Raises:
        ValueError: `count` below 1, or a value that is not finite.

    Source: Rosenbaum and Rubin 1984, doi 10.1080/01621459.1984.10478078 (of a score that says the label by covariates).

    >>> equal_strata([3.0, 1.0, 2.0, 1.0], count=2).tolist()
    [1, 0, 1, 0]
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least 1.")
    numbers: Floats = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("values hold NaN or infinity; expected finite numbers.")
    ends = np.quantile(numbers, np.arange(1, count) / count)
    strata: Integers = np.searchsorted(ends, numbers, side="left").astype(np.int64)
    return strata


def _placements(scores: Floats, labels: Booleans) -> Floats:
    """Return for each image with pneumonia the share of normal ones below it, for these that of pneumonia above."""
    placement: Floats = np.empty(scores.size)
    for flags, of_ill in ((labels, True), (~labels, False)):
        others, own = np.sort(scores[~flags]), scores[flags]
        below = np.searchsorted(others, own, side="left") + np.searchsorted(others, own, side="right")
        share = below / (2 * others.size)
        placement[flags] = share if of_ill else 1 - share
    return placement
