"""The image at 12 x 12 pixels: its overall shape and exposure."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control

THUMBNAIL_SIDE: Final = (
    12  # pixels: the heart, the diaphragm and the exposure survive, a lung field is four pixels wide
)


@register_control("thumbnail", words="12 x 12 pixels")
def thumbnail(seen: Seen) -> NDArray[np.float64]:
    """Return the gray levels of the thumbnails (N, 144)."""
    return thumbnails(seen.radiographs)


def thumbnails(radiographs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the gray levels of thumbnails (N, 144) of images (N, side, side)."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [cv2.resize(np.asarray(one), size, interpolation=cv2.INTER_AREA).ravel() for one in radiographs]
    return np.stack(small).astype(np.float64)
