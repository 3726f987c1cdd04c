"""Images that show the same picture although their files differ: saved again, resized, brightened, turned, inverted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

THUMBNAIL_SIDE_PX: Final = 16
# On 5,840 radiographs of Kermany et al. (17 million pairs) no two different pictures come above a correlation of 0.987
# or below a largest difference of 32 gray levels, however they are turned; copies are at 1.0 and 0.
NEAR_CORRELATION: Final = 0.99
SAME_GRAY_LEVELS: Final = 3  # colour to gray rounds by 1, JPEG and resizing move a mean by 1 or 2
_DIMENSIONS: Final = 12  # principal components that candidates are looked for in; distances only shrink there
_FARTHEST: Final = math.sqrt(2 * (1 - NEAR_CORRELATION)) + 1e-6  # of two vectors of length 1 that correlate as much


@dataclass(frozen=True, kw_only=True)
class LookAlikes:
    """Pairs of pictures, by their number.

    Args:
        same: pairs (n, 2) whose thumbnails differ by rounding alone: one picture in two files.
        near: pairs (m, 2) of the others that look alike.
        correlation: of the thumbnails of each near pair, NEAR_CORRELATION to 1.
        change: for each near pair, how the second has to be changed to be like the first, in words; empty = not at all.
    """

    same: NDArray[np.int64]
    near: NDArray[np.int64]
    correlation: NDArray[np.float64]
    change: tuple[str, ...]


def thumbnail(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean gray levels (16, 16) of an image (H, W): what is compared here, and a perceptual hash."""
    side = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.asarray(cv2.resize(radiograph, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def look_alikes(thumbnails: Sequence[NDArray[np.uint8]]) -> LookAlikes:
    """Compare all pictures with each other: as they are, turned by quarters, mirrored and with inverted gray levels.

    Pictures are alike where their thumbnails correlate: brightness and contrast do not count. An even picture is like
    no other.

    Args:
        thumbnails: of the pictures, each (16, 16).
    """
    count = len(thumbnails)
    levels = np.array(thumbnails, dtype=np.float64).reshape(count, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    alike: dict[tuple[int, int], tuple[float, str]] = {}  # of several changes that make two alike, the best
    patterns = _unit(levels)
    uneven = np.flatnonzero(patterns.any(axis=1))
    if len(uneven) > 1:
        components = np.linalg.eigh(np.cov(patterns.T))[1][:, -_DIMENSIONS:]
        tree: Any = cKDTree(patterns[uneven] @ components)
        for change, changed in _changes(levels):
            others = _unit(changed)
            found = tree.query_ball_point(others[uneven] @ components, _FARTHEST)
            for one, other, correlation in _correlated(patterns, others, uneven, found):
                if correlation > alike.get((one, other), (0.0, ""))[0]:
                    alike[one, other] = correlation, change
    pairs = np.array(sorted(alike), dtype=np.int64).reshape(-1, 2)
    changes = [alike[one, other][1] for one, other in pairs.tolist()]
    difference = np.abs(levels[pairs[:, 0]] - levels[pairs[:, 1]]).max(axis=(1, 2), initial=0)
    same = (difference <= SAME_GRAY_LEVELS) & np.array([not words for words in changes], dtype=bool)
    near = np.flatnonzero(~same)
    return LookAlikes(
        same=pairs[same],
        near=pairs[near],
        correlation=np.array([alike[one, other][0] for one, other in pairs[near].tolist()]).clip(max=1.0),
        change=tuple(changes[row] for row in near),
    )


def _changes(levels: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield each change in words, and pictures (N, side, side) changed by it; first as they are."""
    for inverted in (False, True):
        for mirrored in (False, True):
            for quarters in range(4):
                words = [
                    *(["mirrored"] if mirrored else []),
                    *([f"turned by {90 * quarters}°"] if quarters else []),
                    *(["inverted"] if inverted else []),
                ]
                turned = np.rot90(levels[:, :, ::-1] if mirrored else levels, quarters, axes=(1, 2))
                yield " and ".join(words), -turned if inverted else turned


def _unit(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return patterns (N, 256) of mean 0 and length 1; of an even picture all 0."""
    flat = levels.reshape(len(levels), THUMBNAIL_SIDE_PX**2)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6))


def _correlated(
    patterns: NDArray[np.float64], others: NDArray[np.float64], uneven: NDArray[np.int64], found: Sequence[list[int]]
) -> Iterator[tuple[int, int, float]]:
    """Yield (first, second, correlation) of pictures and later ones that were changed, from NEAR_CORRELATION on.

    Args:
        patterns: of the pictures.
        others: of the changed ones.
        uneven: numbers of those that are not even.
        found: for each of those, which of them are near enough in few dimensions.
    """
    for other, near in zip(uneven.tolist(), found, strict=True):
        if len(near) > 1 or (near and uneven[near[0]] != other):  # most are near to themselves, or to none
            earlier = uneven[sorted(near)]
            earlier = earlier[earlier < other]
            correlation = patterns[earlier] @ others[other]
            for row in np.flatnonzero(correlation >= NEAR_CORRELATION):
                yield int(earlier[row]), other, float(correlation[row])
