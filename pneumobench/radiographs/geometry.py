"""The one way a film becomes a square, shared by films and lung masks."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)
# top, bottom, left, right as fractions of height and width: says the same of a film and of a mask of another size
CropBox = tuple[float, float, float, float]
GEOMETRY = "squeeze-area-1"  # part of every pixel cache key: change it when the pixels change


def film_to_square(film: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Squeeze a gray film (H, W) to (side, side); the aspect ratio is not kept.

    Averaging over areas when shrinking keeps fine structures from aliasing.
    """
    if film.shape == (side_px, side_px):
        return film
    shrinks = film.shape[0] >= side_px and film.shape[1] >= side_px
    resized = cv2.resize(film, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def mask_to_square(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.bool_]:
    """Bring a lung mask (H, W) through the geometry of its film with nearest neighbour: (side, side) bool."""
    resized = cv2.resize(mask.astype(np.uint8), (side_px, side_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized > 0)


def cropped(picture: NDArray[Pixel], box: CropBox | None) -> NDArray[Pixel]:
    """Cut a box out of a film or mask (H, W) at its own resolution; None = all of it. At least one pixel is left."""
    if box is None:
        return picture
    height, width = picture.shape
    top, left = min(round(box[0] * height), height - 1), min(round(box[2] * width), width - 1)
    return picture[top : max(round(box[1] * height), top + 1), left : max(round(box[3] * width), left + 1)]
