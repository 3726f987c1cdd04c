"""Films and lung masks decoded and resized once, kept as memory-mapped uint8 arrays keyed by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumobench.files import sha256_of_file, sha256_of_text, written_whole
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import GEOMETRY, film_to_square
from pneumobench.radiographs.index import Index

DECODE_CHUNK = 256  # images decoded at a time: bounds memory for full-size films


def cached_films(index: Index, side_px: int, cache_folder: Path) -> NDArray[np.uint8]:
    """Return all films of an index as a read-only memory map (N, side, side) uint8, in index order."""
    key = sha256_of_text("\n".join([GEOMETRY, str(side_px), *index.table["sha256"]]))[:20]
    paths = [index.root / image_id for image_id in index.table["image_id"]]
    return cached_squares(
        cache_folder / f"films-{side_px}px-{key}.npy",
        paths,
        side_px,
        lambda path: film_to_square(read_gray(path), side_px),
    )


def content_key(paths: Sequence[Path]) -> str:
    """Return a key that changes with the content of any of the files."""
    with ThreadPoolExecutor() as pool:
        return sha256_of_text("\n".join(pool.map(sha256_of_file, paths)))[:20]


def cached_squares(
    path: Path, sources: Sequence[Path], side_px: int, read_square: Callable[[Path], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return (len(sources), side, side) uint8 from the cache file, which is made first where it is missing."""
    if not path.is_file():
        with written_whole(path) as temporary:
            shape = (len(sources), side_px, side_px)
            squares = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with ThreadPoolExecutor() as pool:
                for start in range(0, len(sources), DECODE_CHUNK):
                    chunk = sources[start : start + DECODE_CHUNK]
                    for offset, square in enumerate(pool.map(read_square, chunk)):
                        squares[start + offset] = square
            squares.flush()
            del squares
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
