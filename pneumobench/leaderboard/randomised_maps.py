"""What is left of a network's heat maps when its weights are shuffled, over folds and randomisations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pneumobench.metrics.intervals import LEVEL, Interval
from pneumobench.records.randomised_maps import MeanSimilarity, RandomisedMaps

RANDOMISATIONS_NEEDED: Final = 3  # for an interval over them
SIMILARITIES: Final = ("rank_correlation", "structural_similarity")


@dataclass(frozen=True, kw_only=True)
class MeanWithInterval:
    """A mean with its 95 % interval; NaN and None without values, None with one."""

    mean: float
    interval: Interval | None

    @property
    def low(self) -> float:
        """Lower end; NaN without an interval."""
        return math.nan if self.interval is None else self.interval.low

    @property
    def high(self) -> float:
        """Upper end; NaN without an interval."""
        return math.nan if self.interval is None else self.interval.high


NO_MEAN: Final = MeanWithInterval(mean=math.nan, interval=None)


@dataclass(frozen=True, kw_only=True)
class RandomisationSummary:
    """What is left of a network's maps when its weights are shuffled.

    Args:
        randomisations: independent ones, over all folds.
        images: images of a fold in every mean.
        stages: mean similarity at each stage, from the head down.
        chance: similarity of the network's maps with themselves in other places, mean over folds.
        repeated: with its maps of the same images with a little noise.
        left: by measure, how much of the way from chance (0) to `repeated` (1) is left when all weights are shuffled:
            mean and t interval over randomisations.
    """

    randomisations: int
    images: int
    stages: dict[str, MeanSimilarity]
    chance: MeanSimilarity
    repeated: MeanSimilarity
    left: dict[str, MeanWithInterval]


def way_from_chance(found: MeanSimilarity, chance: MeanSimilarity, name: str) -> float:
    """Return how far a similarity lies on the way from chance (0) to 1."""
    low = float(getattr(chance, name))
    return (float(getattr(found, name)) - low) / (1 - low) if low < 1 else 0.0


def randomisation_summary(folds: Sequence[RandomisedMaps]) -> RandomisationSummary | None:
    """Sum up the randomisations of all folds; None without any."""
    if not folds:
        return None
    chance, repeated = (_mean_similarity(getattr(fold, kind) for fold in folds) for kind in ("chance", "repeated"))
    stages = {
        stage: _mean_similarity(of for fold in folds for cascade in fold.randomised if (of := cascade[number]))
        for number, stage in enumerate(folds[0].stages)
    }
    left = {}
    for name in SIMILARITIES:
        whole = getattr(repeated, name) - getattr(chance, name)
        values = [
            (getattr(of, name) - getattr(fold.chance, name)) / whole if whole > 0 else math.nan
            for fold in folds
            for cascade in fold.randomised
            if (of := cascade[-1]) is not None
        ]
        left[name] = _mean_over_randomisations(np.array(values, dtype=np.float64))
    return RandomisationSummary(
        randomisations=sum(len(fold.randomised) for fold in folds),
        images=max(fold.images for fold in folds),
        stages=stages,
        chance=chance,
        repeated=repeated,
        left=left,
    )


def _mean_similarity(found: Iterable[MeanSimilarity]) -> MeanSimilarity:
    values = np.array([[getattr(one, name) for name in SIMILARITIES] for one in found], np.float64).reshape(-1, 2)
    mean = values.mean(axis=0) if len(values) else np.full(2, np.nan)
    return MeanSimilarity(rank_correlation=float(mean[0]), structural_similarity=float(mean[1]))


def _mean_over_randomisations(values: NDArray[np.float64]) -> MeanWithInterval:
    """Return the mean with Student's t interval: what varies is the shuffle, and images were averaged within it."""
    if len(values) < RANDOMISATIONS_NEEDED or np.isnan(values).any():
        return MeanWithInterval(mean=float(values.mean()) if len(values) else math.nan, interval=None)
    mean = float(values.mean())
    half = float(student.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return MeanWithInterval(mean=mean, interval=Interval(low=mean - half, high=mean + half))
