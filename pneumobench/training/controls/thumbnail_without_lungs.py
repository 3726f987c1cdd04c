"""The image at 12 x 12 pixels after its lungs were given the gray of the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control
from pneumobench.training.controls.thumbnail import masked_thumbnails


@register_control(
    "thumbnail_without_lungs",
    words="12 x 12 pixels with the lungs masked, where the outline of the mask stays visible",
    masks_lungs=True,
)
def thumbnail_without_lungs(seen: Seen) -> NDArray[np.float64]:
    """Return the gray levels of the thumbnails (N, 144)."""
    from pneumobench.lungs.masked_regions import without_lungs  # here: its words are asked for without PyTorch

    return masked_thumbnails(seen.radiographs, without_lungs, seen.masks.to_blank)
