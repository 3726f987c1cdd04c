"""The one way an image becomes a square, shared by images and lung masks."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)
# top, bottom, left, right as fractions of height and width: says the same of an image and of a mask of another size
CropBox = tuple[float, float, float, float]
GEOMETRY = "squeeze-area-2"  # part of every pixel cache key: change it when the pixels change


def image_to_square(radiograph: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Squeeze a gray image (H, W) to (side, side); the aspect ratio is not kept.

    Averaging over areas when shrinking keeps fine structures from aliasing.
    """
    if radiograph.shape == (side_px, side_px):
        return radiograph
    shrinks = radiograph.shape[0] >= side_px and radiograph.shape[1] >= side_px
    resized = cv2.resize(radiograph, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def mask_to_square(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.bool_]:
    """Bring a lung mask (H, W) through the geometry of its image with nearest neighbour: (side, side) bool."""
    resized = cv2.resize(mask.astype(np.uint8), (side_px, side_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized > 0)


def cropped(picture: NDArray[Pixel], box: CropBox | None) -> NDArray[Pixel]:
    """Cut a box out of an image or mask (H, W) at its own resolution; None = all of it. At least one pixel is left."""
    if box is None:
        return picture
    height, width = picture.shape
    top, left = min(round(box[0] * height), height - 1), min(round(box[2] * width), width - 1)
    return picture[top : max(round(box[1] * height), top + 1), left : max(round(box[3] * width), left + 1)]


def square_to_image(square: NDArray[np.float32], box: CropBox | None, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Bring a map (side, side) back to the pixels (H, W) of its image; 0 outside of what was cut out of it.

    The way back of `cropped` and `image_to_square`, bilinear.

    Args:
        square: values of the square that networks see.
        box: what was cut out first; None = nothing.
        shape: height and width of the image.
    """
    whole = np.zeros(shape, dtype=np.float32)
    inside = cropped(whole, box)  # a view: what is written to it stands in the whole
    height, width = inside.shape
    inside[:] = cv2.resize(square.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return whole
