"""The lung mask at 12 x 12 pixels: its outline, without one gray value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control
from pneumobench.training.controls.thumbnail import masked_thumbnails


@register_control("mask_only", words="12 x 12 pixels of the lung mask alone, without gray values", masks_lungs=True)
def mask_only(seen: Seen) -> NDArray[np.float64]:
    """Return the shares of lung in the pixels of the thumbnails (N, 144), 0 to 255."""
    from pneumobench.lungs.masked_regions import mask_alone  # here: its words are asked for without PyTorch

    return masked_thumbnails(seen.radiographs, mask_alone, seen.masks.to_blank)
