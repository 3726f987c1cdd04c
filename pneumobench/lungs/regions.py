"""The images that networks of a run are trained and tested on where `data.region` is not the whole image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_chunks
from pneumobench.files import sha256_of_text
from pneumobench.lungs.masked_regions import TRAINED_REGIONS
from pneumobench.lungs.outlines import Outlines, refuse_lonely
from pneumobench.suite.regions import Region

REGION_VERSION: Final = 1  # part of the cache key: raise it when pixels change with equal images, masks and outlines


@dataclass(frozen=True, kw_only=True)
class RegionImages:
    """Masked images, made once for each fold that they differ in, and kept on disk.

    Args:
        region: not the whole image.
        radiographs: whole images (N, side, side) uint8, in index order; all have a lung mask.
        index: the same images.
        cache_folder: where masked ones are kept.
    """

    region: Region
    radiographs: NDArray[np.uint8]
    index: Index
    cache_folder: Path
    _made: dict[str, NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    def of_fold(self, outlines: Outlines) -> NDArray[np.uint8]:
        """Return the masked images (N, side, side) uint8 of a fold as a read-only memory map.

        Training, validation and test images are masked alike, before they are augmented: a mask moves with its image.

        Raises:
            DataError: an image can get the outline of no other patient.
        """
        shown = TRAINED_REGIONS[self.region]
        if shown.outline == "other":
            refuse_lonely(outlines, self.index, range(len(self.radiographs)))
        key = self._key(outlines)
        if key not in self._made:
            side_px = self.radiographs.shape[1]

            def read_chunk(chunk: slice) -> NDArray[np.uint8]:
                rows = np.arange(chunk.start, chunk.stop)
                lungs = np.ascontiguousarray(outlines.of_rows(rows, shown.outline))
                return shown(torch.from_numpy(np.array(self.radiographs[rows])), torch.from_numpy(lungs)).numpy()

            path = self.cache_folder / f"{self.region}-{side_px}px-{key}.npy"
            self._made[key] = cached_chunks(path, len(self.radiographs), side_px, read_chunk)
        return self._made[key]

    def _key(self, outlines: Outlines) -> str:
        """Return what the pixels depend on, as a hash."""
        outline = TRAINED_REGIONS[self.region].outline
        if outline == "fixed":
            assert outlines.fixed is not None
            parts: list[NDArray[Any]] = [outlines.fixed]
        else:
            masks = outlines.masks
            parts = [masks.masks, np.array(sorted(masks.row_of.items()), dtype=np.int64)]
        if outline == "other":
            parts.append(outlines.other)
        text = "\n".join([f"{REGION_VERSION} {self.region}", self._content, *map(_content_of, parts)])
        return sha256_of_text(text)[:20]

    @cached_property
    def _content(self) -> str:
        return _content_of(self.radiographs)


def _content_of(array: NDArray[Any]) -> str:
    """Return the SHA-256 of the numbers of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
