"""Which image files show one picture: equal pixels, or so alike that no more than saving them again lies between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pneumobench.datasets.index import NearPair
from pneumobench.datasets.look_alikes import look_alikes
from pneumobench.datasets.measured import Measured


def pictures(image_id: Sequence[str], measured: Sequence[Measured]) -> tuple[list[str], tuple[NearPair, ...]]:
    """Return what picture each image shows, as the hash of the first that shows it, and pairs that look alike."""
    first: dict[str, int] = {}  # row of the first image of these very pixels
    for row, image in enumerate(measured):
        first.setdefault(image.pixels, row)
    rows = list(first.values())
    thumbnails = [np.frombuffer(bytes.fromhex(measured[row].thumbnail), dtype=np.uint8) for row in rows]
    found = look_alikes(thumbnails)
    shown = np.arange(len(rows))
    shown[found.same[:, 1]] = found.same[:, 0]
    picture = {measured[row].pixels: measured[rows[shown[place]]].pixels for place, row in enumerate(rows)}
    near = tuple(
        NearPair(
            image_ids=(image_id[rows[one]], image_id[rows[other]]),
            correlation=round(float(correlation), 4),
            change=change,
        )
        for (one, other), correlation, change in zip(found.near, found.correlation, found.change, strict=True)
    )
    return [picture[image.pixels] for image in measured], near
