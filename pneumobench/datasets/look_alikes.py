"""Images that show the same picture although their files differ: saved again, resized, brightened, turned, inverted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pneumobench.datasets.perceptual_hash import HASH_BYTES, close_hashes, hash_distance, perceptual_hash

THUMBNAIL_SIDE_PX: Final = 16
# On 5,840 radiographs of Kermany et al. (17 million pairs) no two different pictures come above a correlation of 0.987
# or below a largest difference of 32 gray levels, however they are turned, and no two hashes differ in fewer than 38
# bits; copies are at 1.0, 0 and 0. benchmark/evidence/near_duplicates.md shows which changes are found.
NEAR_CORRELATION: Final = 0.99
NEAR_HASH_DISTANCE: Final = 32  # bits of 256
SAME_GRAY_LEVELS: Final = 3  # colour to gray rounds by 1, JPEG and resizing move a mean by 1 or 2
NEAR_KEPT: Final = 10_000  # pairs that only look alike: of more the likest are kept
EVEN_GRAY_LEVELS: Final = 8  # within a row or column of a border
HASHED_WHOLE: Final = (
    0.8  # share of an image inside its borders from which they may stay in the hash, which is steadier
)
_TOGETHER, _PAIRS_TOGETHER = 1024, 1 << 17  # pictures and pairs that are compared at once
_DIMENSIONS: Final = 12  # principal components that candidates are looked for in; distances only shrink there


@dataclass(frozen=True, kw_only=True)
class LookAlikes:
    """Pairs of pictures, by their number.

    Args:
        same: pairs (n, 2) that link all pictures whose thumbnails differ by rounding alone: one picture in two files.
        near: pairs (m, 2) of the others that look alike, NEAR_KEPT at most.
        correlation: of the thumbnails of each near pair, up to 1.
        hash_distance: in how many of 256 bits the perceptual hashes of each near pair differ, as they are.
        change: for each near pair, how the second has to be changed to be like the first, in words; empty = not at all.
    """

    same: NDArray[np.int64]
    near: NDArray[np.int64]
    correlation: NDArray[np.float64]
    hash_distance: NDArray[np.int64]
    change: tuple[str, ...]


def thumbnail(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean gray levels (16, 16) of an image (H, W) without its borders."""
    side = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.asarray(cv2.resize(_without_borders(radiograph), side, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def steady_hash(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the perceptual hash (32,) of an image (H, W), without its borders where they are wide."""
    inner = _without_borders(radiograph)
    return perceptual_hash(radiograph if inner.size >= HASHED_WHOLE * radiograph.size else inner)


def _without_borders(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image without even rows and columns at its edges, which make different pictures alike."""
    inner = radiograph
    for axis in (1, 0):
        uneven = np.flatnonzero(np.ptp(inner, axis=axis) > EVEN_GRAY_LEVELS)
        if len(uneven) == 0 or uneven[-1] - uneven[0] + 1 < THUMBNAIL_SIDE_PX:
            return radiograph
        kept = slice(uneven[0], uneven[-1] + 1)
        inner = inner[kept] if axis == 1 else inner[:, kept]
    return inner


def look_alikes(thumbnails: Sequence[NDArray[np.uint8]], hashes: Sequence[NDArray[np.uint8]]) -> LookAlikes:
    """Compare all pictures with each other: as they are, turned by quarters, mirrored and with inverted gray levels.

    Pictures are alike where their thumbnails correlate, which brightness and contrast do not change, or where their
    perceptual hashes differ in few bits, as they are. An even picture is like no other. Whether two are one picture is
    decided by their thumbnails, as they are.

    Args:
        thumbnails: of the pictures, each (16, 16).
        hashes: of the pictures, each (32,), see `steady_hash`.
    """
    count = len(thumbnails)
    levels = np.array(thumbnails, dtype=np.float64).reshape(count, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    packed = np.array(hashes, dtype=np.uint8).reshape(count, HASH_BYTES)
    same, near = np.empty((0, 2), dtype=np.int64), _Near(count)
    words: list[str] = []
    for change, changed in _changes(levels):
        for pairs, correlation in _correlated(levels, changed):
            if not words:
                difference = np.abs(levels[pairs[:, 0]] - levels[pairs[:, 1]]).max(axis=(1, 2), initial=0)
                equal = difference <= SAME_GRAY_LEVELS
                same = _links(np.concatenate([same, pairs[equal]]), count)
                pairs, correlation = pairs[~equal], correlation[~equal]
            near.add(pairs, correlation, len(words))
        words.append(change)
    for pairs, correlation in _hashed_alike(levels, packed):
        near.add(pairs, correlation, 0)
    near.leave_out(_clusters(same, count))
    return LookAlikes(
        same=same,
        near=near.pairs,
        correlation=near.correlation.clip(max=1.0),
        hash_distance=hash_distance(packed[near.pairs[:, 0]], packed[near.pairs[:, 1]]),
        change=tuple(words[number] for number in near.change),
    )


class _Near:
    """The likest pairs so far, each with the change that makes them most alike."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pairs, self.correlation = np.empty((0, 2), dtype=np.int64), np.empty(0)
        self.change = np.empty(0, dtype=np.int64)

    def add(self, pairs: NDArray[np.int64], correlation: NDArray[np.float64], change: int) -> None:
        """Take further pairs, and drop those that are less alike than NEAR_KEPT others."""
        pairs, correlation = np.concatenate([self.pairs, pairs]), np.concatenate([self.correlation, correlation])
        numbers = np.concatenate([self.change, np.full(len(correlation) - len(self.change), change)])
        key = pairs[:, 0] * self.count + pairs[:, 1]
        order = np.lexsort((numbers, -correlation, key))
        best = order[np.r_[True, np.diff(key[order]) > 0]] if len(order) else order
        best = np.sort(best[np.argsort(-correlation[best], kind="stable")[:NEAR_KEPT]])
        best = best[np.argsort(key[best], kind="stable")]
        self.pairs, self.correlation, self.change = pairs[best], correlation[best], numbers[best]

    def leave_out(self, cluster: NDArray[np.int64]) -> None:
        """Drop pairs that are one picture."""
        other = cluster[self.pairs[:, 0]] != cluster[self.pairs[:, 1]]
        self.pairs, self.correlation, self.change = self.pairs[other], self.correlation[other], self.change[other]


def _clusters(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return a number (count,) that linked pictures share."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1] if count else np.empty(0), dtype=np.int64)


def _links(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return as few pairs as link the same pictures: each with the first that it is linked to."""
    cluster = _clusters(pairs, count)
    first = np.unique(cluster, return_index=True)[1][cluster]
    linked = np.flatnonzero(first != np.arange(count))
    return np.stack([first[linked], linked], axis=1)


def _changes(levels: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield each change in words, and pictures (N, side, side) changed by it; first as they are."""
    turns = ("", "turned left by 90°", "turned by 180°", "turned right by 90°")
    for inverted in ("", "inverted"):
        for mirrored in ("", "mirrored"):
            for quarters, turned in enumerate(turns):
                changed = np.rot90(levels[:, :, ::-1] if mirrored else levels, quarters, axes=(1, 2))
                yield " and ".join(filter(None, (mirrored, turned, inverted))), -changed if inverted else changed


def unit_patterns(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return patterns (N, 256) of mean 0 and length 1; of an even picture all 0."""
    flat = levels.reshape(len(levels), THUMBNAIL_SIDE_PX**2)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6))


def _correlated(
    levels: NDArray[np.float64], changed: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield pairs (picture, later one that was changed) that correlate by NEAR_CORRELATION or more, and how much."""
    patterns, others = unit_patterns(levels), unit_patterns(changed)
    uneven = np.flatnonzero(patterns.any(axis=1))
    if len(uneven) < 2:
        return
    components = np.linalg.eigh(np.cov(patterns.T))[1][:, -_DIMENSIONS:]
    farthest = np.sqrt(2 * (1 - NEAR_CORRELATION)) + 1e-6  # of two vectors of length 1
    tree: Any = cKDTree(patterns[uneven] @ components)
    for start in range(0, len(uneven), _TOGETHER):
        some = uneven[start : start + _TOGETHER]
        found = tree.sparse_distance_matrix(cKDTree(others[some] @ components), farthest, output_type="ndarray")
        pairs = np.stack([uneven[found["i"]], some[found["j"]]], axis=1)
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        for first in range(0, len(pairs), _PAIRS_TOGETHER):
            part = pairs[first : first + _PAIRS_TOGETHER].astype(np.int64)
            correlation = np.einsum("ij,ij->i", patterns[part[:, 0]], others[part[:, 1]])
            close = correlation >= NEAR_CORRELATION
            yield part[close], correlation[close]


def _hashed_alike(
    levels: NDArray[np.float64], packed: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield pairs of uneven pictures whose hashes differ in few bits, and how their thumbnails correlate."""
    patterns = unit_patterns(levels)
    uneven = np.flatnonzero(patterns.any(axis=1))
    for found in close_hashes(packed[uneven], NEAR_HASH_DISTANCE):
        pairs = uneven[found]
        yield pairs, np.einsum("ij,ij->i", patterns[pairs[:, 0]], patterns[pairs[:, 1]])
