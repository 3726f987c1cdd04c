"""How much of an area under the curve is the seed of the training and how much the patients it was tested on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.metrics.estimates import PatientEstimate, mean_estimate
from pneumobench.metrics.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """The spread of one architecture's area over seeds, beside what its patients leave open.

    Args:
        architecture: its name; controls too.
        seeds: trainings of all folds, each with its own initial weights, order and augmentation.
        mean: mean area.
        seed_sd: standard deviation over seeds (n - 1), on the same patients.
        patient_error: standard error of one training's area over patients, root mean square over seeds.
    """

    architecture: str
    seeds: int
    mean: float
    seed_sd: float
    patient_error: float

    @property
    def single_run_sd(self) -> float:
        """Deviation of a single training on other patients: both noises together."""
        return math.hypot(self.seed_sd, self.patient_error)


@dataclass(frozen=True, kw_only=True)
class SeedOrder:
    """How surely two architectures are told apart when either is trained once.

    Args:
        better: the one with the larger mean area.
        worse: the other.
        difference: of their mean areas.
        seed_sd: deviation over seeds of the difference of two single trainings.
        patient_error: standard error of `difference` over patients.
        interval: 95 % interval of the difference of means, over patients and seeds.
        turned: pairs of trainings, one of each, in which the worse has the larger area.
        pairs: all of these pairs.
    """

    better: str
    worse: str
    difference: float
    seed_sd: float
    patient_error: float
    interval: Interval
    turned: int
    pairs: int


def seed_noise(effects: Sequence[VariantEffect]) -> tuple[tuple[SeedNoise, ...], tuple[SeedOrder, ...]]:
    """Return the noise of each architecture, largest mean area first, and the order of all pairs.

    Args:
        effects: scores under several seeds; an architecture with one of them alone is left out.
    """
    areas: dict[str, list[PatientEstimate]] = {}
    for effect in effects:
        areas.setdefault(effect.architecture, []).append(effect.area)
    areas = {name: found for name, found in areas.items() if len(found) > 1}
    noise = sorted(
        (_noise(name, found) for name, found in areas.items()), key=lambda one: (-one.mean, one.architecture)
    )
    names = [one.architecture for one in noise]
    return tuple(noise), tuple(_order(better, worse, areas) for better, worse in itertools.combinations(names, 2))


def _noise(name: str, areas: Sequence[PatientEstimate]) -> SeedNoise:
    values = np.array([area.value for area in areas])
    return SeedNoise(
        architecture=name,
        seeds=len(areas),
        mean=float(values.mean()),
        seed_sd=float(values.std(ddof=1)),
        patient_error=math.sqrt(float(np.mean([area.standard_error**2 for area in areas]))),
    )


def _order(better: str, worse: str, areas: Mapping[str, Sequence[PatientEstimate]]) -> SeedOrder:
    """Return the difference of means; seeds and patients as two independent sources of its error."""
    values = [np.array([area.value for area in areas[name]]) for name in (better, worse)]
    difference = mean_estimate(areas[better]).minus(mean_estimate(areas[worse]))
    variances = [float(found.var(ddof=1)) for found in values]
    parts = [variance / len(found) for variance, found in zip(variances, values, strict=True)]
    freedoms = [len(found) - 1 for found in values]
    return SeedOrder(
        better=better,
        worse=worse,
        difference=difference.value,
        seed_sd=math.sqrt(sum(variances)),
        patient_error=difference.standard_error,
        interval=_interval(difference, parts, freedoms),
        turned=int((values[0][:, None] < values[1][None, :]).sum()),
        pairs=len(values[0]) * len(values[1]),
    )


def _interval(difference: PatientEstimate, parts: Sequence[float], freedoms: Sequence[int]) -> Interval:
    """Return a 95 % interval whose variance has several parts, each known from few values.

    Source: Satterthwaite 1946, doi 10.2307/3002019 (degrees of freedom of a sum of variances).
    """
    from scipy.special import stdtrit

    variances = [*parts, difference.standard_error**2]
    total = sum(variances)
    if not total > 0:
        return Interval(low=difference.value, high=difference.value)
    of_each = [*freedoms, difference.degrees_of_freedom]
    freedom = total**2 / sum(part**2 / count for part, count in zip(variances, of_each, strict=True))
    half = float(stdtrit(min(freedom, 1e12), 0.975)) * math.sqrt(total)
    return Interval(low=difference.value - half, high=difference.value + half)
