"""What decoding an image tells of it, kept by content hash, so that an image is decoded once and not at every start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.look_alikes import steady_hash, thumbnail
from pneumobench.files import read_sealed, write_sealed

# raise the number when `decode_radiograph` reads the same bytes as another image, or finds something else odd about it
MEASURED_NAME: Final = "measured-images-5.json"


class Measured(NamedTuple):
    """What decoding an image tells of it.

    Args:
        width: in pixels.
        height: in pixels.
        pixels: SHA-256 of size and gray levels, whatever file holds them.
        thumbnail: 16 x 16 gray levels in hexadecimal, row by row.
        perceptual_hash: 256 bits in hexadecimal.
        notes: what is odd about an image that can be read.
    """

    width: int
    height: int
    pixels: str
    thumbnail: str
    perceptual_hash: str
    notes: tuple[str, ...]


def measured(gray: NDArray[np.uint8], notes: tuple[str, ...]) -> Measured:
    """Measure gray levels (height, width)."""
    height, width = gray.shape
    pixels = hashlib.sha256(f"{width}x{height}".encode())
    pixels.update(np.ascontiguousarray(gray).data)
    small, hashed = (make(gray).tobytes().hex() for make in (thumbnail, steady_hash))
    return Measured(width, height, pixels.hexdigest(), small, hashed, notes)


def read_measured(cache_folder: Path) -> dict[str, Measured]:
    """Return what was measured of images before, by content hash; a damaged file is as good as none."""
    plain = read_sealed(cache_folder / MEASURED_NAME) or {}
    return {content: Measured(*values)._replace(notes=tuple(values[-1])) for content, values in plain.items()}


def keep_measured(cache_folder: Path, new: Mapping[str, Measured]) -> None:
    """Add what was measured to what was before."""
    write_sealed(cache_folder / MEASURED_NAME, {**read_measured(cache_folder), **new})
