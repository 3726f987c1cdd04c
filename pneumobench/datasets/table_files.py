"""A table of images, or a split, as a file: plain, or compressed as published runs hold it.

The SHA-256 that records name is that of the text.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final, NoReturn

from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_text, written_whole

COMPRESSED: Final = ".gz"
LEVEL: Final = 9
# RFC 1952: deflate, no file name, no time, slowest method, unknown system: the same text gives the same bytes
HEADER: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255))
TABLE_BYTES_MAX: Final = 2**28  # 2.5 million rows; a few kB of a foreign run could unfold to as many GB
UNFOLDED_BYTES: Final = 2**20  # at a time
GZIP: Final = 16 + zlib.MAX_WBITS


def table_path(plain: Path) -> Path:
    """Return where a table lies, `predictions.csv` or `predictions.csv.gz`; the plain name where there is none yet.

    Raises:
        RecordError: both are there, and nothing says which one counts.
    """
    compressed = plain.with_name(f"{plain.name}{COMPRESSED}")
    if not compressed.is_file():
        return plain
    if plain.is_file():
        raise RecordError(
            f"{plain}: found {compressed.name} beside it, expected one of the two. Delete the one that manifest.json "
            "does not name."
        )
    return compressed


def table_bytes(path: Path) -> bytes:
    """Return the text of a table, unfolded where it lies compressed.

    Raises:
        OSError: the file cannot be read.
        RecordError: it is no whole compressed file, something stands behind its end, or it is too large to be a table.
    """
    if path.suffix != COMPRESSED:
        return path.read_bytes()
    unfolding, size = zlib.decompressobj(GZIP), 0
    parts: list[bytes] = []
    try:
        waiting = path.read_bytes()
        while not unfolding.eof and (part := unfolding.decompress(waiting, UNFOLDED_BYTES)):
            waiting, size = unfolding.unconsumed_tail, size + len(part)
            if size > TABLE_BYTES_MAX:
                _refuse(path, f"more than {TABLE_BYTES_MAX:,} bytes in it", "a table of images")
            parts.append(part)
    except zlib.error as error:
        _refuse(path, f"no compressed file ({error})", "gzip")
    if not unfolding.eof:
        _refuse(path, "a file that breaks off", "a whole one")
    if unfolding.unused_data:
        _refuse(path, f"{len(unfolding.unused_data):,} bytes behind its end", "one table")
    return b"".join(parts)


def compressed_bytes(text: bytes) -> bytes:
    """Return a compressed file; the same text gives the same bytes with the same version of zlib.

    >>> compressed_bytes(b"image_id")[:4].hex()
    '1f8b0800'
    """
    folding = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = struct.pack("<II", zlib.crc32(text), len(text) % 2**32)
    return HEADER + folding.compress(text) + folding.flush() + end


def write_table_text(path: Path, text: str) -> str:
    """Write the text of a table, whole or not at all, compressed where the name ends in .gz, and return its SHA-256."""
    plain = text.encode()
    with written_whole(path) as temporary:
        temporary.write_bytes(compressed_bytes(plain) if path.suffix == COMPRESSED else plain)
    return sha256_of_text(text)


def _refuse(path: Path, found: str, expected: str) -> NoReturn:
    raise RecordError(f"{path}: found {found}, expected {expected}. Bring the published file back.")
