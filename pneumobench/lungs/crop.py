"""What a network sees of an image: all of it, a fixed part, or the box around its lungs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pneumobench.datasets.index import Index
from pneumobench.lungs.boxes import FIXED_BOX, Crop, lung_box
from pneumobench.lungs.segmented import SegmentedLungs
from pneumobench.radiographs.geometry import CropBox


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
