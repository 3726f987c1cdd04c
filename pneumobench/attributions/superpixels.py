"""Superpixels of an image: connected regions of similar gray that an explanation switches on and off together.

Source: Achanta et al. 2012, SLIC, doi 10.1109/TPAMI.2012.120, in the implementation of scikit-image.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from pneumobench.errors import SettingsError

COMPACTNESS = 0.1  # for gray in [0, 1]: regions follow edges; at 0.5 and above SLIC draws squares
SMOOTHING_PX = 1.0  # standard deviation; of 50 four images of 64 px gave 41 to 46 without it, 45 to 47 with it
REMEMBERED_IMAGES = 512  # about 130 MB at 224 px: all architectures of a run see the same images


def superpixels(radiograph: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """Return the superpixel of every pixel of an image; the same image and count give the same superpixels.

    Args:
        radiograph: (H, W) uint8.
        count: how many are wanted; SLIC gives about as many.

    Returns:
        Labels (H, W) from 0 to the number of superpixels - 1, read-only: the array is kept for the next caller.

    Raises:
        SettingsError: fewer than 2 are wanted, or the image is too small or too plain for 2.
    """
    if count < 2:
        raise SettingsError(f"{count} superpixels: at least 2 are expected, about 50 are usual.")
    return _slic(radiograph.tobytes(), radiograph.shape, count)


@lru_cache(maxsize=REMEMBERED_IMAGES)
def _slic(pixels: bytes, shape: tuple[int, int], count: int) -> NDArray[np.int32]:
    gray = np.frombuffer(pixels, dtype=np.uint8).reshape(shape).astype(np.float32) / 255
    found = slic(gray, n_segments=count, compactness=COMPACTNESS, sigma=SMOOTHING_PX, start_label=0, channel_axis=None)
    names, positions = np.unique(found, return_inverse=True)  # without gaps
    if len(names) < 2:
        raise SettingsError(
            f"an image of {shape[1]} x {shape[0]} px gave {len(names)} superpixel of {count}; ask for more."
        )
    labels: NDArray[np.int32] = np.asarray(positions.reshape(shape), dtype=np.int32)
    labels.setflags(write=False)
    return labels
