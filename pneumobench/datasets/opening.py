"""Every image of a listing opened once: read, hashed, measured, and squeezed for the pixel cache in the same pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.identifiers import named_patients
from pneumobench.datasets.index import INDEX_COLUMNS, PICTURE, Identity, Index
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing
from pneumobench.datasets.links import link_problem
from pneumobench.datasets.measured import Measured, keep_measured, measured, read_measured
from pneumobench.datasets.patients import group_images
from pneumobench.datasets.pictures import pictures
from pneumobench.datasets.pixel_cache import cached_chunks, images_path, reserved_squares
from pneumobench.datasets.read_files import ReadFile, in_words, keep_files, known_files, now_ns, stamp_of
from pneumobench.errors import UnreadableImageError
from pneumobench.files import remove_left_over, temporary_folder
from pneumobench.radiographs.formats import decode_radiograph, held_content
from pneumobench.radiographs.geometry import CropBox, cropped, image_to_square
from pneumobench.radiographs.plausibility import implausible

Found = tuple[str, Measured] | str  # content hash and what was measured, or what is wrong


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
    root: Path,
    listing: Listing,
    *,
    cache_folder: Path | None = None,
    squares: Sequence[SquareKind] = (),
    rehash: bool = False,
) -> Iterator[OpenedImages]:
    """Open every listed image: it is read and hashed unless the file is as it was (see `read_files`), and decoded
    unless its content was measured before.

    Squares lie in a temporary file until the end of the context.

    Args:
        root: folder that image_id and lung_mask are relative to.
        listing: what to open.
        cache_folder: where what is measured is kept; None = nothing is kept, all are decoded.
        squares: what is made of each image that is decoded.
        rehash: read every file.

    Raises:
        SettingsError: the cache folder cannot be written.
    """
    if listing.rows.empty:
        listing = replace(listing, rows=pd.DataFrame(columns=list(LISTING_COLUMNS)))
    known = {} if cache_folder is None else read_measured(cache_folder)
    files = {} if cache_folder is None or rehash else known_files(cache_folder)
    started_ns = now_ns()
    count = len(listing.rows)
    if cache_folder is not None:
        remove_left_over(cache_folder)
    with temporary_folder(cache_folder, "squares") if squares else nullcontext(Path()) as folder:
        kept: dict[SquareKind, NDArray[np.uint8]] = {
            kind: reserved_squares(folder / f"{number}.npy", count, kind.side_px)
            for number, kind in enumerate(dict.fromkeys(squares) if count else ())
        }
        decoded: dict[str, int] = {}
        read: dict[str, ReadFile] = {}
        unread: list[str] = []  # when the files that are not read again were read
        resolved = root.resolve()

        def opened(row: int, image_id: str) -> Found:
            path = root / image_id
            if problem := link_problem(root, image_id, real_root=resolved, follow_links=listing.follow_links):
                return f"{image_id}: {problem}"
            try:
                stamp, place = stamp_of(path), str(resolved / image_id)
                if (before := files.get(place)) and before.stamp == stamp and before.sha256 in known:
                    unread.append(before.read)
                    return before.sha256, known[before.sha256]
                with held_content(path) as content:
                    content_hash = hashlib.sha256(content).hexdigest()
                    if stamp is not None and stamp.is_older_than(started_ns):
                        read[place] = ReadFile(stamp, content_hash, in_words(started_ns))
                    if content_hash in known:
                        return content_hash, known[content_hash]
                    radiograph = decode_radiograph(path, content)
                notes = (*radiograph.notes, *implausible(path, radiograph.gray))
            except (UnreadableImageError, OSError) as error:
                return str(error).replace(str(path), image_id)  # no report names a folder of this machine
            for kind, places in kept.items():
                places[row] = image_to_square(cropped(radiograph.gray, kind.crop_box), kind.side_px)
            decoded[content_hash] = row
            return content_hash, measured(radiograph.gray, notes)

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(opened, range(count), listing.rows["image_id"] if count else ()))
        if cache_folder is not None and decoded:
            keep_measured(cache_folder, dict(item for item in found if not isinstance(item, str)))
        if cache_folder is not None and read:
            keep_files(cache_folder, read)
        yield _opened(root, listing, found, kept, decoded, min([in_words(started_ns), *unread]), cache_folder)
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
    found: Sequence[Found],
    squares: dict[SquareKind, NDArray[np.uint8]],
    decoded: dict[str, int],
    hashed: str,
    cache_folder: Path | None,
) -> OpenedImages:
    problems = [*listing.problems, *(item for item in found if isinstance(item, str))]
    resolved = root.resolve()
    for image_id, mask in zip(listing.rows["image_id"], listing.rows["lung_mask"], strict=True):
        if not mask:
            continue
        if problem := link_problem(root, mask, real_root=resolved, follow_links=listing.follow_links):
            problems.append(f"{mask}: lung mask of {image_id} {problem}")
        elif not (root / mask).is_file():
            problems.append(f"{mask}: lung mask of {image_id} is missing")
    good = np.array([not isinstance(item, str) for item in found], dtype=bool)
    table = listing.rows[good].copy()
    images = [item for item in found if not isinstance(item, str)]
    image = dict(images)
    table["sha256"] = [content for content, _ in images]
    table["width"] = [one.width for _, one in images]
    table["height"] = [one.height for _, one in images]
    notes = {image_id: one.notes for image_id, (_, one) in zip(table["image_id"], images, strict=True) if one.notes}
    table = table.sort_values("image_id", kind="stable").reset_index(drop=True)
    patients = named_patients(table["patient"].tolist(), table["image_id"].tolist())
    table["patient"] = patients.patient
    table[PICTURE], near = pictures(
        table["image_id"].tolist(), [image[content] for content in table["sha256"]], cache_folder
    )
    table["group"] = group_images(table["patient"].tolist(), table[PICTURE].tolist())
    index = Index(
        root=root,
        table=table[[*INDEX_COLUMNS, PICTURE]],
        notes=listing.notes,
        findings=notes,
        hashed=hashed,
        identity=Identity(joined=patients.joined, rounded=patients.rounded, near=near),
    )
    return OpenedImages(index=index, problems=tuple(problems), squares=squares, decoded=decoded)
