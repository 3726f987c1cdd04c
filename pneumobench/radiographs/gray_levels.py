"""Gray levels of any depth to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW_PERCENTILES = (1.0, 99.0)  # the gray window of an image that names none


def levels_to_uint8(levels: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255 linearly, clipped and rounded; works for `low` > `high` too."""
    scaled = (levels.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.asarray(np.rint(np.clip(scaled, 0.0, 255.0)), dtype=np.uint8)


def percentiles_to_uint8(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Map the 1st to 99th percentile to 0 to 255; an image of one single level becomes black.

    >>> percentiles_to_uint8(np.arange(101)).max()
    np.uint8(255)
    """
    low, high = np.percentile(levels, WINDOW_PERCENTILES)
    if low == high:  # nearly all of the image has one level: use everything there is
        low, high = levels.min(), levels.max()
    if low == high:
        return np.zeros(levels.shape, dtype=np.uint8)
    return levels_to_uint8(levels, float(low), float(high))
