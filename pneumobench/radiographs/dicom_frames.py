"""The pixels of a DICOM file as they are stored: their length is checked before anything decodes them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGLSTransferSyntaxes, RLELossless

from pneumobench.radiographs.dicom_header import AS_ONE_IMAGE, COPY_AGAIN, PixelLayout
from pneumobench.radiographs.jpeg import decoded_jpeg, jpeg_header
from pneumobench.radiographs.refusals import unreadable

UNCOMPRESS: Final = "write it uncompressed (dcmconv +te)"
# lossless coding of noise takes less than twice its bytes; the rest is for headers
MOST_COMPRESSED: Final = 2
HEADERS_BYTES: Final = 2**16
J2K_START: Final = b"\xff\x4f\xff\x51"
RLE_HEADER_BYTES: Final = 64
PADDED: Final = "bytes follow its last pixel; they are left out"
UNUSED_BITS: Final = "bits outside of BitsStored are set (an overlay, or left over); they are left out"
SHIFTED: Final = "its levels do not begin at the lowest bit (HighBit); they are shifted"


def stored_codes(path: Path, dataset: Dataset, layout: PixelLayout) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the pixels (H, W) as unsigned numbers of 8 or 16 bits, with all bits that are allocated.

    Raises:
        UnreadableImageError: too few or too many bytes, damaged, larger than the header says, or no decoder.
    """
    compressed = layout.syntax.is_compressed
    if compressed:
        _check_compressed(path, dataset, layout)
    else:
        dataset.PixelData = dataset.PixelData[: layout.frame_bytes + layout.frame_bytes % 2]
    if not compressed or layout.syntax == RLELossless:
        # the library would drop bits that are not stored without a word
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = (
            layout.bits_allocated, layout.bits_allocated - 1, 0
        )  # fmt: skip
    else:
        dataset.BitsStored, dataset.HighBit = layout.bits_stored, layout.high_bit
        dataset.PixelRepresentation = int(layout.signed)
    dataset.SamplesPerPixel, dataset.NumberOfFrames = 1, 1
    dataset.PhotometricInterpretation = layout.photometric
    try:
        pixels = pixel_array(dataset, index=0)
    except Exception:  # noqa: BLE001  # its text may quote the file: it is dropped
        raise unreadable(path, "truncated or damaged: its pixels cannot be decoded", COPY_AGAIN) from None
    if pixels.shape != (layout.rows, layout.columns):
        raise unreadable(
            path, f"{pixels.shape} pixels, but Rows x Columns is {layout.rows} x {layout.columns}", COPY_AGAIN
        )
    container = f"{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}"
    return np.asarray(pixels.astype(container, copy=False).view(f"u{layout.bits_allocated // 8}"))


def check_length(path: Path, dataset: Dataset, layout: PixelLayout) -> list[str]:
    """Refuse pixels of a length, or in an encoding, that cannot be those of the header; return what is odd about them.

    Raises:
        UnreadableImageError: see there.
    """
    if layout.syntax.is_private or not layout.syntax.is_transfer_syntax:
        raise unreadable(path, "its pixels are encoded in an unknown way", UNCOMPRESS)
    if layout.syntax.is_compressed:
        _check_decoder(path, layout.syntax)
        most = MOST_COMPRESSED * layout.frame_bytes + HEADERS_BYTES
        if layout.pixel_bytes > most:
            raise unreadable(
                path,
                f"{layout.pixel_bytes} bytes of compressed pixels, but {layout.rows} x {layout.columns} pixels of "
                f"{layout.bits_allocated} bits take at most {most}",
                COPY_AGAIN,
            )
        return []
    further = dataset.PixelData[layout.frame_bytes + layout.frame_bytes % 2 :]
    row_bytes = layout.columns * layout.bits_allocated // 8
    # padding is to be accepted (PS3.5 section 8.1.1, note); a wrong size of the image is not padding
    padding = len(further) < row_bytes or further.count(further[:1]) == len(further)
    if layout.pixel_bytes < layout.frame_bytes or not padding:
        raise unreadable(
            path,
            f"truncated or wrong Rows and Columns: {layout.pixel_bytes} bytes of pixels, but {layout.rows} x "
            f"{layout.columns} pixels of {layout.bits_allocated} bits take {layout.frame_bytes}",
            COPY_AGAIN,
        )
    return [PADDED] if further else []


def levels_of_codes(layout: PixelLayout) -> NDArray[np.int32]:
    """Return the level (K,) of each of the 256 or 65,536 codes: the bits that are stored, with their sign.

    Source: DICOM PS3.5 section 8.1.1: nothing may be assumed of the other bits.
    """
    levels = np.arange(2**layout.bits_allocated, dtype=np.int32) >> (layout.high_bit + 1 - layout.bits_stored)
    levels &= 2**layout.bits_stored - 1
    if layout.signed:
        levels[levels >= 2 ** (layout.bits_stored - 1)] -= 2**layout.bits_stored
    return levels


def check_unused_bits(
    path: Path,
    codes: NDArray[np.uint8] | NDArray[np.uint16],
    counts: NDArray[np.int64],
    levels: NDArray[np.int32],
    layout: PixelLayout,
) -> list[str]:
    """Return a note where bits that are no level are set; refuse an image that needs them.

    Overlays and remains in these bits make an image rougher, so that it is right to leave them out. An image that
    becomes rougher without them has more bits than its header says.

    Args:
        path: the file, for the message.
        codes: the pixels (H, W).
        counts: how often each code (K,) occurs.
        levels: the level of each code (K,).
        layout: what the header says.

    Raises:
        UnreadableImageError: BitsStored is too small for the levels.
    """
    if layout.high_bit + 1 > layout.bits_stored:
        return [SHIFTED]
    all_codes = np.arange(len(levels))
    above = all_codes >> layout.bits_stored
    # the bits above a level below zero are usually filled
    filled = (levels < 0) & (above == 2 ** (layout.bits_allocated - layout.bits_stored) - 1)
    if not ((above != 0) & ~filled & (counts > 0)).any():
        return []
    with_all_bits = all_codes.astype(codes.dtype).view(f"{'i' if layout.signed else 'u'}{codes.itemsize}")
    if _roughness(codes, with_all_bits) < _roughness(codes, levels):
        raise unreadable(
            path,
            f"its levels need more than the {layout.bits_stored} bits of BitsStored",
            "correct BitsStored, HighBit and PixelRepresentation, or export the image again",
        )
    return [UNUSED_BITS]


def _roughness(codes: NDArray[Any], levels: NDArray[Any]) -> int:
    """Return the sum of steps between neighbouring pixels of a row."""
    return sum(int(np.abs(np.diff(levels[row].astype(np.int64))).sum()) for row in codes)


def _check_decoder(path: Path, syntax: UID) -> None:
    """Refuse compressed pixels that nothing installed can decode, and name what to install."""
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise unreadable(path, f"{syntax.name} is no image", AS_ONE_IMAGE) from None
    if not available:
        permissive = syntax in JPEG2000TransferSyntaxes or syntax in JPEGLSTransferSyntaxes
        extra = "dicom" if permissive else "dicom-full"
        raise unreadable(
            path,
            f"its pixels are compressed ({syntax.name}) and no decoder for them is installed",
            f'run `pip install "pneumobench[{extra}]"`, or {UNCOMPRESS}',
        )


def _check_compressed(path: Path, dataset: Dataset, layout: PixelLayout) -> None:
    """Refuse a compressed frame that would become larger than the header says, or that its decoder warns of."""
    damaged = unreadable(path, "truncated or damaged: its pixels cannot be decoded", COPY_AGAIN)
    try:
        frame = bytes(get_frame(dataset.PixelData, 0, number_of_frames=1))
        size = _rle_size(frame, layout) if layout.syntax == RLELossless else _coded_size(frame, layout.syntax)
    except Exception:  # noqa: BLE001  # a parser of damaged bytes raises nearly any exception
        raise damaged from None
    if size is None:
        raise damaged
    if size != (layout.columns, layout.rows, 1):
        raise unreadable(
            path,
            f"its compressed pixels are {size[0]} x {size[1]} of {size[2]} samples, but its header says "
            f"{layout.columns} x {layout.rows} of 1",
            COPY_AGAIN,
        )
    if layout.syntax == JPEGBaseline8Bit:
        decoded_jpeg(path, frame)


def _coded_size(frame: bytes, syntax: UID) -> tuple[int, int, int] | None:
    """Return width, height and samples that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it has no header.

    Source: ITU-T T.81, annex B; T.800, annex A.5.1.
    """
    if syntax not in JPEG2000TransferSyntaxes:
        header = jpeg_header(frame)
        return None if header is None else (header.width, header.height, header.components)
    start = frame.find(J2K_START)
    if start < 0:
        return None
    right, lower, left, upper = struct.unpack_from(">4I", frame, start + 8)
    (samples,) = struct.unpack_from(">H", frame, start + 40)
    return right - left, lower - upper, samples


def _rle_size(frame: bytes, layout: PixelLayout) -> tuple[int, int, int] | None:
    """Return the size of the header where every segment of run lengths decodes to it; None where one does not.

    Source: DICOM PS3.5, annex G.
    """
    segments, *places = struct.unpack_from("<16I", frame)
    if segments != layout.bits_allocated // 8:
        return None
    ends = [*places[1:segments], len(frame)]
    for start, end in zip(places, ends, strict=False):
        if not RLE_HEADER_BYTES <= start <= end <= len(frame):
            return None
        place, left = start, layout.rows * layout.columns
        while left > 0 and place < end:
            control = frame[place]
            run, taken = (
                (control + 1, control + 2) if control < 128 else (257 - control, 2) if control > 128 else (0, 1)
            )
            left, place = left - run, place + taken
        # at most one byte, which makes the length even, follows the last run
        if left or end - place not in (0, 1):
            return None
    return layout.columns, layout.rows, 1
