"""Images with a part taken away, to see what a network scores without it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Radiographs = NDArray[np.uint8]
Masks = NDArray[np.bool_]

BORDER = 0.1  # share of the side on each edge: where laterality letters, tubes' ends and collimator edges are
BLUR = 0.15  # standard deviation as a share of the side: wider than the ribs, narrower than a lung


def without_lungs(radiographs: Radiographs, lungs: Masks) -> Radiographs:
    """Return images (B, H, W) whose lungs have the mean gray of the rest of the image."""
    return _filled(radiographs, lungs)


def only_lungs(radiographs: Radiographs, lungs: Masks) -> Radiographs:
    """Return images (B, H, W) where all but the lungs has the mean gray of the lungs."""
    return _filled(radiographs, ~lungs)


def lungs_blurred(radiographs: Radiographs, lungs: Masks) -> Radiographs:
    """Return images (B, H, W) whose lungs are blurred until only their overall brightness is left."""
    sigma = BLUR * radiographs.shape[-1]
    down, across = (_blur(side_px, sigma) for side_px in radiographs.shape[1:])
    blurred = down @ radiographs.astype(np.float32) @ across.T
    return np.where(lungs, np.rint(blurred), radiographs).astype(np.uint8)


def without_borders(radiographs: Radiographs, lungs: Masks) -> Radiographs:
    """Return images (B, H, W) whose outer tenth on every edge has the mean gray of the middle; lungs in it too."""
    edge = round(BORDER * radiographs.shape[-1])
    border = np.ones(lungs.shape, dtype=bool)
    border[:, edge:-edge, edge:-edge] = False
    return _filled(radiographs, border)


@functools.cache
def _blur(side_px: int, sigma_px: float) -> NDArray[np.float32]:
    """Return the matrix (side, side) that blurs columns with a Gaussian, mirrored at the edges.

    At these widths two matrix products are far quicker than a filter that walks over its whole neighbourhood.
    """
    matrix: NDArray[np.float32] = gaussian_filter1d(np.eye(side_px, dtype=np.float32), sigma_px, axis=0, mode="reflect")
    return matrix


def _filled(radiographs: Radiographs, taken: Masks) -> Radiographs:
    kept = ~taken
    # an image that is taken away whole keeps its own mean
    count = kept.sum(axis=(1, 2))
    total = np.where(kept, radiographs, 0).sum(axis=(1, 2), dtype=np.int64)
    mean = np.where(count > 0, total / np.maximum(count, 1), radiographs.mean(axis=(1, 2)))
    return np.where(taken, np.rint(mean)[:, None, None], radiographs).astype(np.uint8)


MASKED_REGIONS: Final[dict[str, Callable[[Radiographs, Masks], Radiographs]]] = {
    "without_lungs": without_lungs,
    "lungs_blurred": lungs_blurred,
    "only_lungs": only_lungs,
    "without_borders": without_borders,
}
