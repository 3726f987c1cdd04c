"""One DICOM file to one gray film, reading no tag that can name a patient."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_rescale, apply_voi_lut, get_decoder, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
)

from pneumobench.radiographs.formats import check_pixel_count, levels_to_uint8, percentiles_to_uint8, unreadable

# the only tags that are ever parsed: patient, institution and device stay unread, so no error can show them
LAYOUT_TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
]  # fmt: skip
GRAY_LEVEL_TAGS = [
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
]  # fmt: skip
PIXEL_TAG = "PixelData"
BEYOND_ALL_LEVELS = 1e9  # stored levels have at most 16 bits
HIGH_THROUGHPUT_JPEG2000_PREFIX = "1.2.840.10008.1.2.4.20"


def read_dicom(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Turn a DICOM file into a film (H, W), 0 black to 255 white, with bright bones.

    Stored levels -> modality rescale -> the first VOI look-up table or window, whose output range becomes 0 to
    255 -> inverted where the file is MONOCHROME1. Without a usable window: 8-bit levels stay as they are stored,
    others have their 1st to 99th percentile spread over 0 to 255.

    Args:
        path: file name, for errors.
        content: the bytes of the file.

    Raises:
        UnreadableImageError: no pixels, colour, several frames, truncated, Rows or Columns that do not fit the
            pixels, compressed without an installed decoder, deflated, or larger than MAX_PIXELS.

    Source: DICOM PS3.3 C.7.6.3 (image pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT).
    """
    dataset = _parsed(path, content)
    levels = _levels(path, dataset)
    film = _gray(path, dataset, levels)
    return np.ascontiguousarray(255 - film if dataset.PhotometricInterpretation == "MONOCHROME1" else film)


def _parsed(path: Path, content: bytes) -> Dataset:
    """Parse the allowed tags and refuse everything that is not one gray film, before decoding."""
    tags: list[str] = [*LAYOUT_TAGS, *GRAY_LEVEL_TAGS, PIXEL_TAG]
    remedy = "export the film again as one gray DICOM image"
    try:
        syntax = _transfer_syntax(content)
        if syntax == DeflatedExplicitVRLittleEndian:
            # the library would inflate the whole file, however large it becomes
            raise unreadable(
                path, "a deflated DICOM file, which is not read", "write it uncompressed (dcmconv +te)"
            )
        dataset = dcmread(io.BytesIO(content), specific_tags=tags)
        samples = int(dataset.get("SamplesPerPixel", 1))
        frames = int(dataset.get("NumberOfFrames", None) or 1)
        rows, columns = int(dataset.get("Rows", None) or 0), int(dataset.get("Columns", None) or 0)
        bits = int(dataset.get("BitsAllocated", None) or 0)
        photometric = str(dataset.get("PhotometricInterpretation", ""))
        has_pixels = PIXEL_TAG in dataset and bool(dataset[PIXEL_TAG].value)
    # a parser of damaged bytes raises nearly any exception
    except (Exception,) as error:
        if isinstance(error, type(unreadable(path, "", ""))):
            raise
        raise unreadable(path, "truncated or damaged: its DICOM header cannot be parsed", "copy it again") from None
    return dataset


def _transfer_syntax(content: bytes) -> UID:
    """Return how the pixels are encoded."""
    raise NotImplementedError
