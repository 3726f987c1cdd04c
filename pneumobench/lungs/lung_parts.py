"""From the logits of a segmenter to a mask of two lungs. No PyTorch: whatever runs the network ends here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WEIGHTS_FOLDER: Final = Path(__file__).resolve().parent / "weights"
WEIGHTS_NAME: Final = "lung_unet.safetensors"
SEGMENTED_SIDE_PX: Final = 224  # side of the masks that the segmenter learnt from; nothing finer is known
WORKING_SIDE_PX: Final = 112  # half of the 224 px at which lungs were drawn; four halvings lead to 7


def masks_of_logits(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return masks (B, H, W) of lung logits (B, H, W): of the pixels above 0 the two largest parts, holes filled."""
    masks = np.zeros(logits.shape, dtype=bool)
    for place, found in enumerate(logits > 0):
        masks[place] = two_largest_parts(found)
    return masks


def two_largest_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the two largest connected parts of a mask (H, W), holes filled; fewer where it has fewer."""
    parts, count = ndimage.label(mask)
    if count > 2:
        sizes = np.bincount(parts.ravel())[1:]
        mask = np.isin(parts, 1 + np.argsort(-sizes, kind="stable")[:2])
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)
