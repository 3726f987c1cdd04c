"""How much the maps of randomised copies resemble those of a trained network, as explanation.json keeps it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MeanSimilarity:
    """Mean over images of |rank correlation| (0 to 1) and of SSIM (at most 1) of smoothed maps."""

    rank_correlation: float
    structural_similarity: float

    @classmethod
    def read(cls, plain: dict[str, Any]) -> MeanSimilarity:
        """Return what was written.

        Raises:
            ValueError: it is no number, or out of range.
            TypeError, KeyError: something else stands there.
        """
        found = cls(**{name: float(value) for name, value in plain.items()})
        for name, low in (("rank_correlation", 0.0), ("structural_similarity", -1.0)):
            value = getattr(found, name)
            if not (math.isfinite(value) and low <= value <= 1 + 1e-6):
                raise ValueError(f"{name} {value}, expected {low:g} to 1")
        return found


@dataclass(frozen=True, kw_only=True)
class RandomisedMaps:
    """Similarity of a network's maps with those of copies whose weights are shuffled, from the head down.

    Args:
        images: images in every mean.
        stages: which weights are shuffled, each stage with those before it.
        randomised: by randomisation, then by stage; null where the method does not exist for the copy.
        chance: similarity of the network's maps with themselves in other places.
        repeated: with its own maps of the same images with a little noise.
    """

    images: int
    stages: tuple[str, ...]
    randomised: tuple[tuple[MeanSimilarity | None, ...], ...]
    chance: MeanSimilarity
    repeated: MeanSimilarity

    @classmethod
    def read(cls, plain: dict[str, Any]) -> RandomisedMaps:
        """Return what was written.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it was not written so.
        """
        cascades = [[None if of is None else MeanSimilarity.read(of) for of in one] for one in plain["randomised"]]
        stages = tuple(map(str, plain["stages"]))
        if not cascades or not stages or any(len(one) != len(stages) for one in cascades):
            raise ValueError(f"randomisations of other stages than {', '.join(stages)}")
        return cls(
            images=int(plain["images"]),
            stages=stages,
            randomised=tuple(map(tuple, cascades)),
            chance=MeanSimilarity.read(plain["chance"]),
            repeated=MeanSimilarity.read(plain["repeated"]),
        )
