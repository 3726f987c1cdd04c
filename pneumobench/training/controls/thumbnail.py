"""The image at 12 x 12 pixels: its overall shape and exposure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control

if TYPE_CHECKING:
    from torch import Tensor

THUMBNAIL_SIDE: Final = (
    12  # pixels: the heart, the diaphragm and the exposure survive, a lung field is four pixels wide
)
MASKED_TOGETHER: Final = 512  # images at a time: bounds memory


@register_control("thumbnail", words="12 x 12 pixels")
def thumbnail(seen: Seen) -> NDArray[np.float64]:
    """Return the gray levels of the thumbnails (N, 144)."""
    return thumbnails(seen.radiographs)


def thumbnails(radiographs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the gray levels of thumbnails (N, 144) of images (N, side, side)."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [cv2.resize(np.asarray(one), size, interpolation=cv2.INTER_AREA).ravel() for one in radiographs]
    return np.stack(small).astype(np.float64)


def masked_thumbnails(
    radiographs: NDArray[np.uint8],
    blank: Callable[[Tensor, Tensor], Tensor],
    lungs_of: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Return the gray levels of thumbnails (N, 144) of images (N, side, side) that were masked first.

    Args:
        radiographs: the images.
        blank: function of images (B, side, side) uint8 and what is masked (B, side, side) bool.
        lungs_of: what is masked in rows.
    """
    import torch  # here: its words are asked for without PyTorch

    parts = []
    for start in range(0, len(radiographs), MASKED_TOGETHER):
        rows = np.arange(start, min(start + MASKED_TOGETHER, len(radiographs)))
        lungs = torch.from_numpy(np.ascontiguousarray(lungs_of(rows)))
        parts.append(thumbnails(blank(torch.from_numpy(np.array(radiographs[rows])), lungs).numpy()))
    return np.concatenate(parts)
