"""Perceptual hashes: 256 bits of an image that stay where contrast is changed locally or a margin is cut away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

HASH_SIDE: Final = 16  # lowest frequencies in each direction: 256 bits
HASH_BYTES: Final = HASH_SIDE**2 // 8
_ROWS_TOGETHER: Final = 256  # hashes that are compared with all others at once


def perceptual_hash(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the perceptual hash (32,) of gray levels (H, W): which low frequencies lie above their median.

    Source: Zauner 2010, Implementation and benchmarking of perceptual image hash functions (pHash), by `imagehash`.
    """
    import imagehash  # here: whoever opens images that were measured before does without it
    from PIL import Image

    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(radiograph)), hash_size=HASH_SIDE).hash
    return np.packbits(bits)


def hash_distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return in how many of 256 bits hashes (..., 32) differ."""
    return np.asarray(np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64), dtype=np.int64)


def close_hashes(hashes: NDArray[np.uint8], largest: int) -> Iterator[NDArray[np.int64]]:
    """Yield pairs (n, 2) of hashes (N, 32), the first before the second, that differ in at most `largest` bits.

    Every hash is compared with every other: some seconds for 20,000 images.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    for start in range(0, len(words), _ROWS_TOGETHER):
        some, others = words[start : start + _ROWS_TOGETHER], words[start + 1 :]
        distance = np.zeros((len(some), len(others)), dtype=np.uint16)
        for word in range(words.shape[1]):
            distance += np.bitwise_count(some[:, None, word] ^ others[None, :, word])
        row, column = np.nonzero(distance <= largest)
        later = column >= row  # `others` begins one after `some`
        yield np.stack([row[later] + start, column[later] + start + 1], axis=1).astype(np.int64)
