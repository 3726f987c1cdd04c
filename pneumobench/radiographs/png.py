"""One PNG file to gray levels: everything that its decoder would complain of is found before it decodes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.gray_levels import percentiles_to_uint8
from pneumobench.radiographs.memory import decoding
from pneumobench.radiographs.orientation import exif_orientation, upright
from pneumobench.radiographs.refusals import COPY_AGAIN, check_pixel_count, unreadable

PNG_START: Final = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # pixels need no other
HEADER_BYTES: Final = 13
# by colour type of the header: samples of a pixel, and the depths that it may have
KINDS: Final = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
GRAY, COLOUR, PALETTE, GRAY_AND_OPACITY = 0, 2, 3, 4
LAST_FILTER: Final = 4
INFLATED_AT_ONCE: Final = 2**20
ROWS_AT_ONCE: Final = 256
# Adam7: first column, first row, step of columns, step of rows of each pass
PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
Chunk = tuple[bytes, bytes]  # kind, data


def read_png(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Return the gray levels (H, W) of a PNG file, see `pneumobench.radiographs.formats.read_gray`.

    Raises:
        UnreadableImageError: truncated, damaged, animated, or too large.

    Source: PNG specification, third edition (W3C), sections 5, 7, 8 and 9.
    """
    chunks: list[Chunk] = []
    for kind, data in _chunks(path, content):
        if not chunks and (kind != b"IHDR" or len(data) != HEADER_BYTES):
            raise unreadable(path, "truncated or damaged: no complete PNG header", COPY_AGAIN)
        chunks.append((kind, data))
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if colour not in KINDS or depth not in KINDS[colour][1] or packing or filtering or interlaced not in (0, 1):
        raise unreadable(path, "truncated or damaged: no complete PNG header", COPY_AGAIN)
    check_pixel_count(path, width, height)
    _check_order(path, [kind for kind, _ in chunks], colour)
    needed = [(kind, data) for kind, data in chunks if _is_needed(kind, data, colour, depth)]
    samples = KINDS[colour][0]
    # opacity and palettes are decoded to colour
    decoded_samples = (
        4 if colour == GRAY_AND_OPACITY or b"tRNS" in dict(needed) else 3 if colour == PALETTE else samples
    )
    with decoding(path, width * height * decoded_samples * max(depth // 8, 1)):
        passes = _passes(width, height, samples * depth, interlaced)
        _check_stream(path, [data for kind, data in needed if kind == b"IDAT"], passes)
        stream = np.frombuffer(PNG_START + b"".join(_written(*chunk) for chunk in needed), dtype=np.uint8)
        levels = cv2.imdecode(stream, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if levels is None:
            raise _damaged(path)
        gray = _luma(np.asarray(levels))
        if colour == GRAY and b"tRNS" in dict(needed):  # OpenCV passes it over
            (transparent,) = struct.unpack(">H", dict(needed)[b"tRNS"])
            gray = np.where(gray == transparent * (255 // (2**depth - 1) if depth < 8 else 1), 0, gray)
        exif = next((data for kind, data in chunks if kind == b"eXIf"), b"")
        return upright(gray if gray.dtype == np.uint8 else percentiles_to_uint8(gray), exif_orientation(exif))


def _damaged(path: Path) -> UnreadableImageError:
    return unreadable(path, "damaged: its pixels cannot be decoded", COPY_AGAIN)


def _chunks(path: Path, content: bytes) -> Iterator[Chunk]:
    """Yield kind and data of all chunks up to the last; their checksums are right."""
    place, kind = len(PNG_START), b""
    while kind != b"IEND":
        length = int.from_bytes(content[place : place + 4], "big")
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        checksum = content[place + 8 + length : place + 12 + length]
        if len(checksum) < 4 or int.from_bytes(checksum, "big") != zlib.crc32(data, zlib.crc32(kind)):
            part = "no complete PNG header" if place == len(PNG_START) else "a PNG chunk is incomplete"
            raise unreadable(path, f"truncated or damaged: {part}", COPY_AGAIN)
        yield kind, data
        place += 12 + length


def _written(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _check_order(path: Path, kinds: Sequence[bytes], colour: int) -> None:
    """Refuse chunks that are not those of one still image."""
    if b"fdAT" in kinds:
        raise unreadable(path, "an animated PNG; one image is expected", "export one image a file")
    pixels = [number for number, kind in enumerate(kinds) if kind == b"IDAT"]
    in_one_piece = bool(pixels) and pixels[-1] - pixels[0] == len(pixels) - 1
    known = all(kind in PIXEL_CHUNKS for kind in kinds if kind[:1].isupper())
    before = {kind: kinds.index(kind) for kind in (b"PLTE", b"tRNS") if kind in kinds}
    ordered = all(kinds.count(kind) == 1 and place < pixels[0] for kind, place in before.items()) if pixels else False
    if not (in_one_piece and known and ordered) or kinds.count(b"IHDR") != 1:
        raise _damaged(path)
    if colour == PALETTE and before.get(b"PLTE", len(kinds)) > before.get(b"tRNS", len(kinds) - 1):
        raise _damaged(path)


def _is_needed(kind: bytes, data: bytes, colour: int, depth: int) -> bool:
    """Tell whether a chunk changes pixels; palettes of other colour types and impossible opacities do not."""
    if kind == b"PLTE":
        return colour == PALETTE
    if kind == b"tRNS" and colour in (GRAY, COLOUR):
        samples = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
        return len(data) == 2 * KINDS[colour][0] and max(samples) < 2**depth
    if kind == b"tRNS":
        return colour == PALETTE and 0 < len(data) <= 2**depth
    return kind in PIXEL_CHUNKS


def _passes(width: int, height: int, pixel_bits: int, interlaced: int) -> list[tuple[int, int]]:
    """Return rows, and bytes of a row with the filter before it, of each pass."""
    sizes = [(height, width)]
    if interlaced:
        sizes = [(-(-(height - row) // down), -(-(width - column) // right)) for column, row, right, down in PASSES]
    return [(rows, -(-columns * pixel_bits // 8) + 1) for rows, columns in sizes if rows > 0 and columns > 0]


def _inflated(parts: Sequence[bytes]) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of a compressed stream in pieces.

    Raises:
        zlib.error: it is damaged, incomplete, or something follows it.
    """
    inflater = zlib.decompressobj()
    for part in parts:
        waiting, piece = part, b""
        while waiting or len(piece) == INFLATED_AT_ONCE:
            piece = inflater.decompress(waiting, INFLATED_AT_ONCE)
            waiting = inflater.unconsumed_tail
            yield np.frombuffer(piece, dtype=np.uint8)
    if not inflater.eof or inflater.unused_data:
        raise zlib.error("incomplete, or followed by something")


def _check_stream(path: Path, parts: Sequence[bytes], passes: Sequence[tuple[int, int]]) -> None:
    """Refuse compressed pixels that are not exactly the rows that the header declares, each with a known filter."""
    left = [rows * row_bytes for rows, row_bytes in passes]
    number = 0
    try:
        for piece in _inflated(parts):
            while len(piece):
                if number == len(passes):
                    raise _damaged(path)
                rows, row_bytes = passes[number]
                here, piece = piece[: left[number]], piece[left[number] :]
                # a filter stands before each row
                if (here[(left[number] - rows * row_bytes) % row_bytes :: row_bytes] > LAST_FILTER).any():
                    raise _damaged(path)
                left[number] -= len(here)
                number += not left[number]
    except zlib.error as error:
        raise _damaged(path) from error
    if number < len(passes):
        raise _damaged(path)


def _luma(levels: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W): luma of colour, laid over black where there is an opacity; a block of rows at a time."""
    if levels.ndim == 2:
        return levels
    gray = np.empty(levels.shape[:2], dtype=levels.dtype)
    for start in range(0, len(levels), ROWS_AT_ONCE):
        block = levels[start : start + ROWS_AT_ONCE]
        luma = cv2.cvtColor(np.ascontiguousarray(block[..., :3]), cv2.COLOR_BGR2GRAY)
        if levels.shape[2] == 4:
            luma = np.rint(luma * (block[..., 3].astype(np.float32) / np.iinfo(levels.dtype).max))
        gray[start : start + ROWS_AT_ONCE] = luma
    return gray
