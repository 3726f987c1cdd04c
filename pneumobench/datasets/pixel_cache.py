"""Images and lung masks decoded and resized once, kept as memory-mapped uint8 arrays keyed by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import warn
from pneumobench.files import cannot_write, reserve, sha256_of_file, sha256_of_text, write_text, written_whole
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import GEOMETRY, CropBox, cropped, image_to_square

Source = TypeVar("Source")
DECODE_CHUNK = 256  # images decoded at a time: bounds memory for full-size images


def cached_images(
    index: Index, side_px: int, cache_folder: Path, crop_boxes: Sequence[CropBox] | None = None
) -> NDArray[np.uint8]:
    """Return all images of an index as a read-only memory map (N, side, side) uint8, in index order.

    Args:
        index: the images.
        side_px: side of the squares in pixels.
        cache_folder: where decoded images are kept.
        crop_boxes: what is cut out of each image, at its own resolution, before it is squeezed; None = all of it.
    """
    paths = [index.root / image_id for image_id in index.table["image_id"]]
    boxes = crop_boxes if crop_boxes is not None else [None] * len(paths)
    return cached_squares(
        images_path(index, side_px, cache_folder, crop_boxes),
        list(zip(paths, boxes, strict=True)),
        side_px,
        lambda radiograph: image_to_square(cropped(read_gray(radiograph[0]), radiograph[1]), side_px),
    )


def images_path(index: Index, side_px: int, cache_folder: Path, crop_boxes: Sequence[CropBox] | None = None) -> Path:
    """Return the file that `cached_images` of the same arguments keeps; named by the content of the images."""
    key = sha256_of_text("\n".join([GEOMETRY, str(side_px), *index.table["sha256"], *crop_key(crop_boxes)]))[:20]
    return cache_folder / f"films-{side_px}px-{key}.npy"


def crop_key(crop_boxes: Sequence[CropBox] | None) -> list[str]:
    """Return the part of a cache key that crops make; nothing where nothing is cropped."""
    return [] if crop_boxes is None else [f"crop {box}" for box in crop_boxes]


def content_hash(paths: Sequence[Path]) -> str:
    """Return a SHA-256 that changes with the content of any of the files, or their order."""
    with ThreadPoolExecutor() as pool:
        return sha256_of_text("\n".join(pool.map(sha256_of_file, paths)))


def content_key(paths: Sequence[Path]) -> str:
    """Return the part of `content_hash` that names a cache file."""
    return content_hash(paths)[:20]


def cached_squares(
    path: Path, sources: Sequence[Source], side_px: int, read_square: Callable[[Source], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return (len(sources), side, side) uint8 from the cache file, which is made first where it is missing."""

    def read_chunk(chunk: slice) -> list[NDArray[np.uint8]]:
        return list(pool.map(read_square, sources[chunk]))

    with ThreadPoolExecutor() as pool:  # threads start with the first file that is read
        return cached_chunks(path, len(sources), side_px, read_chunk)


def cached_chunks(
    path: Path, count: int, side_px: int, read_chunk: Callable[[slice], Sequence[NDArray[np.uint8]] | NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return (count, side, side) uint8 from the cache file.

    Where the file is missing, or its SHA-256 is not the one beside it, it is made chunk by chunk.

    Raises:
        SettingsError: the folder cannot be written, or has no room.
    """
    if not _is_whole(path):
        with written_whole(path) as temporary:
            squares = reserved_squares(temporary, count, side_px)
            for start in range(0, count, DECODE_CHUNK):
                chunk = slice(start, min(start + DECODE_CHUNK, count))
                for row, square in enumerate(read_chunk(chunk), start=start):
                    squares[row] = square
            squares.flush()
            del squares
            digest = sha256_of_file(temporary)
        write_text(_digest_file(path), digest + "\n")
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def reserved_squares(path: Path, count: int, side_px: int) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Make a file of squares (count, side, side) uint8, for which there is room, and map it to be written.

    Raises:
        SettingsError: there is no room.
    """
    squares: np.memmap[Any, np.dtype[np.uint8]]
    try:
        squares = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, side_px, side_px))
    except OSError as error:
        raise cannot_write(path, error) from error
    reserve(path)  # before the first pixel
    return squares


def _is_whole(path: Path) -> bool:
    """Tell whether a cache file is there as it was written; says so where it is not."""
    if not path.is_file() or not _digest_file(path).is_file():
        return False
    whole = sha256_of_file(path) == _digest_file(path).read_text(encoding="utf-8", errors="replace").strip()
    if not whole:
        warn(f"{path}: decoded images are not as they were written (other SHA-256); they are made again.")
    return whole


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
