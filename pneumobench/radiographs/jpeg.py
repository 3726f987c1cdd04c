"""One JPEG file to gray levels, refused where its decoder warns."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pneumobench.radiographs.memory import decoding
from pneumobench.radiographs.orientation import exif_orientation, upright
from pneumobench.radiographs.refusals import COPY_AGAIN, check_pixel_count, unreadable

JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
SCAN_START: Final = b"\xff\xda"
EXIF_START: Final = b"Exif\0\0"
START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # F7: JPEG-LS
PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
PRINT_COMPONENTS: Final = 4
MAX_SCANS: Final = 100  # encoders write about 10; each scan is a pass over all pixels
COEFFICIENT_BYTES: Final = 2  # of each component, held until the last scan of a progressive file


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """What a JPEG or JPEG-LS stream says of its pixels before the first scan.

    Args:
        width: in pixels.
        height: in pixels.
        components: 1 gray, 3 colour, 4 print colours.
        progressive: whether the pixels come in several scans.
        exif: the EXIF block from its byte order on; empty where there is none.
        scan_start: byte where the first scan begins.
    """

    width: int
    height: int
    components: int
    progressive: bool
    exif: bytes
    scan_start: int


def jpeg_header(content: bytes) -> JpegHeader | None:
    """Return the header of a JPEG or JPEG-LS stream; None where it is not complete.

    Source: ITU-T T.81, annex B.
    """
    place, exif, frame = 2, b"", None
    try:
        while True:
            if content[place] != 0xFF:
                return None
            marker = content[place + 1]
            if marker == 0xFF:  # any number of fill bytes may stand before a marker
                place += 1
                continue
            place += 2
            if marker in ALONE:
                continue
            if marker == END_OF_IMAGE:
                return None
            (length,) = struct.unpack_from(">H", content, place)
            if marker in START_OF_FRAME:
                height, width, components = struct.unpack_from(">HHB", content, place + 3)
                frame = (width, height, components, marker in PROGRESSIVE)
            elif marker == APP1 and content.startswith(EXIF_START, place + 2) and not exif:
                exif = content[place + 2 + len(EXIF_START) : place + length]
            elif marker == START_OF_SCAN:
                break
            place += length
    except (IndexError, struct.error):
        return None
    if frame is None:
        return None
    width, height, components, progressive = frame
    return JpegHeader(
        width=width, height=height, components=components, progressive=progressive, exif=exif, scan_start=place
    )


def read_jpeg(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Return the luma (H, W) of a JPEG file, turned as its EXIF orientation asks.

    Of a colour JPEG the decoder takes the luma plane as it is stored.

    Raises:
        UnreadableImageError: truncated, damaged (whatever the decoder warns of), in print colours, or too large.
    """
    header = jpeg_header(content)
    if header is None:
        raise unreadable(path, "truncated or damaged: no complete JPEG header", COPY_AGAIN)
    check_pixel_count(path, header.width, header.height)
    if header.components == PRINT_COMPONENTS:
        raise unreadable(path, "a JPEG in print colours (CMYK)", "export it as gray or RGB")
    # searched after the header, because an embedded preview has an end mark of its own
    if content.find(JPEG_END, header.scan_start) < 0:
        raise unreadable(path, "truncated: the JPEG end mark is missing", COPY_AGAIN)
    if (scans := content.count(SCAN_START, header.scan_start - len(SCAN_START))) > MAX_SCANS:
        raise unreadable(path, f"a JPEG of {scans} scans, at most {MAX_SCANS} are read", "export it again")
    held = 1 + (COEFFICIENT_BYTES * header.components if header.progressive else 0)
    with decoding(path, header.width * header.height * held):
        return upright(decoded_jpeg(path, content), exif_orientation(header.exif))


def decoded_jpeg(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Return the luma (H, W) of the bytes of a JPEG as it is stored.

    Raises:
        UnreadableImageError: the decoder fails, or warns of the data: what it returns then is partly made up.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(content, "GRAY")[..., 0])
    except ValueError as error:
        raise unreadable(path, f"damaged: its decoder says '{error}'", COPY_AGAIN) from error
