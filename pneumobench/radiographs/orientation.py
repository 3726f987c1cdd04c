"""The EXIF orientation of JPEG and PNG files."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ORIENTATION_TAG, SHORT = 0x0112, 3
ENTRY_BYTES: Final = 12
# EXIF orientation -> (mirrored left-right before turning, quarter turns counter-clockwise)
EXIF_TURNS: Final = {
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


def exif_orientation(block: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block that begins with its byte order; 1 where it names none.

    A damaged block says nothing about the image. Libraries read all of it, and warn of parts that are not asked for.

    >>> exif_orientation(b"MM\\0*" + (8).to_bytes(4, "big") + bytes.fromhex("0001 0112 0003 00000001 0006 0000"))
    6

    Source: EXIF 2.3, section 4.6.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, directory)
        for number in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, directory + 2 + number * ENTRY_BYTES)
            if (tag, kind) == (ORIENTATION_TAG, SHORT):
                return int(value) if value in EXIF_TURNS else 1
    except struct.error:
        pass
    return 1


def upright(radiograph: NDArray[Any], orientation: int) -> NDArray[np.uint8]:
    """Turn an image (H, W) as its EXIF orientation (1 to 8) asks."""
    mirrored, turns = EXIF_TURNS.get(orientation, (False, 0))
    turned = np.rot90(radiograph[:, ::-1] if mirrored else radiograph, turns)
    return np.ascontiguousarray(turned, dtype=np.uint8)
