"""JPEG, PNG and DICOM files to one gray array, or one clear line that says why not."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumobench.radiographs.gray_levels import percentiles_to_uint8
from pneumobench.radiographs.refusals import MAX_PIXELS, check_pixel_count, unreadable

# what a folder is searched for; a table may also name files without a suffix, since the content decides
IMAGE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".dcm", ".dicom"})
MAX_FILE_BYTES = 512 * 2**20  # an uncompressed 16-bit image of MAX_PIXELS and its header fit three times

JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
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
ORIENTATION_TAG = 0x0112
# EXIF orientation -> (mirrored left-right before turning, quarter turns counter-clockwise)
EXIF_TURNS = {
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


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
    - DICOM: see `pneumobench.radiographs.dicom.read_dicom`.

    Args:
        path: file of one image.

    Returns:
        Array (H, W) of uint8.

    Raises:
        UnreadableImageError: the file is missing, empty, truncated, damaged, of a kind that is not read, or
            larger than MAX_PIXELS (known from the header, before anything is decoded).
    """
    return decode_gray(path, read_content(path))


def read_content(path: Path) -> bytes:
    """Return the bytes of an image file, not decoded.

    Raises:
        UnreadableImageError: the file is missing, empty, cannot be opened, or is larger than MAX_FILE_BYTES.
    """
    try:
        if not path.is_file():
            raise unreadable(path, "no such file", "correct the path in the table or restore the file")
        size = path.stat().st_size
        if size == 0:
            raise unreadable(path, "the file is empty (0 bytes)", "copy or download it again")
        if size > MAX_FILE_BYTES:
            raise unreadable(
                path,
                f"{size / 2**20:.0f} MiB, at most {MAX_FILE_BYTES // 2**20} are read",
                "export one image a file",
            )
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, f"cannot be opened: {error.strerror or error}", "check its permissions") from error


def decode_gray(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Return the gray levels (H, W) of the bytes of an image file, see `read_gray`.

    Args:
        path: where they were read, for messages; a DICOM file is read there again.
        content: the bytes.

    Raises:
        UnreadableImageError: the bytes are truncated, damaged, of a kind that is not read, or of too large an image.
    """
    if content.startswith(JPEG_START):
        return _read_jpeg(path, content)
    if content.startswith(PNG_START):
        return _read_png(path, content)
    if content[DICOM_MARK_AT : DICOM_MARK_AT + len(DICOM_MARK)] == DICOM_MARK:
        # here, because pydicom takes long to import and most data sets have no DICOM file
        from pneumobench.radiographs.dicom import read_dicom

        return read_dicom(path)
    kind = next((name for start, name in OTHER_KINDS.items() if content.startswith(start)), None)
    found = kind or f"neither JPEG, PNG nor DICOM: it starts with the bytes {content[:4].hex(' ')}"
    if path.suffix.lower() in {".dcm", ".dicom"} and kind is None:
        found = "not a DICOM file: the mark DICM is missing at byte 128"
    raise unreadable(path, found, "export the image as JPEG, PNG or DICOM (part 10 file)")


def _read_jpeg(path: Path, content: bytes) -> NDArray[np.uint8]:
    header, scan_start = _header(path, content, "JPEG")
    if header.mode == "CMYK":
        raise unreadable(path, "a JPEG in print colours (CMYK)", "export it as gray or RGB")
    # searched after the header, because an embedded preview has an end mark of its own
    if content.find(JPEG_END, scan_start) < 0:
        raise unreadable(path, "truncated: the JPEG end mark is missing", "copy or download it again")
    try:
        orientation = header.getexif().get(ORIENTATION_TAG, 1)
    except (OSError, ValueError, SyntaxError, struct.error):
        orientation = 1  # a damaged EXIF block says nothing about the image
    # of a colour JPEG the decoder takes the luma plane as it is stored
    return _upright(_decoded(path, content, cv2.IMREAD_GRAYSCALE), orientation)


def _read_png(path: Path, content: bytes) -> NDArray[np.uint8]:
    header, _ = _header(path, content, "PNG")
    incomplete = unreadable(path, "truncated or damaged: a PNG chunk is incomplete", "copy or download it again")
    if PNG_END not in content:
        raise incomplete
    try:
        header.verify()  # the checksums of all chunks
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise incomplete from error
    levels = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if levels.ndim == 3:
        gray = cv2.cvtColor(levels[..., :3], cv2.COLOR_BGR2GRAY)
        if levels.shape[2] == 4:
            opacity = levels[..., 3].astype(np.float32) / np.iinfo(levels.dtype).max
            gray = np.rint(gray * opacity).astype(levels.dtype)
        levels = gray
    orientation = 1
    if exif := header.info.get("exif"):
        tags = Image.Exif()
        try:
            tags.load(exif)
            orientation = tags.get(ORIENTATION_TAG, 1)
        except (OSError, ValueError, SyntaxError, struct.error):
            orientation = 1
    gray8 = levels if levels.dtype == np.uint8 else percentiles_to_uint8(levels)
    return _upright(np.asarray(gray8, dtype=np.uint8), orientation)


def _header(path: Path, content: bytes, kind: str) -> tuple[Image.Image, int]:
    """Read the header of a JPEG or PNG and refuse a pixel bomb; return it and the byte where it ended."""
    stream = io.BytesIO(content)
    try:
        header = Image.open(stream, formats=[kind])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise unreadable(
            path,
            f"the header declares more than the {MAX_PIXELS:,} pixels that are read",
            "export the image at its native size, or remove the file if it is no image",
        ) from error
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise unreadable(
            path, f"truncated or damaged: no complete {kind} header", "copy or download it again"
        ) from error
    check_pixel_count(path, *header.size)
    return header, stream.tell()


def _decoded(path: Path, content: bytes, how: int) -> NDArray[Any]:
    """Decode with OpenCV, which is three times as fast as Pillow, without turning the image."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise unreadable(path, "damaged: its pixels cannot be decoded", "copy or download it again")
    return np.asarray(pixels)


def _upright(radiograph: NDArray[Any], orientation: int) -> NDArray[np.uint8]:
    """Turn an image (H, W) as its EXIF orientation (1 to 8) asks; unknown values leave it as it is."""
    mirrored, turns = EXIF_TURNS.get(orientation, (False, 0))
    turned = np.rot90(radiograph[:, ::-1] if mirrored else radiograph, turns)
    return np.ascontiguousarray(turned, dtype=np.uint8)
