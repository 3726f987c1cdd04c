"""The image at 12 x 12 pixels after its lungs were given the gray of the rest."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.training.controls import Seen, register_control
from pneumobench.training.controls.thumbnail import thumbnails

MASKED_TOGETHER: Final = 512  # images at a time: bounds memory


@register_control(
    "thumbnail_without_lungs",
    words="12 x 12 pixels with the lungs masked, of which mostly the outline of the mask is left",
    masks_lungs=True,
)
def thumbnail_without_lungs(seen: Seen) -> NDArray[np.float64]:
    """Return the gray levels of the thumbnails (N, 144)."""
    count = len(seen.radiographs)
    some_at_a_time = np.split(np.arange(count), range(MASKED_TOGETHER, count, MASKED_TOGETHER))
    blanked = [
        without_lungs(
            torch.from_numpy(np.array(seen.radiographs[some])), torch.from_numpy(seen.masks.to_blank(some))
        ).numpy()
        for some in some_at_a_time
    ]
    return thumbnails(np.concatenate(blanked))
