"""What a network sees of an image: all of it, a fixed part, or the box around its lungs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.lungs.masks import BOX_COLUMNS, BOX_ROWS
from pneumobench.lungs.segmented import SegmentedLungs
from pneumobench.radiographs.geometry import CropBox

Crop = Literal["none", "fixed", "adaptive"]
MARGIN: Final = 0.05  # of height and width, on each side of the lungs; the model card says what is cut off with it
FIXED_BOX: Final[CropBox] = (*BOX_ROWS, *BOX_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class ImageCrop:
    """What is cut out of each image of an index.

    Args:
        kind: the choice of the suite.
        boxes: one box an image in index order; None = images stay whole.
        by_fixed: images of an adaptive crop without usable lungs, which the fixed crop serves.
    """

    kind: Crop
    boxes: tuple[CropBox, ...] | None
    by_fixed: int = 0

    def metadata(self) -> dict[str, Any]:
        """Return what a run's facts say of it."""
        return {"kind": self.kind, **({"films_by_fixed_crop": self.by_fixed} if self.kind == "adaptive" else {})}


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


def image_crop(kind: Crop, index: Index, segmented: SegmentedLungs | None) -> ImageCrop:
    """Return the crop of every image of an index.

    An adaptive crop is always that of segmented lungs: of a new image nobody has drawn any.

    Args:
        kind: `none`, `fixed` (rows 15-90 %, columns 20-80 %) or `adaptive`.
        index: the images.
        segmented: their segmented lungs, needed for `adaptive`.
    """
    if kind == "none":
        return ImageCrop(kind=kind, boxes=None)
    boxes = [FIXED_BOX] * len(index.table)
    if kind == "fixed":
        return ImageCrop(kind=kind, boxes=tuple(boxes))
    assert segmented is not None
    usable = segmented.usable_rows()
    for row in usable:
        boxes[row] = lung_box(segmented.masks[row] > 0)
    return ImageCrop(kind=kind, boxes=tuple(boxes), by_fixed=len(boxes) - len(usable))
