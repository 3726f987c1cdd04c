"""GRAY LEVELS -> WHAT A NETWORK SEES, for images that no run has an index of. The pixels are those of training.

Nobody drew the lungs of a new image: they are segmented, and whether a pair was found is a first check of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.lungs.boxes import FIXED_BOX, Crop, lung_box
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX
from pneumobench.lungs.quality import QualityBounds, check_lungs
from pneumobench.radiographs.geometry import CropBox, cropped, image_to_square, mask_to_square

NOT_LOOKED_FOR: Final = "lungs were not looked for"
FindLungs = Callable[
    [NDArray[np.uint8]], NDArray[np.bool_]
]  # whole images (B, 224, 224) uint8 -> masks, the same shape


@dataclass(frozen=True, kw_only=True, eq=False)
class NewImage:
    """An image as a network sees it, and its lungs.

    Args:
        radiograph: (side, side) uint8.
        lungs: (side, side) bool in the same geometry; None = no plausible pair of lungs was found.
        without_lungs: why not; empty where they were.
        crop_box: what was cut out of it first; None = nothing.
    """

    radiograph: NDArray[np.uint8]
    lungs: NDArray[np.bool_] | None
    without_lungs: str
    crop_box: CropBox | None = None


def new_images(
    grays: Sequence[NDArray[np.uint8]], *, side_px: int, crop: Crop, find_lungs: FindLungs | None, bounds: QualityBounds
) -> list[NewImage]:
    """Return images as the networks of a run see them.

    Args:
        grays: gray levels (H, W) of each, of any size.
        side_px: side of the square that networks see, in pixels.
        crop: what is cut out, see `DataSpec.crop`; an adaptive crop is the fixed one where no lungs were found.
        find_lungs: the segmenter; None = lungs are not looked for, which an adaptive crop needs.
        bounds: of what is a plausible pair of lungs.
    """
    usual = None if crop == "none" else FIXED_BOX
    if find_lungs is None:
        assert crop != "adaptive", "it is that of the lungs"
        squares = [image_to_square(cropped(gray, usual), side_px) for gray in grays]
        return [
            NewImage(radiograph=square, lungs=None, without_lungs=NOT_LOOKED_FOR, crop_box=usual) for square in squares
        ]
    if not grays:
        return []
    wholes = np.stack([image_to_square(gray, SEGMENTED_SIDE_PX) for gray in grays])
    found = []
    for gray, whole, mask in zip(grays, wholes, find_lungs(wholes), strict=True):
        quality = check_lungs(whole, mask, bounds)
        box = lung_box(mask) if crop == "adaptive" and quality.usable else usual
        words = (
            "" if quality.usable else f"no pair of lungs found: {quality.reason}" if mask.any() else "no lungs found"
        )
        found.append(
            NewImage(
                radiograph=image_to_square(cropped(gray, box), side_px),
                lungs=mask_to_square(cropped(mask, box), side_px) if quality.usable else None,
                without_lungs=words,
                crop_box=box,
            )
        )
    return found


def lungs_filled(radiographs: NDArray[np.uint8], lungs: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return images (B, H, W) whose lungs have the mean gray of the rest, that of all of it where nothing is left.

    The same bytes as `pneumobench.lungs.masked_regions.without_lungs`, which computes where a training does.

    Args:
        radiographs: the images.
        lungs: masks (B, H, W).
    """
    taken = lungs & ~lungs.all(axis=(1, 2), keepdims=True)
    count = (~taken).sum(axis=(1, 2), dtype=np.int64)
    total = np.where(taken, 0, radiographs).sum(axis=(1, 2), dtype=np.int64)
    mean = (2 * total + count) // (2 * count)  # rounded, in whole numbers
    return np.where(lungs, mean.astype(np.uint8)[:, None, None], radiographs)
