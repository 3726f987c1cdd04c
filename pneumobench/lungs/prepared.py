"""FILES -> WHAT A NETWORK SEES: images, lung masks and crops of an index. Of new images: see `new_images`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.datasets.opening import SquareKind
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.lungs.boxes import FIXED_BOX
from pneumobench.lungs.crop import ImageCrop, image_crop
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX
from pneumobench.lungs.masks import LungMasks, lung_masks
from pneumobench.lungs.segmented import SegmentedLungs, segmented_lungs
from pneumobench.lungs.tiers import mask_tier
from pneumobench.suite.spec import DataSpec
from pneumobench.texts import counted


@dataclass(frozen=True, kw_only=True)
class PreparedImages:
    """The images of an index as the networks of a suite see them.

    Args:
        radiographs: (N, side, side) uint8 in index order.
        masks: lung masks in the same geometry; None = not asked for.
        crop: what was cut out of each image.
        segmented: segmented lungs of the whole images; None = nothing needed them.
    """

    radiographs: NDArray[np.uint8]
    masks: LungMasks | None
    crop: ImageCrop
    segmented: SegmentedLungs | None

    def metadata(self) -> dict[str, Any]:
        """Return what a run's facts say of masks, crop and segmenter."""
        facts = {"crop": self.crop.metadata()}
        if self.masks is not None:
            facts["lung_masks"] = self.masks.metadata()
        if self.segmented is not None:
            facts["segmenter"] = {
                "weights_sha256": self.segmented.weights_sha256,
                "refused": self.segmented.refused(),
            }
        return facts


def wanted_squares(data: DataSpec) -> tuple[SquareKind, ...]:
    """Return the squares of whole or fixed crops that `prepare_images` will ask for, to be made in the first pass."""
    shown = {"none": (SquareKind(side_px=data.image_side_px),),
             "fixed": (SquareKind(side_px=data.image_side_px, crop_box=FIXED_BOX),),
             "adaptive": ()}[data.crop]  # fmt: skip
    segmented = data.lung_mask_tier == "segmented" or data.crop == "adaptive"
    return tuple(dict.fromkeys((*shown, *((SquareKind(side_px=SEGMENTED_SIDE_PX),) if segmented else ()))))


def prepare_images(
    index: Index,
    data: DataSpec,
    cache_folder: Path,
    *,
    with_masks: bool = True,
    lungs_of_all: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> PreparedImages:
    """Return images, lung masks and crops of an index as the settings of a suite ask for them.

    Args:
        index: the images.
        data: side, crop and tier of the masks.
        cache_folder: where what is decoded and segmented is kept.
        with_masks: read the lung masks of the tier; False = images alone are needed.
        lungs_of_all: segment the lungs of images without a manual mask where others have one, as stand-ins.
        tell: is told what takes long, and what came out.

    Raises:
        DataError: a manual mask cannot be read, none is there, or the weights of the segmenter are missing.
        UnreadableImageError: an image cannot be decoded any more.
    """
    drawn = index.table["lung_mask"] != ""
    tier = mask_tier(data, drawn_masks=bool(drawn.any()))
    stand_ins = lungs_of_all and tier == "drawn" and not bool(drawn.all())
    segmented = None
    if data.crop == "adaptive" or (with_masks and (tier == "segmented" or stand_ins)):
        tell("segmenting the lungs of images that were not segmented before")
        segmented = segmented_lungs(index, cache_folder)
    crop = image_crop(data.crop, index, segmented)
    masks = None
    if with_masks:
        masks = lung_masks(
            index, data.image_side_px, cache_folder, tier=tier, crop_boxes=crop.boxes, segmented=segmented
        )
    if segmented is not None:
        tell(
            f"segmented lungs: {counted(len(segmented.usable_rows()), 'image')} usable, {len(index.table)} in all"
            + (f"; {counted(crop.by_fixed, 'image')} with the fixed crop instead" if crop.by_fixed else "")
        )
    radiographs = cached_images(index, data.image_side_px, cache_folder, crop.boxes)
    return PreparedImages(radiographs=radiographs, masks=masks, crop=crop, segmented=segmented)
