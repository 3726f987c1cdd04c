"""Where lung masks come from: drawn by people, made by the segmenter, or the fixed box."""

from __future__ import annotations

from typing import Literal

from pneumobench.suite.spec import DataSpec

MaskTier = Literal["drawn", "segmented", "box"]


def mask_tier(data: DataSpec, *, drawn_masks: bool) -> MaskTier:
    """Return where the lung masks of some data come from; what `auto` stands for is decided here.

    >>> mask_tier(DataSpec(), drawn_masks=True), mask_tier(DataSpec(), drawn_masks=False)
    ('drawn', 'box')
    >>> mask_tier(DataSpec(crop="fixed"), drawn_masks=False)  # the box says nothing in an image that was cut
    'segmented'
    >>> mask_tier(DataSpec(region="only_lungs"), drawn_masks=False)  # the box is the lungs of nobody
    'segmented'
    """
    if data.lung_mask_tier != "auto":
        return data.lung_mask_tier
    if drawn_masks:
        return "drawn"
    return "box" if data.crop == "none" and not lungs_required(data) else "segmented"


def lungs_required(data: DataSpec) -> bool:
    """Tell whether only images with a lung mask are used."""
    return data.require_lung_mask or data.region != "whole"
