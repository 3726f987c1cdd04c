"""Every image of a listing opened once: read, hashed, measured, and squeezed for the pixel cache in the same pass."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pneumobench.datasets.identifiers import named_patients
from pneumobench.datasets.index import INDEX_COLUMNS, PICTURE, Identity, Index, NearPair
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing
from pneumobench.datasets.links import link_problem
from pneumobench.datasets.look_alikes import THUMBNAIL_SIDE_PX, look_alikes, thumbnail
from pneumobench.datasets.patients import group_images
from pneumobench.datasets.pixel_cache import cached_chunks, images_path
from pneumobench.errors import SettingsError, UnreadableImageError
from pneumobench.files import write_text
from pneumobench.radiographs.formats import decode_gray, read_content
from pneumobench.radiographs.geometry import CropBox, cropped, image_to_square

# what was measured of images, by content hash; raise the number when `read_gray` reads the same bytes as another image
MEASURED_NAME: Final = "measured-images-2.json"


class Measured(NamedTuple):
    """What decoding an image tells of it.

    Args:
        width: in pixels.
        height: in pixels.
        pixels: SHA-256 of size and gray levels, whatever file holds them.
        thumbnail: 16 x 16 gray levels in hexadecimal, row by row.
    """

    width: int
    height: int
    pixels: str
    thumbnail: str


def _measured(radiograph: NDArray[np.uint8]) -> Measured:
    height, width = radiograph.shape
    pixels = hashlib.sha256(f"{width}x{height}".encode())
    pixels.update(np.ascontiguousarray(radiograph).data)
    return Measured(width, height, pixels.hexdigest(), thumbnail(radiograph).tobytes().hex())


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
    root: Path, listing: Listing, *, cache_folder: Path | None = None, squares: Sequence[SquareKind] = ()
) -> Iterator[OpenedImages]:
    """Open every listed image: the bytes are always read and hashed, and decoded unless they were measured before.

    The hash decides, never a file's name or date: what has changed is decoded anew. Squares lie in a temporary file
    until the end of the context.

    Args:
        root: folder that image_id and lung_mask are relative to.
        listing: what to open.
        cache_folder: where what is measured is kept; None = nothing is kept, all are decoded.
        squares: what is made of each image that is decoded.

    Raises:
        SettingsError: the cache folder cannot be written.
    """
    if listing.rows.empty:
        listing = replace(listing, rows=pd.DataFrame(columns=list(LISTING_COLUMNS)))
    known = {} if cache_folder is None else _read_measured(cache_folder)
    count = len(listing.rows)
    with _temporary_folder(cache_folder) if squares else nullcontext("") as folder:
        kept: dict[SquareKind, NDArray[np.uint8]] = {
            kind: np.lib.format.open_memmap(
                Path(folder) / f"{number}.npy", mode="w+", dtype=np.uint8, shape=(count, kind.side_px, kind.side_px)
            )
            for number, kind in enumerate(dict.fromkeys(squares) if count else ())
        }
        decoded: dict[str, int] = {}
        resolved = root.resolve()

        def opened(row: int, image_id: str) -> Found:
            path = root / image_id
            if problem := link_problem(root, image_id, real_root=resolved, follow_links=listing.follow_links):
                return f"{image_id}: {problem}"
            try:
                content = read_content(path)
                content_hash = hashlib.sha256(content).hexdigest()
                if content_hash in known:
                    return content_hash, known[content_hash]
                radiograph = decode_gray(path, content)
            except (UnreadableImageError, OSError) as error:
                return str(error).replace(str(path), image_id)  # no report names a folder of this machine
            for kind, places in kept.items():
                places[row] = image_to_square(cropped(radiograph, kind.crop_box), kind.side_px)
            decoded[content_hash] = row
            return content_hash, _measured(radiograph)

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(opened, range(count), listing.rows["image_id"] if count else ()))
        if cache_folder is not None and decoded:
            new = dict(item for item in found if not isinstance(item, str))
            write_text(cache_folder / MEASURED_NAME, json.dumps({**_read_measured(cache_folder), **new}, indent=None))
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
    found: Sequence[Found],
    squares: dict[SquareKind, NDArray[np.uint8]],
    decoded: dict[str, int],
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
    measured = dict(item for item in found if not isinstance(item, str))
    table["sha256"] = [item[0] for item in found if not isinstance(item, str)]
    table["width"] = [measured[content].width for content in table["sha256"]]
    table["height"] = [measured[content].height for content in table["sha256"]]
    table = table.sort_values("image_id", kind="stable").reset_index(drop=True)
    patients = named_patients(table["patient"].tolist(), table["image_id"].tolist())
    table["patient"] = patients.patient
    table[PICTURE], near = _pictures(table["image_id"].tolist(), [measured[content] for content in table["sha256"]])
    table["group"] = group_images(table["patient"].tolist(), table[PICTURE].tolist())
    index = Index(
        root=root,
        table=table[[*INDEX_COLUMNS, PICTURE]],
        notes=listing.notes,
        identity=Identity(joined=patients.joined, near=near),
    )
    return OpenedImages(index=index, problems=tuple(problems), squares=squares, decoded=decoded)


def _pictures(image_id: Sequence[str], measured: Sequence[Measured]) -> tuple[list[str], tuple[NearPair, ...]]:
    """Return what picture each image shows, as the hash of the first that shows it, and pairs that look alike."""
    first: dict[str, int] = {}  # row of the first image of these very pixels
    for row, image in enumerate(measured):
        first.setdefault(image.pixels, row)
    rows = list(first.values())
    thumbnails = [np.frombuffer(bytes.fromhex(measured[row].thumbnail), dtype=np.uint8) for row in rows]
    found = look_alikes(thumbnails)
    links = coo_array((np.ones(len(found.same)), (found.same[:, 0], found.same[:, 1])), shape=(len(rows), len(rows)))
    cluster = connected_components(links, directed=False)[1] if rows else np.empty(0, dtype=np.int64)
    shown: dict[int, str] = {}
    for row, number in zip(rows, cluster, strict=True):
        shown.setdefault(int(number), measured[row].pixels)
    picture = {measured[row].pixels: shown[int(number)] for row, number in zip(rows, cluster, strict=True)}
    near = tuple(
        NearPair(
            image_ids=(image_id[rows[one]], image_id[rows[other]]),
            correlation=round(float(correlation), 4),
            mirrored=bool(mirrored),
        )
        for (one, other), correlation, mirrored in zip(found.near, found.correlation, found.mirrored, strict=True)
        if cluster[one] != cluster[other]
    )
    return [picture[image.pixels] for image in measured], near


def _temporary_folder(cache_folder: Path | None) -> tempfile.TemporaryDirectory[str]:
    try:
        if cache_folder is not None:
            cache_folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".squares-", dir=cache_folder)
    except OSError as error:
        raise SettingsError(
            f"cannot write {cache_folder}: {error.strerror or error}. Choose a writable folder with --output."
        ) from error


def _read_measured(cache_folder: Path) -> dict[str, Measured]:
    """Return what was measured of images before; a damaged file is as good as none."""
    try:
        plain = json.loads((cache_folder / MEASURED_NAME).read_text(encoding="utf-8"))
        return {str(content): _checked(*values) for content, values in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _checked(width: int, height: int, pixels: str, thumbnail_hex: str) -> Measured:
    if len(bytes.fromhex(thumbnail_hex)) != THUMBNAIL_SIDE_PX**2:
        raise ValueError("not a thumbnail")
    return Measured(int(width), int(height), str(pixels), thumbnail_hex)
