"""How much of a heat map lies where no lung can be: in corners, along borders, outside the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from pneumobench.metrics.lung_attention import EPS
from pneumobench.metrics.validation import Booleans, Floats

EDGE: Final = 0.1  # width of border and corners as a share of the side


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionDrift:
    """Shares of the positive attention of B images, each in [0, 1] (NaN for a degenerate map), and what chance scores.

    Attributes:
        corners: (B,) in the four squares of a fifth of the side at the corners.
        borders: (B,) in the outer tenth on every edge.
        outside_body: (B,) outside the body.
        corners_area: (B,) share of the image that the corners are, what a uniform map scores: about 0.16.
        borders_area: (B,) of the borders: about 0.36.
        outside_body_area: (B,) of what lies outside the body.
    """

    corners: Floats
    borders: Floats
    outside_body: Floats
    corners_area: Floats
    borders_area: Floats
    outside_body_area: Floats


def attention_drift(heat: NDArray[np.floating[Any]], radiographs: NDArray[np.uint8]) -> AttentionDrift:
    """Return where positive attention drifts to.

    Args:
        heat: (B, H, W) heat maps on the input grid, finite; negative values count as no attention.
        radiographs: (B, H, W) the images themselves, from which the body is found.

    Raises:
        ValueError: the shapes differ.

    >>> heat = np.zeros((1, 20, 20)); heat[0, 0, 0] = 1.0
    >>> attention_drift(heat, np.zeros((1, 20, 20), dtype=np.uint8)).corners.tolist()
    [1.0]
    """
    if heat.ndim != 3 or heat.shape != radiographs.shape:
        raise ValueError(f"heat has shape {heat.shape}, images {radiographs.shape}; expected the same (B, H, W).")
    rows, columns = heat.shape[1:]
    edge_rows, edge_columns = max(1, round(EDGE * rows)), max(1, round(EDGE * columns))
    borders = np.ones((rows, columns), dtype=bool)
    borders[edge_rows:-edge_rows, edge_columns:-edge_columns] = False
    corners = np.zeros((rows, columns), dtype=bool)
    for top in (slice(None, 2 * edge_rows), slice(-2 * edge_rows, None)):
        for left in (slice(None, 2 * edge_columns), slice(-2 * edge_columns, None)):
            corners[top, left] = True
    outside = ~np.stack([body_mask(radiograph) for radiograph in radiographs])
    return AttentionDrift(
        corners=_share(heat, corners),
        borders=_share(heat, borders),
        outside_body=_share(heat, outside),
        corners_area=np.full(len(heat), corners.mean(), dtype=np.float64),
        borders_area=np.full(len(heat), borders.mean(), dtype=np.float64),
        outside_body_area=outside.mean(axis=(1, 2), dtype=np.float64),
    )


def body_mask(radiograph: NDArray[np.uint8]) -> Booleans:
    """Return the body in an image (H, W): the largest part brighter than Otsu's threshold halved, holes filled.

    Air around a child is nearly black, and the lungs, dark too, lie inside the body and are filled in. An image without
    contrast is all body. Source of the threshold: Otsu 1979, doi 10.1109/TSMC.1979.4310076.
    """
    if int(radiograph.min()) == int(radiograph.max()):
        return np.ones(radiograph.shape, dtype=bool)
    threshold: float = threshold_otsu(radiograph)  # type: ignore[no-untyped-call]
    bright = radiograph > threshold / 2
    labels, count = ndimage.label(bright)
    if count == 0:
        return np.ones(radiograph.shape, dtype=bool)
    largest = int(np.argmax(np.bincount(labels.ravel())[1:])) + 1
    return np.asarray(ndimage.binary_fill_holes(labels == largest), dtype=bool)


def _share(heat: NDArray[np.floating[Any]], region: Booleans) -> Floats:
    positive = np.maximum(heat, 0).astype(np.float64)
    total = positive.sum(axis=(1, 2))
    inside = np.where(region, positive, 0.0).sum(axis=(1, 2))
    share = np.divide(inside, total, out=np.full(total.shape, np.nan), where=total >= EPS)
    return np.asarray(np.minimum(share, 1.0), dtype=np.float64)
