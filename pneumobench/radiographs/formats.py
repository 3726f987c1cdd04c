"""JPEG, PNG and DICOM files to one gray array, or one clear line that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.jpeg import JPEG_START, read_jpeg
from pneumobench.radiographs.memory import FILES
from pneumobench.radiographs.png import PNG_START, read_png
from pneumobench.radiographs.refusals import COPY_AGAIN, unreadable

# what a folder is searched for; a table may also name files without a suffix, since the content decides
IMAGE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".dcm", ".dicom"})
MAX_FILE_BYTES = 256 * 2**20  # an uncompressed 16-bit image of MAX_PIXELS and its header fit

DICOM_MARK_AT, DICOM_MARK = 128, b"DICM"
OTHER_KINDS = {
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"RIFF": "a WebP image or another RIFF file",
    b"<": "a web page or XML",
    b"version https://git-lfs": "a Git LFS pointer (fetch it with `git lfs pull`)",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Radiograph:
    """One image as it was read.

    Args:
        gray: gray levels (H, W), 0 black to 255 white; bone and opacities are bright.
        notes: what is odd about the file although it was read, one phrase each, without a name or a tag's free text.
    """

    gray: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_gray(path: Path) -> NDArray[np.uint8]:
    """Read one radiograph as gray levels (H, W), 0 black to 255 white; bone and opacities are bright.

    The content decides how a file is read, not its suffix: a PNG named `.jpeg` is read as PNG. One conversion
    each:

    - colour and palette: luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601);
    - transparency: laid over black;
    - 16-bit PNG: the 1st to 99th percentile becomes 0 to 255, since a PNG names no gray window and many hold
      12 bits in 16; 1, 2 and 4 bits: spread over 0 to 255;
    - EXIF orientation: applied;
    - CMYK: refused, decoders disagree on its black;
    - whatever a decoder warns of: refused, since it made up pixels;
    - DICOM: see `pneumobench.radiographs.dicom.read_dicom`.

    Args:
        path: file of one image.

    Returns:
        Array (H, W) of uint8.

    Raises:
        UnreadableImageError: the file is missing, empty, truncated, damaged, of a kind that is not read, or
            larger than MAX_PIXELS (known from the header, before anything is decoded).
    """
    with held_content(path) as content:
        return decode_radiograph(path, content).gray


@contextmanager
def held_content(path: Path) -> Iterator[bytes]:
    """Read the bytes of an image file, not decoded, and wait before it while other threads hold too many.

    Raises:
        UnreadableImageError: the file is missing, empty, cannot be opened, or is larger than MAX_FILE_BYTES.
    """
    try:
        if not path.is_file():
            raise unreadable(path, "no such file", "correct the path in the table or restore the file")
        size = path.stat().st_size
    except OSError as error:
        raise _not_opened(path, error) from error
    if size == 0:
        raise unreadable(path, "the file is empty (0 bytes)", COPY_AGAIN)
    if size > MAX_FILE_BYTES:
        raise unreadable(
            path, f"{size / 2**20:.0f} MiB, at most {MAX_FILE_BYTES // 2**20} are read", "export one image a file"
        )
    with FILES.taking(size):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _not_opened(path, error) from error
        yield content


def _not_opened(path: Path, error: OSError) -> UnreadableImageError:
    return unreadable(path, f"cannot be opened: {error.strerror or error}", "check its permissions")


def read_content(path: Path) -> bytes:
    """Return the bytes of one image file, not decoded; see `held_content`, which threads use.

    Raises:
        UnreadableImageError: the file is missing, empty, cannot be opened, or is larger than MAX_FILE_BYTES.
    """
    with held_content(path) as content:
        return content


def decode_radiograph(path: Path, content: bytes) -> Radiograph:
    """Return the gray levels of the bytes of an image file, see `read_gray`, and what is odd about the file.

    Args:
        path: where they were read, for messages.
        content: the bytes.

    Raises:
        UnreadableImageError: the bytes are truncated, damaged, of a kind that is not read, or of too large an image.
    """
    if content.startswith(JPEG_START):
        return Radiograph(gray=read_jpeg(path, content))
    if content.startswith(PNG_START):
        return Radiograph(gray=read_png(path, content))
    if content[DICOM_MARK_AT : DICOM_MARK_AT + len(DICOM_MARK)] == DICOM_MARK:
        # here, because pydicom takes long to import and most data sets have no DICOM file
        from pneumobench.radiographs.dicom import read_dicom

        gray, notes = read_dicom(path, content)
        return Radiograph(gray=gray, notes=notes)
    kind = next((name for start, name in OTHER_KINDS.items() if content.startswith(start)), None)
    found = kind or f"neither JPEG, PNG nor DICOM: it starts with the bytes {content[:4].hex(' ')}"
    if path.suffix.lower() in {".dcm", ".dicom"} and kind is None:
        found = "not a DICOM file: the mark DICM is missing at byte 128"
    raise unreadable(path, found, "export the image as JPEG, PNG or DICOM (part 10 file)")
