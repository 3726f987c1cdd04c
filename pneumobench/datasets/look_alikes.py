"""Images that show the same picture although their files differ: re-saved, resized, mirrored, brightened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

THUMBNAIL_SIDE_PX: Final = 16
# On 5,840 radiographs of Kermany et al. (17 million pairs) no two different pictures come above a correlation of 0.987
# or below a largest difference of 32 gray levels, mirrored or not; copies are at 1.0 and 0.
NEAR_CORRELATION: Final = 0.99
SAME_GRAY_LEVELS: Final = 3  # colour to gray rounds by 1, JPEG and resizing move a mean by 1 or 2
_DIMENSIONS: Final = 12  # principal components that candidates are looked for in; distances only shrink there


@dataclass(frozen=True, kw_only=True)
class LookAlikes:
    """Pairs of pictures, by their number.

    Args:
        same: pairs (n, 2) whose thumbnails differ by rounding alone: one picture in two files.
        near: pairs (m, 2) of the others that look alike.
        correlation: of the thumbnails of each near pair, NEAR_CORRELATION to 1.
        mirrored: for each near pair, whether one of the two is the mirror image of the other.
    """

    same: NDArray[np.int64]
    near: NDArray[np.int64]
    correlation: NDArray[np.float64]
    mirrored: NDArray[np.bool_]


def thumbnail(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean gray levels (16, 16) of an image (H, W): what is compared here, and a perceptual hash."""
    side = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.asarray(cv2.resize(radiograph, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def look_alikes(thumbnails: Sequence[NDArray[np.uint8]]) -> LookAlikes:
    """Compare all pictures with each other, upright and mirrored left-right.

    Pictures are alike where their thumbnails correlate: brightness and contrast do not count. An even picture is like
    no other.

    Args:
        thumbnails: of the pictures, each (16, 16).
    """
    count = len(thumbnails)
    levels = np.array(thumbnails, dtype=np.float64).reshape(count, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    upright = _unit(levels)
    # the mirrored ones stand behind the others, so that one tree finds both kinds of pairs
    patterns = np.concatenate([upright, _unit(levels[:, :, ::-1])])
    pairs = _candidates(patterns, count) if count > 1 else np.empty((0, 2), dtype=np.int64)
    one, other = pairs[:, 0], pairs[:, 1]
    correlation = np.einsum("ij,ij->i", patterns[one], patterns[other])
    mirrored = other >= count
    other = np.where(mirrored, other - count, other)
    flat = levels.reshape(count, THUMBNAIL_SIDE_PX**2)
    difference = np.abs(flat[one] - flat[other]).max(axis=1, initial=0)
    alike = correlation >= NEAR_CORRELATION
    same = alike & ~mirrored & (difference <= SAME_GRAY_LEVELS)
    near = alike & ~same & (one < other)  # a picture that is its own mirror image is no pair
    pairs = np.stack([one, other], axis=1)
    return LookAlikes(
        same=pairs[same], near=pairs[near], correlation=correlation[near].clip(max=1.0), mirrored=mirrored[near]
    )


def _unit(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return patterns (N, 256) of mean 0 and length 1; of an even picture all 0."""
    flat = levels.reshape(len(levels), THUMBNAIL_SIDE_PX**2)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6))


def _candidates(patterns: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return pairs (first, second) with first an upright picture that may correlate by NEAR_CORRELATION or more."""
    uneven = np.flatnonzero(patterns.any(axis=1))
    components = np.linalg.eigh(np.cov(patterns[:count].T))[1][:, -_DIMENSIONS:]
    farthest = np.sqrt(2 * (1 - NEAR_CORRELATION)) + 1e-6  # of two vectors of length 1
    tree: Any = cKDTree(patterns[uneven] @ components)
    pairs = uneven[tree.query_pairs(farthest, output_type="ndarray").astype(np.int64).reshape(-1, 2)]
    pairs = np.sort(pairs, axis=1)
    pairs = pairs[pairs[:, 0] < count]
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], dtype=np.int64)
