"""One DICOM file to one gray image, reading no tag that can name a patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_rescale, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
)

from pneumobench.radiographs.gray_levels import levels_to_uint8, percentiles_to_uint8
from pneumobench.radiographs.refusals import check_pixel_count, unreadable

# the only tags that are parsed: patient, institution and device stay unread, so that no error can show them
PARSED_TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
]  # fmt: skip
GRAY_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2")
BEYOND_ALL_LEVELS = 1e12  # a level below or above every window
UNCOMPRESS = "write it uncompressed (dcmconv +te)"
COPY_AGAIN = "copy or export it again"
AS_ONE_IMAGE = "export the image as one gray DICOM image"


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the header says of the pixels, before they are decoded."""

    syntax: UID
    samples: int
    frames: int
    rows: int
    columns: int
    bits: int
    photometric: str
    pixel_bytes: int


def read_dicom(path: Path) -> NDArray[np.uint8]:
    """Turn a DICOM file into an image (H, W), 0 black to 255 white, with bright bones.

    Stored levels -> modality rescale -> the first VOI look-up table or window, whose output range becomes
    0 to 255 -> inverted where the file is MONOCHROME1. Without a usable window 8-bit levels stay as they are
    stored, and of others the 1st to 99th percentile becomes 0 to 255.

    Raises:
        UnreadableImageError: no pixels, colour, several frames, truncated, Rows or Columns that do not fit
            the pixels, compressed without an installed decoder, deflated, or larger than MAX_PIXELS.

    Source: DICOM PS3.3 C.7.6.3 (image pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT).
    """
    damaged_header = unreadable(path, "truncated or damaged: its DICOM header cannot be parsed", COPY_AGAIN)
    # A parser of damaged bytes raises nearly any exception. Its text may quote the file: it is dropped.
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID", ImplicitVRLittleEndian)
    except Exception:  # noqa: BLE001
        raise damaged_header from None
    if syntax == DeflatedExplicitVRLittleEndian:  # it would be inflated whole, however large it becomes
        raise unreadable(path, "a deflated DICOM file, which is not read", UNCOMPRESS)
    try:
        dataset = dcmread(path, specific_tags=list(PARSED_TAGS))
        layout = _layout(dataset, syntax)
    except Exception:  # noqa: BLE001
        raise damaged_header from None
    _check_layout(path, layout)
    try:
        # signed and wide: the library subtracts table offsets in the type that it is given
        stored = pixel_array(dataset).astype(np.int32)
    except Exception:  # noqa: BLE001
        raise unreadable(path, "truncated or damaged: its pixels cannot be decoded", COPY_AGAIN) from None
    if stored.shape != (layout.rows, layout.columns):
        raise unreadable(
            path,
            f"{stored.shape} pixels, but Rows x Columns is {layout.rows} x {layout.columns}",
            COPY_AGAIN,
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            levels = np.asarray(apply_rescale(stored, dataset))
        usable = bool((np.abs(levels) < BEYOND_ALL_LEVELS).all())  # not a number is not below either
    except Exception:  # noqa: BLE001
        usable = False
    if not usable:
        raise unreadable(path, "its rescale tags or modality look-up table are damaged", AS_ONE_IMAGE)
    radiograph = _windowed(levels, dataset)
    if radiograph is None:
        as_stored = int(levels.min()) >= 0 and int(levels.max()) <= 255 and dataset.get("BitsStored") == 8
        radiograph = levels_to_uint8(levels, 0.0, 255.0) if as_stored else percentiles_to_uint8(levels)
    return 255 - radiograph if layout.photometric == "MONOCHROME1" else radiograph


def _layout(dataset: Dataset, syntax: UID) -> _Layout:
    def number(tag: str, missing: int) -> int:
        value = dataset.get(tag)
        return missing if value is None else int(value)

    return _Layout(
        syntax=UID(syntax),
        samples=number("SamplesPerPixel", 1),
        frames=number("NumberOfFrames", 1),
        rows=number("Rows", 0),
        columns=number("Columns", 0),
        bits=number("BitsAllocated", 0),
        photometric=str(dataset.get("PhotometricInterpretation", "")),
        pixel_bytes=len(dataset.PixelData or b"") if "PixelData" in dataset else 0,
    )


def _check_layout(path: Path, layout: _Layout) -> None:
    """Refuse everything that is not one gray image, before its pixels are decoded."""
    if layout.pixel_bytes == 0:
        raise unreadable(path, "a DICOM file without pixels", "remove it from the data set")
    if layout.frames != 1:
        raise unreadable(path, f"{layout.frames} frames; one image is expected", AS_ONE_IMAGE)
    if layout.samples != 1 or layout.photometric not in GRAY_PHOTOMETRICS:
        raise unreadable(
            path,
            f"colour pixels ({layout.samples} samples a pixel); MONOCHROME1 or 2 is expected",
            AS_ONE_IMAGE,
        )
    if layout.bits not in (8, 16):
        raise unreadable(path, f"{layout.bits} bits allocated a pixel; 8 or 16 are expected", AS_ONE_IMAGE)
    check_pixel_count(path, layout.columns, layout.rows)
    if layout.syntax.is_private or not layout.syntax.is_transfer_syntax:
        raise unreadable(path, "its pixels are encoded in an unknown way", UNCOMPRESS)
    if layout.syntax.is_compressed:
        _check_decoder(path, layout.syntax)
        return
    expected = layout.rows * layout.columns * layout.bits // 8
    if layout.pixel_bytes != expected + expected % 2 and layout.pixel_bytes != expected:
        raise unreadable(
            path,
            f"truncated or wrong Rows and Columns: {layout.pixel_bytes} bytes of pixels, but {layout.rows} x "
            f"{layout.columns} pixels of {layout.bits} bits take {expected}",
            COPY_AGAIN,
        )


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


def _windowed(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8] | None:
    """Apply the first VOI look-up table or window; None where there is none that works."""
    try:
        if dataset.get("VOILUTSequence"):
            table = dataset.VOILUTSequence[0]
            entries, first, bits = (int(value) for value in table.LUTDescriptor)
            # the library counts the entries of an 8-bit table in 8 bits and would wrap after 256 of them
            table.LUTDescriptor = [entries, first, max(bits, 16)]
            levels = np.rint(levels.astype(np.float64)).astype(np.int32)
            probe = np.arange(first, first + (entries or 2**16))
            shown = np.sort(apply_voi_lut(probe, dataset))[[0, -1]]
        elif None not in (dataset.get("WindowCenter"), dataset.get("WindowWidth")):
            probe = np.array([-BEYOND_ALL_LEVELS, BEYOND_ALL_LEVELS])
            with np.errstate(over="ignore"):
                shown = apply_voi_lut(probe, dataset)
        else:
            return None
        low, high = float(shown[0]), float(shown[1])
        return levels_to_uint8(apply_voi_lut(levels, dataset), low, high) if low != high else None
    except Exception:  # noqa: BLE001  # struct.error, ValueError, IndexError...: vendors fill these tags freely
        return None
