"""Gray levels of any depth to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW_PERCENTILES = (1.0, 99.0)  # the gray window of an image that names none
COUNTED_AT_ONCE = 2**20  # pixels; counting takes 8 bytes for each of them
REFERENCE_PIXELS = 2**16  # of the image that a histogram is turned into


def levels_to_uint8(levels: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255 linearly, clipped and rounded; works for `low` > `high` too."""
    share = (levels.astype(np.float64) - low) / (high - low)
    return np.asarray(np.rint(np.clip(share, 0.0, 1.0) * 255.0), dtype=np.uint8)


def code_counts(codes: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return how often each of the 256 or 65,536 possible values occurs in an unsigned array."""
    flat, possible = codes.reshape(-1), 2 ** (8 * codes.itemsize)
    counts = np.zeros(possible, dtype=np.int64)
    for start in range(0, flat.size, COUNTED_AT_ONCE):
        counts += np.bincount(flat[start : start + COUNTED_AT_ONCE], minlength=possible)
    return counts


def percentiles_of(levels: NDArray[Any], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 1st and the 99th percentile of levels (K,) that occur `counts` (K,) times, at least one of them once.

    They lie between neighbouring pixels linearly, as numpy's do.
    """
    occur = np.flatnonzero(counts)
    order = occur[np.argsort(levels[occur], kind="stable")]
    ordered, upto = levels[order].astype(np.float64), np.cumsum(counts[order])
    place = np.array(WINDOW_PERCENTILES) / 100.0 * (upto[-1] - 1)
    below, above = (ordered[np.searchsorted(upto, end(place), side="right")] for end in (np.floor, np.ceil))
    low, high = (below + (above - below) * (place - np.floor(place))).tolist()
    return low, high


def percentile_window(levels: NDArray[Any], counts: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return what becomes 0 and 255 of levels (K,) that occur `counts` (K,) times.

    Their 1st and 99th percentile; where nearly all pixels have one level, the lowest and the highest; None where there
    is only one.
    """
    present = levels[counts > 0]
    if not len(present) or present.min() == present.max():
        return None
    low, high = percentiles_of(levels, counts)
    return (float(present.min()), float(present.max())) if low == high else (low, high)


def percentiles_to_uint8(levels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Map the 1st to 99th percentile to 0 to 255; an image of one single level becomes black.

    >>> percentiles_to_uint8(np.arange(101, dtype=np.uint8)).max()
    np.uint8(255)
    """
    codes = np.arange(2 ** (8 * levels.itemsize))
    window = percentile_window(codes, code_counts(levels))
    if window is None:
        return np.zeros(levels.shape, dtype=np.uint8)
    return levels_to_uint8(codes, *window)[levels]


def histograms_matched(radiographs: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return images (N, H, W) whose gray levels were each mapped so that they occur about as `counts` (256,) says.

    The order of gray levels within an image stays.

    Source: Gonzalez and Woods 2018, Digital image processing, section 3.3 (histogram specification), by scikit-image.

    >>> dark = np.array([[[0, 10], [20, 30]]], dtype=np.uint8)
    >>> histograms_matched(dark, np.bincount([100, 150, 200, 250], minlength=256)).tolist()
    [[[100, 150], [200, 250]]]
    """
    from skimage.exposure import match_histograms  # here: only who asks for it waits for scikit-image

    upto = np.cumsum(counts) / counts.sum()
    places = (np.arange(REFERENCE_PIXELS) + 0.5) / REFERENCE_PIXELS
    reference = np.searchsorted(upto, places).astype(np.uint8)[None]  # an image of that histogram
    matched = [np.rint(match_histograms(radiograph, reference)) for radiograph in radiographs]
    return np.array(matched).clip(0, 255).astype(np.uint8).reshape(radiographs.shape)
