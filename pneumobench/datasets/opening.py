"""Every image of a listing opened once: read, hashed, measured, and squeezed for the pixel cache in the same pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.datasets.layouts import Listing
from pneumobench.datasets.patients import group_images
from pneumobench.datasets.pixel_cache import cached_chunks, images_path, reserved_squares
from pneumobench.errors import UnreadableImageError
from pneumobench.files import read_sealed, remove_left_over, temporary_folder, write_sealed
from pneumobench.radiographs.formats import decode_gray, read_content
from pneumobench.radiographs.geometry import CropBox, cropped, image_to_square

# width and height by content hash; raise the number when `read_gray` reads the same bytes as another image
SIZES_NAME: Final = "image-sizes-2.json"
Sizes = dict[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class SquareKind:
    """Squares that will be asked for.

    Args:
        side_px: their side in pixels.
        crop_box: what is cut out of every image first; None = nothing.
    """

    side_px: int
    crop_box: CropBox | None = None


@dataclass(frozen=True, kw_only=True)
class OpenedImages:
    """What opening the images of a listing brought.

    Args:
        index: the images that can be read.
        problems: one line for everything that cannot be used.
        squares: by kind, the squares (N, side, side) of the listed images; rows of images that were not decoded are 0.
        decoded: row in `squares` of each image that was decoded, by content hash.
    """

    index: Index
    problems: tuple[str, ...]
    squares: dict[SquareKind, NDArray[np.uint8]] = field(default_factory=dict)
    decoded: dict[str, int] = field(default_factory=dict)

    def keep_squares(self, index: Index, cache_folder: Path) -> None:
        """Write the pixel cache of an index, all of whose images were decoded; otherwise it is made when it is read."""
        contents = index.table["sha256"].tolist()
        if any(content not in self.decoded for content in contents):
            return
        rows = np.array([self.decoded[content] for content in contents], dtype=np.int64)
        for kind, squares in self.squares.items():
            boxes = None if kind.crop_box is None else [kind.crop_box] * len(rows)
            path = images_path(index, kind.side_px, cache_folder, boxes)
            cached_chunks(path, len(rows), kind.side_px, partial(_taken, squares, rows))


@contextmanager
def opened_images(
    root: Path, listing: Listing, *, cache_folder: Path | None = None, squares: Sequence[SquareKind] = ()
) -> Iterator[OpenedImages]:
    """Open every listed image: the bytes are always read and hashed, and decoded unless their size is known already.

    The hash decides, never a file's name or date: what has changed is decoded anew. Squares lie in a temporary file
    until the end of the context.

    Args:
        root: folder that image_id and lung_mask are relative to.
        listing: what to open.
        cache_folder: where sizes of images are kept; None = nothing is kept, all are decoded.
        squares: what is made of each image that is decoded.

    Raises:
        SettingsError: the cache folder cannot be written.
    """
    known = {} if cache_folder is None else _read_sizes(cache_folder)
    count = len(listing.rows)
    if cache_folder is not None:
        remove_left_over(cache_folder)
    with temporary_folder(cache_folder, "squares") if squares else nullcontext(Path()) as folder:
        kept: dict[SquareKind, NDArray[np.uint8]] = {
            kind: reserved_squares(folder / f"{number}.npy", count, kind.side_px)
            for number, kind in enumerate(dict.fromkeys(squares) if count else ())
        }
        decoded: dict[str, int] = {}
        resolved = root.resolve()

        def opened(row: int, image_id: str) -> tuple[str, int, int] | str:
            path = root / image_id
            if not _is_below(path, resolved):
                return f"{image_id}: leads out of the data folder; copy the file into it"
            try:
                content = read_content(path)
                content_hash = hashlib.sha256(content).hexdigest()
                if content_hash in known:
                    return content_hash, *known[content_hash]
                radiograph = decode_gray(path, content)
            except (UnreadableImageError, OSError) as error:
                return str(error)
            for kind, places in kept.items():
                places[row] = image_to_square(cropped(radiograph, kind.crop_box), kind.side_px)
            decoded[content_hash] = row
            height, width = radiograph.shape
            return content_hash, width, height

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(opened, range(count), listing.rows["image_id"] if count else ()))
        if cache_folder is not None and decoded:
            new = {item[0]: item[1:] for item in found if not isinstance(item, str)}
            write_sealed(cache_folder / SIZES_NAME, {**_read_sizes(cache_folder), **new})
        yield _opened(root, listing, found, kept, decoded)
        kept.clear()


def _taken(squares: NDArray[np.uint8], rows: NDArray[np.int64], chunk: slice) -> NDArray[np.uint8]:
    return squares[rows[chunk]]


def open_images(root: Path, listing: Listing) -> tuple[Index, tuple[str, ...]]:
    """Decode and hash every listed image; return the index of the good ones and all problems, one line each."""
    with opened_images(root, listing) as opened:
        return opened.index, opened.problems


def _opened(
    root: Path,
    listing: Listing,
    found: Sequence[tuple[str, int, int] | str],
    squares: dict[SquareKind, NDArray[np.uint8]],
    decoded: dict[str, int],
) -> OpenedImages:
    problems = [*listing.problems, *(item for item in found if isinstance(item, str))]
    resolved = root.resolve()
    for image_id, mask in zip(listing.rows["image_id"], listing.rows["lung_mask"], strict=True):
        if mask and not _is_below(root / mask, resolved):
            problems.append(f"{mask}: lung mask of {image_id} leads out of the data folder; copy the file into it")
        elif mask and not (root / mask).is_file():
            problems.append(f"{mask}: lung mask of {image_id} is missing")
    good = np.array([not isinstance(item, str) for item in found], dtype=bool)
    table = listing.rows[good].copy()
    metadata = [item for item in found if not isinstance(item, str)]
    table["sha256"] = [fact[0] for fact in metadata]
    table["width"] = [fact[1] for fact in metadata]
    table["height"] = [fact[2] for fact in metadata]
    table = table.sort_values("image_id", kind="stable").reset_index(drop=True)
    table["group"] = group_images(table["patient"].tolist(), table["sha256"].tolist())
    index = Index(root=root, table=table[INDEX_COLUMNS], notes=listing.notes)
    return OpenedImages(index=index, problems=tuple(problems), squares=squares, decoded=decoded)


def _is_below(path: Path, root: Path) -> bool:
    """Tell whether a path stays below a resolved root after links are followed; a link loop does not."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _read_sizes(cache_folder: Path) -> Sizes:
    """Return the sizes of images that were decoded before; a damaged file is as good as none."""
    plain = read_sealed(cache_folder / SIZES_NAME) or {}
    return {str(content): (int(width), int(height)) for content, (width, height) in plain.items()}
