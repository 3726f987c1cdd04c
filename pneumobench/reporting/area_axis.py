"""The axis of areas under the curve that opens towards 1: 1 - AUC, logarithmic, with areas written at it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TICKS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
LEAST_LOSS: Final = 1e-5  # of an area: where a perfect one is drawn
ROOM: Final = 1.15  # beside the outermost areas, as a factor of 1 - AUC


def loss(area: float) -> float:
    """Return 1 - AUC, at least as much as can be drawn.

    >>> round(loss(0.75), 2), loss(1.0)
    (0.25, 1e-05)
    """
    return max(1.0 - area, LEAST_LOSS)


@dataclass(frozen=True, kw_only=True)
class AreaAxis:
    """Where areas stand on an axis from `low` (left) to `high` (right).

    Args:
        low: the area at the left end, at least 0.
        high: the area at the right end, below 1.
    """

    low: float
    high: float

    @classmethod
    def around(cls, areas: Iterable[float]) -> AreaAxis:
        """Return an axis that holds all areas, with a little room at both ends."""
        losses = [loss(area) for area in areas if not math.isnan(area)] or [0.5]
        return cls(low=max(0.0, 1.0 - max(losses) * ROOM), high=1.0 - min(losses) / ROOM)

    def at(self, area: float) -> float:
        """Return where an area stands, from 0 (left) to 1 (right).

        >>> round(AreaAxis(low=0.9, high=0.999).at(0.99), 3)
        0.5
        """
        left, right = math.log(1.0 - self.low), math.log(1.0 - self.high)
        return min(1.0, max(0.0, (math.log(loss(area)) - left) / (right - left)))

    @property
    def ticks(self) -> tuple[float, ...]:
        """The round areas that are written at the axis."""
        return tuple(area for area in TICKS if self.low <= area <= self.high)
