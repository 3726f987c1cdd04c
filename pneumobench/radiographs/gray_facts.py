"""What can be said of an image without looking at what it shows: gray levels, borders, and fine detail."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLACK: Final = 16  # gray levels below this are black: films without exposure, and JPEG noise around it
DARKEST, BRIGHTEST = 5.0, 95.0  # percentiles of an image's gray levels
GRAY_FACTS: Final[dict[str, str]] = {
    "mean_gray": "mean gray level, 0 to 255",
    "gray_spread": "standard deviation of the gray levels",
    "dark_end": "5th percentile of the gray levels",
    "bright_end": "95th percentile of the gray levels",
    "middle_gray": "mean gray level of the middle half of rows and columns",
    "black_share": "share of pixels that are black (below 16)",
    "black_border": "share of the image in rows and columns at its edges whose median is black",
    "detail": "mean difference of neighbouring pixels in gray levels",
}


def gray_facts(radiographs: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return each fact of GRAY_FACTS (N,) of images (N, H, W) uint8, as networks see them.

    >>> facts = gray_facts(np.full((1, 8, 8), 200, dtype=np.uint8))
    >>> [float(facts[name][0]) for name in ("mean_gray", "gray_spread", "black_border", "detail")]
    [200.0, 0.0, 0.0, 0.0]
    """
    found = [_facts(radiograph) for radiograph in radiographs]
    return {name: np.array([one[name] for one in found], dtype=np.float64) for name in GRAY_FACTS}


def _facts(radiograph: NDArray[np.uint8]) -> dict[str, float]:
    gray = radiograph.astype(np.float64)
    height, width = gray.shape
    dark, bright = np.percentile(gray, (DARKEST, BRIGHTEST))
    rows, columns = (np.median(gray, axis=axis) >= BLACK for axis in (1, 0))
    lit = _between(rows) * _between(columns) / gray.size
    steps = [np.abs(np.diff(gray, axis=axis)).ravel() for axis in (0, 1)]
    return {
        "mean_gray": float(gray.mean()),
        "gray_spread": float(gray.std()),
        "dark_end": float(dark),
        "bright_end": float(bright),
        "middle_gray": float(gray[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None].mean()),
        "black_share": float((gray < BLACK).mean()),
        "black_border": 1 - lit,
        "detail": float(np.concatenate(steps).mean()),
    }


def _between(lit: NDArray[np.bool_]) -> int:
    """Return how many there are from the first lit row or column to the last."""
    places = np.flatnonzero(lit)
    return int(places[-1] - places[0] + 1) if len(places) else 0
