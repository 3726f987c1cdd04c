"""Boxes around lungs: the fixed one that was published, and that of a mask."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pneumobench.radiographs.geometry import CropBox

Crop = Literal["none", "fixed", "adaptive"]
# rows 15-90 %, columns 20-80 %: the published fixed lung crop, 45 % of the image
BOX_ROWS, BOX_COLUMNS = (0.15, 0.90), (0.20, 0.80)
FIXED_BOX: Final[CropBox] = (*BOX_ROWS, *BOX_COLUMNS)
MARGIN: Final = 0.05  # of height and width, on each side of the lungs; the model card says what is cut off with it


def fixed_lung_box(side_px: int) -> NDArray[np.bool_]:
    """Return the fixed lung box as a mask (side, side)."""
    box = np.zeros((side_px, side_px), dtype=bool)
    rows = slice(*(round(side_px * edge) for edge in BOX_ROWS))
    columns = slice(*(round(side_px * edge) for edge in BOX_COLUMNS))
    box[rows, columns] = True
    return box


def lung_box(mask: NDArray[np.bool_]) -> CropBox:
    """Return the box around a mask (H, W) that is not empty, 5 % of the image wider on every side, within the image."""
    top, bottom, left, right = lung_edges(mask)
    wider = (max(top - MARGIN, 0.0), min(bottom + MARGIN, 1.0), max(left - MARGIN, 0.0), min(right + MARGIN, 1.0))
    top, bottom, left, right = (round(edge, 4) for edge in wider)
    return top, bottom, left, right


def lung_edges(mask: NDArray[np.bool_]) -> CropBox:
    """Return top, bottom, left and right of the lungs in a mask (H, W) that is not empty, in shares of its sides."""
    edges = []
    for axis in (1, 0):  # rows, then columns
        lung = np.flatnonzero(mask.any(axis=axis))
        side = mask.shape[1 - axis]
        edges += [float(lung[0]) / side, float(lung[-1] + 1) / side]
    top, bottom, left, right = edges
    return top, bottom, left, right
