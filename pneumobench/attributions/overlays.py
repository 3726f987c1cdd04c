"""Heat maps drawn over films, with the film's gray kept visible and the lungs outlined."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

OVERLAY_SIDE_PX = 256
STRONGEST_TINT = 0.65  # share of colour at the peak of a map: the film shows through everywhere
OUTLINE_RGB = (90, 220, 255)


@cache
def _inferno() -> NDArray[np.float32]:
    import matplotlib as mpl

    return np.asarray(mpl.colormaps["inferno"](np.linspace(0.15, 1, 256))[:, :3] * 255, dtype=np.float32)


def draw_overlay(film: NDArray[np.uint8], heat: NDArray[np.float32], lung_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return an RGB picture (256, 256, 3) of a film with its heat map and the outline of the lungs.

    Args:
        film: (H, W) uint8.
        heat: (H, W), negative parts left out; scaled to its own peak, so colours compare places, not images.
        lung_mask: (H, W) bool.
    """
    size = (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX)
    gray = cv2.resize(film, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)[..., None]
    share = cv2.resize(np.maximum(heat, 0).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    share = share / share.max() if share.max() > 0 else share
    colour = _inferno()[(share * 255).astype(np.uint8)]
    tint = (STRONGEST_TINT * np.sqrt(share))[..., None]
    picture = np.clip(gray * (1 - tint) + colour * tint, 0, 255).astype(np.uint8)
    large_mask = cv2.resize(lung_mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large_mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture, contours, -1, OUTLINE_RGB, 1, cv2.LINE_AA), dtype=np.uint8)


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return an RGB picture as PNG bytes."""
    done, encoded = cv2.imencode(".png", picture[..., ::-1])
    assert done, "OpenCV encodes every uint8 picture"
    return bytes(encoded)
