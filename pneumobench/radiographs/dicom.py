"""One DICOM file to one gray image, reading no tag that can name a patient."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.dicom_display import gray_of_codes
from pneumobench.radiographs.dicom_frames import (
    UNCOMPRESS,
    check_length,
    check_unused_bits,
    levels_of_codes,
    stored_codes,
)
from pneumobench.radiographs.dicom_header import (
    AS_ONE_IMAGE,
    COPY_AGAIN,
    PARSED_TAGS,
    header_notes,
    parse_tags,
    pixel_layout,
)
from pneumobench.radiographs.gray_levels import code_counts
from pneumobench.radiographs.memory import decoding
from pneumobench.radiographs.refusals import unreadable

DECODER_BYTES: Final = 3  # a pixel: 16 bits as they are stored, and the gray level
META_START: Final = 132  # behind the preamble and the mark DICM
META_GROUP: Final = 0x0002
BREAKS_RULES: Final = "its header breaks rules of DICOM, and was read all the same"
_reading = threading.local()


def read_dicom(path: Path, content: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Turn a DICOM file into an image (H, W), 0 black to 255 white, with bright bones; and say what is odd about it.

    Stored levels -> modality table or rescale -> the first VOI look-up table or window that can be used, whose output
    range becomes 0 to 255 -> inverted where the file is MONOCHROME1 or its PresentationLUTShape is INVERSE -> pixels of
    PixelPaddingValue are black. Without a usable window 8-bit levels stay as they are stored, and of others the 1st to
    99th percentile becomes 0 to 255.

    Args:
        path: the file, for messages.
        content: its bytes.

    Raises:
        UnreadableImageError: no pixels, colour, several frames, truncated, Rows or Columns that do not fit
            the pixels, compressed without an installed decoder, deflated, or larger than MAX_PIXELS.

    Source: DICOM PS3.3 C.7.6.3 (image pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT), C.11.6 (presentation LUT).
    """
    damaged_header = unreadable(path, "truncated or damaged: its DICOM header cannot be parsed", COPY_AGAIN)
    with warnings_heard() as heard:
        # A parser of damaged bytes raises nearly any exception. Its text may quote the file: it is dropped.
        try:
            syntax = _transfer_syntax(content)
        except Exception:  # noqa: BLE001
            raise damaged_header from None
        if syntax == DeflatedExplicitVRLittleEndian:  # it would be inflated whole, however large it becomes
            raise unreadable(path, "a deflated DICOM file, which is not read", UNCOMPRESS)
        try:
            dataset = dcmread(io.BytesIO(content), specific_tags=list(PARSED_TAGS))
            notes = parse_tags(dataset)
            layout = pixel_layout(path, dataset, syntax)
            notes += [*layout.notes, *header_notes(dataset)]
        except UnreadableImageError:
            raise
        except Exception:  # noqa: BLE001
            raise damaged_header from None
        notes += check_length(path, dataset, layout)
        if heard:
            notes.append(BREAKS_RULES)
            heard.clear()
        with decoding(path, layout.rows * layout.columns * DECODER_BYTES):
            codes = stored_codes(path, dataset, layout)
            if heard:
                raise unreadable(path, "damaged: its decoder warns of its pixels", COPY_AGAIN)
            counts, levels = code_counts(codes), levels_of_codes(layout)
            notes += check_unused_bits(path, codes, counts, levels, layout)
            try:
                found = gray_of_codes(levels, counts, dataset, layout)
            except Exception:  # noqa: BLE001
                raise damaged_header from None
            if found is None:
                raise unreadable(path, "its rescale tags or modality look-up table are damaged", AS_ONE_IMAGE)
            gray, said = found
            return gray[codes], (*notes, *said)


def _transfer_syntax(content: bytes) -> UID:
    """Return how the data set of a DICOM file is encoded, without reading (and inflating) it."""
    group = io.BytesIO(content)
    group.seek(META_START)
    meta = read_dataset(
        group, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != META_GROUP
    )
    return UID(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)


class _Listener(logging.Handler):
    """Gives what the DICOM library warns of to the thread that reads; its text, which may quote a file, is dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING and (heard := getattr(_reading, "heard", None)) is not None:
            heard.append(record.levelno)


@cache
def _listen() -> None:
    logging.getLogger("pydicom").addHandler(_Listener())


@contextmanager
def warnings_heard() -> Iterator[list[int]]:
    """Collect the warnings of the DICOM library in this thread; none is printed."""
    _listen()
    # the library says each warning twice; a filter that is set for a while would be another thread's too
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    before = getattr(_reading, "heard", None)
    _reading.heard = heard = list[int]()
    try:
        yield heard
    finally:
        _reading.heard = before
