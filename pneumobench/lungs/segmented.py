"""Segmented lungs of all images of an index, checked one by one and kept on disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_chunks, cached_images
from pneumobench.files import read_sealed, sha256_of_file, sha256_of_text, write_sealed
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX, WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.lungs.quality import BOUNDS_NAME, LungQuality, check_lungs, read_bounds
from pneumobench.lungs.segmenter import load_network, segment_lungs
from pneumobench.radiographs.geometry import GEOMETRY

SEGMENTER_VERSION: Final = 2  # part of the cache key: raise it when masks or their check change with equal weights


@dataclass(frozen=True, kw_only=True)
class SegmentedLungs:
    """Segmented lungs of the whole images of an index.

    Args:
        masks: (N, 224, 224) uint8 in index order, 1 = lung, also where they are not usable.
        quality: verdict on each mask.
        key: changes with the images, the weights and the bounds of what is plausible.
        weights_sha256: hash of the weights.
    """

    masks: NDArray[np.uint8]
    quality: tuple[LungQuality, ...]
    key: str
    weights_sha256: str

    def usable_rows(self) -> NDArray[np.int64]:
        """Return the rows of the index whose mask shows a plausible pair of lungs."""
        return np.flatnonzero([verdict.usable for verdict in self.quality]).astype(np.int64)

    def refused(self) -> dict[str, int]:
        """Return how many masks are not usable, by reason, the commonest first."""
        return dict(Counter(verdict.reason for verdict in self.quality if not verdict.usable).most_common())


def segmented_lungs(index: Index, cache_folder: Path, weights_folder: Path | None = None) -> SegmentedLungs:
    """Segment every image of an index, or read what an earlier start segmented.

    Args:
        index: the images.
        cache_folder: where decoded images and masks are kept.
        weights_folder: weights and bounds of the segmenter; None = the shipped ones.

    Raises:
        DataError: weights or bounds are missing or damaged.
    """
    folder = weights_folder or WEIGHTS_FOLDER
    network, bounds = load_network(folder), read_bounds(folder)
    weights_sha256 = sha256_of_file(folder / WEIGHTS_NAME)
    parts = [GEOMETRY, str(SEGMENTER_VERSION), weights_sha256, sha256_of_file(folder / BOUNDS_NAME)]
    key = sha256_of_text("\n".join([*parts, *index.table["sha256"]]))[:20]
    radiographs = cached_images(index, SEGMENTED_SIDE_PX, cache_folder)
    masks = cached_chunks(
        cache_folder / f"segmented-{SEGMENTED_SIDE_PX}px-{key}.npy",
        len(radiographs),
        SEGMENTED_SIDE_PX,
        lambda chunk: segment_lungs(np.asarray(radiographs[chunk]), network).astype(np.uint8),
    )
    verdicts = cache_folder / f"segmented-{key}.json"
    if (reasons := read_sealed(verdicts)) is None:
        reasons = [
            check_lungs(np.asarray(radiograph), mask > 0, bounds).reason
            for radiograph, mask in zip(radiographs, masks, strict=True)
        ]
        write_sealed(verdicts, reasons)
    quality = tuple(LungQuality(usable=not reason, reason=reason) for reason in reasons)
    return SegmentedLungs(masks=masks, quality=quality, key=key, weights_sha256=weights_sha256)
