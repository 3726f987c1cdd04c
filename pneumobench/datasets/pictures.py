"""Which image files show one picture: equal pixels, or so alike that no more than saving them again lies between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import NearPair
from pneumobench.datasets.look_alikes import LookAlikes, look_alikes
from pneumobench.datasets.measured import Measured
from pneumobench.files import read_sealed, sha256_of_text, write_sealed

LOOK_ALIKES: Final = "look-alikes-2"  # raise the number when `look_alikes` finds other pairs


def pictures(
    image_id: Sequence[str], measured: Sequence[Measured], cache_folder: Path | None = None
) -> tuple[list[str], tuple[NearPair, ...]]:
    """Return what picture each image shows, as the hash of the first that shows it, and pairs that look alike.

    Args:
        image_id: of the images.
        measured: what decoding told of each.
        cache_folder: where it is kept which of the same pictures look alike; None = nothing is kept.
    """
    first: dict[str, int] = {}  # row of the first image of these very pixels
    for row, image in enumerate(measured):
        first.setdefault(image.pixels, row)
    rows = list(first.values())
    found = _look_alikes(
        [measured[row].thumbnail for row in rows], [measured[row].perceptual_hash for row in rows], cache_folder
    )
    shown = np.arange(len(rows))
    shown[found.same[:, 1]] = found.same[:, 0]
    picture = {measured[row].pixels: measured[rows[shown[place]]].pixels for place, row in enumerate(rows)}
    near = tuple(
        NearPair(
            image_ids=(image_id[rows[one]], image_id[rows[other]]),
            correlation=round(float(correlation), 4),
            hash_distance=int(distance),
            change=change,
        )
        for (one, other), correlation, distance, change in zip(
            found.near, found.correlation, found.hash_distance, found.change, strict=True
        )
    )
    return [picture[image.pixels] for image in measured], near


def _look_alikes(thumbnails: Sequence[str], hashes: Sequence[str], cache_folder: Path | None) -> LookAlikes:
    """Return what `look_alikes` finds among pictures in hexadecimal, as kept if it was asked of the same before."""
    if cache_folder is None:
        return look_alikes(_arrays(thumbnails), _arrays(hashes))
    path = cache_folder / f"{LOOK_ALIKES}-{sha256_of_text(' '.join([*thumbnails, *hashes]))[:20]}.json"
    if (kept := read_sealed(path)) is None:
        found = _look_alikes(thumbnails, hashes, None)
        numbers = (found.same, found.near, found.correlation, found.hash_distance)
        kept = [*(one.tolist() for one in numbers), found.change]
        write_sealed(path, kept)
    same, near, correlation, distance, change = kept
    return LookAlikes(
        same=np.array(same, dtype=np.int64).reshape(-1, 2),
        near=np.array(near, dtype=np.int64).reshape(-1, 2),
        correlation=np.array(correlation, dtype=np.float64),
        hash_distance=np.array(distance, dtype=np.int64),
        change=tuple(change),
    )


def _arrays(hexadecimal: Sequence[str]) -> list[NDArray[np.uint8]]:
    return [np.frombuffer(bytes.fromhex(one), dtype=np.uint8) for one in hexadecimal]
