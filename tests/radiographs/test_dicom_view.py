"""How levels are shown, and what: presentation, padding, view and the rest of the header."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs import dicom_display, dicom_header, gray_levels
from pneumobench.radiographs.formats import decode_radiograph, read_gray
from tests.radiographs.dicom_files import CANARY, Levels, look_up_table, radiograph, ramp, written
from tests.radiographs.test_dicom import seen_through
from tests.radiographs.test_dicom_attributes import WINDOW, assert_close, opened


@pytest.mark.parametrize(
    ("photometric", "shape", "dark", "note"),
    [
        ("MONOCHROME2", "IDENTITY", False, None),
        ("MONOCHROME2", "INVERSE", True, dicom_display.INVERSE_OF_BRIGHT),
        ("MONOCHROME1", "INVERSE", True, None),
        ("MONOCHROME1", "IDENTITY", True, dicom_display.IDENTITY_OF_DARK),
        ("MONOCHROME2", "LIN OD", False, dicom_display.UNKNOWN_SHAPE),
        ("monochrome1", "", True, None),
    ],
)
def test_presentation_shape(tmp_path: Path, photometric: str, shape: str, dark: bool, note: str | None) -> None:
    tags: dict[str, Any] = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    image = opened(tmp_path, radiograph(ramp(0, 4095), stored_bits=12, **WINDOW, **tags))
    bright = seen_through(ramp(0, 4095), 2048, 4096)
    assert_close(image.gray, 255 - bright if dark else bright)
    assert image.notes == (() if note is None else (note,))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, WINDOW])
def test_padding_is_black_and_no_part_of_the_window(tmp_path: Path, photometric: str, window: dict[str, Any]) -> None:
    levels = ramp(1000, 2000)
    padded = levels.copy()
    padded[:, :8], padded[:, 8] = 4095, 4090
    tags: dict[str, Any] = {
        "PixelPaddingValue": 4095,
        "PixelPaddingRangeLimit": 4090,
        "PhotometricInterpretation": photometric,
    }
    image = opened(tmp_path, radiograph(padded, stored_bits=12, **window, **tags))
    assert image.notes == ()
    assert not image.gray[:, :9].any()
    low, high = np.percentile(levels[:, 9:], [1, 99])
    shown = seen_through(levels, 2048, 4096) if window else np.clip((levels - low) / (high - low), 0, 1) * 255
    assert_close(image.gray[:, 9:], (255 - shown if photometric == "MONOCHROME1" else shown)[:, 9:])


@pytest.mark.parametrize("value", [65535, 4096])
def test_padding_that_no_pixel_can_have_pads_nothing(tmp_path: Path, value: int) -> None:
    levels = ramp(0, 4095)
    image = opened(tmp_path, radiograph(levels, stored_bits=12, PixelPaddingValue=value))
    assert np.array_equal(image.gray, opened(tmp_path, radiograph(levels, stored_bits=12)).gray)
    assert image.gray.max() == 255


def test_padding_below_zero_may_be_written_without_a_sign(tmp_path: Path) -> None:
    levels = ramp(0, 2000, "int16")
    levels[:3] = -2000
    dataset = radiograph(levels, stored_bits=16, syntax=ImplicitVRLittleEndian)
    dataset.add_new("PixelPaddingValue", "US", 63536)
    image = opened(tmp_path, dataset)
    assert not image.gray[:3].any()
    assert np.array_equal(image.gray[3:], gray_levels.percentiles_to_uint8(levels[3:].astype(np.uint16)))


# --- what is shown: nothing changes, and it is said


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Modality": "CT"}, "Modality is none of radiography"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"BodyPartExamined": f"HAND {CANARY}"}, "BodyPartExamined is not the chest"),
        ({"ViewPosition": "LL"}, "ViewPosition is neither AP nor PA"),
        ({"PatientOrientation": ["R", "F"]}, "PatientOrientation is not"),
        ({"PatientOrientation": ["A", "F"]}, "PatientOrientation is not"),
        ({"PatientOrientation": ["L", "H"]}, "PatientOrientation is not"),
        ({"ImageLaterality": "L"}, "ImageLaterality names one side"),
        ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation is YES"),
        ({"LossyImageCompression": "01"}, "LossyImageCompression is 01"),
        ({"PixelAspectRatio": [2, 1]}, "pixels are not square"),
        ({"PixelSpacing": [0.1, 0.2]}, "pixels are not square"),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, "pixels are not square"),
        ({"PresentationLUTSequence": look_up_table(np.arange(16), 0, 12)}, "PresentationLUTSequence is not applied"),
    ],
)
def test_what_a_reader_should_know_is_said(tmp_path: Path, tags: dict[str, Any], words: str) -> None:
    image = opened(tmp_path, radiograph(ramp(0, 4095), stored_bits=12, **WINDOW, **tags))
    (note,) = image.notes
    assert words in note
    assert CANARY not in note
    assert_close(image.gray, seen_through(ramp(0, 4095), 2048, 4096))


def test_overlays_are_not_drawn(tmp_path: Path) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12, **WINDOW)
    dataset.add_new((0x6002, 0x0010), "US", 20)
    dataset.add_new((0x6002, 0x3000), "OW", b"\xff" * 80)
    image = opened(tmp_path, dataset)
    assert image.notes == ("its overlays (60xx) are not drawn",)
    assert_close(image.gray, seen_through(ramp(0, 4095), 2048, 4096))


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_jpeg_2000_is_decoded(tmp_path: Path, dtype: str) -> None:
    levels = ramp(0, 4095, dtype) - (2048 if dtype == "int16" else 0)
    image = opened(tmp_path, jpeg_2000(levels.astype(dtype)))
    assert image.notes == ()
    assert_close(image.gray, seen_through(levels, 0 if dtype == "int16" else 2048, 4096))


def jpeg_2000(levels: Levels) -> Dataset:
    """A file whose lossless JPEG 2000 stream Pillow wrote, as unsigned levels of 16 bits."""
    stream = io.BytesIO()
    signed = levels.dtype == np.int16
    Image.fromarray((levels.astype(np.int32) + 32768 * signed).astype(np.uint16)).save(
        stream, format="JPEG2000", no_jp2=True
    )
    dataset = radiograph(levels, stored_bits=16, syntax=JPEG2000Lossless)
    dataset.WindowCenter, dataset.WindowWidth = (0 if signed else 2048), 4096
    content = bytearray(stream.getvalue())
    if signed:  # component 0: signed, 16 bits
        content[content.index(b"\xff\x51") + 40] |= 0x80
    dataset.PixelData = encapsulate([bytes(content)])
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize(
    "tag", [b"\x28\x00\x50\x10DS", b"\x18\x00\x01\x51CS", b"\x28\x00\x53\x10DS", b"\x28\x00\x01\x01US"]
)
def test_a_tag_that_cannot_be_parsed(tmp_path: Path, tag: bytes) -> None:
    """A window is left out, what the levels rest on is not."""
    dataset = radiograph(ramp(0, 4095), stored_bits=12, ViewPosition="PA", RescaleSlope=1, RescaleIntercept=0, **WINDOW)
    path = written(tmp_path, dataset)
    content = path.read_bytes()
    assert content.count(tag) == 1
    path.write_bytes(content.replace(tag, tag[:4] + b"\x44\xb4"))
    if tag[4:] == b"US" or tag[2:4] == b"\x53\x10":
        with pytest.raises(UnreadableImageError, match="truncated or damaged"):
            read_gray(path)
    else:
        assert dicom_header.NOT_PARSED in decode_radiograph(path, path.read_bytes()).notes
