"""Every attribute that changes gray levels: the right ones, and what is said of the file where it is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs import dicom_display, dicom_frames, gray_levels
from pneumobench.radiographs.formats import Radiograph, decode_radiograph, read_gray
from tests.radiographs.dicom_files import Levels, look_up_table, radiograph, ramp, written
from tests.radiographs.test_dicom import seen_through

WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}


def opened(folder: Path, dataset: Dataset) -> Radiograph:
    path = written(folder, dataset)
    return decode_radiograph(path, path.read_bytes())


def assert_close(found: Levels, expected: Levels) -> None:
    assert np.abs(found - expected).max() < 0.6


def test_an_ordinary_file_has_no_notes(tmp_path: Path) -> None:
    tags: dict[str, Any] = {"Modality": "DX", "ViewPosition": "PA", "BodyPartExamined": "CHEST",
            "PatientOrientation": ["L", "F"],
            "PresentationLUTShape": "IDENTITY", "PixelSpacing": [0.14, 0.14], "PixelAspectRatio": [1, 1],
            "BurnedInAnnotation": "NO", "LossyImageCompression": "00", "PresentationIntentType": "FOR PRESENTATION",
            "SmallestImagePixelValue": 0, "LargestImagePixelValue": 7, "RescaleType": "US"}  # fmt: skip
    image = opened(tmp_path, radiograph(ramp(0, 4095), stored_bits=12, **WINDOW, **tags))
    assert image.notes == ()
    assert_close(image.gray, seen_through(ramp(0, 4095), 2048, 4096))


# --- bits


def test_an_overlay_in_unused_bits_is_left_out(tmp_path: Path) -> None:
    """PS3.5 8.1.1: nothing may be assumed of bits that are not stored."""
    levels = ramp(0, 4095)
    drawn = levels.copy()
    drawn[5:8, 3:20] |= 0x8000
    drawn[12, ::2] |= 0x1000
    image = opened(tmp_path, radiograph(drawn, stored_bits=12, **WINDOW))
    assert image.notes == (dicom_frames.UNUSED_BITS,)
    assert_close(image.gray, seen_through(levels, 2048, 4096))


def test_levels_beyond_bits_stored_are_refused(tmp_path: Path) -> None:
    """Without its upper bits a smooth image would jump from white to black."""
    path = written(tmp_path, radiograph(ramp(0, 65535), stored_bits=12, **WINDOW))
    with pytest.raises(UnreadableImageError, match="its levels need more than the 12 bits of BitsStored; correct"):
        read_gray(path)


@pytest.mark.parametrize("filled", [True, False])
def test_the_sign_is_at_the_high_bit(tmp_path: Path, filled: bool) -> None:
    """Whether the bits above it repeat the sign or not."""
    levels = ramp(-2048, 2047, "int16")
    bits = levels if filled else (levels.view(np.uint16) & 0x0FFF).view(np.int16)
    image = opened(tmp_path, radiograph(bits, stored_bits=12, WindowCenter=0, WindowWidth=1000))
    assert image.notes == ()
    assert_close(image.gray, seen_through(levels, 0, 1000))


def test_a_high_bit_above_the_stored_ones_shifts_them(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    dataset = radiograph((levels << 4).astype(np.uint16), stored_bits=12, **WINDOW)
    dataset.HighBit = 15
    image = opened(tmp_path, dataset)
    assert image.notes == (dicom_frames.SHIFTED,)
    assert_close(image.gray, seen_through(levels, 2048, 4096))


@pytest.mark.parametrize(
    ("tag", "note"),
    [
        ("SamplesPerPixel", "the header lacks SamplesPerPixel; 1 is taken"),
        ("BitsStored", "the header lacks BitsStored; 16 is taken"),
        ("HighBit", "the header lacks HighBit; 11 is taken"),
        ("PixelRepresentation", "the header lacks PixelRepresentation; 0 is taken"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, tag: str, note: str) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12, **WINDOW)
    del dataset[tag]
    if tag == "BitsStored":
        del dataset.HighBit
        note = f"{note}, the header lacks HighBit; 15 is taken"
    image = opened(tmp_path, dataset)
    assert ", ".join(image.notes) == note
    assert_close(image.gray, seen_through(ramp(0, 4095), 2048, 4096))


@pytest.mark.parametrize("value", ["", None])
def test_without_a_photometric_interpretation_nobody_knows_what_is_dark(tmp_path: Path, value: str | None) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12)
    if value is None:
        del dataset.PhotometricInterpretation
    else:
        dataset.PhotometricInterpretation = value
    with pytest.raises(UnreadableImageError, match=r"lacks PhotometricInterpretation, which says .* set it to MONO"):
        read_gray(written(tmp_path, dataset))


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PixelRepresentation": 2}, "PixelRepresentation 2; 0 or 1 is expected"),
        ({"BitsStored": 0}, "BitsStored 0 and HighBit 11 do not fit"),
        ({"HighBit": 8}, "BitsStored 12 and HighBit 8 do not fit"),
        ({"HighBit": 16}, "BitsStored 12 and HighBit 16 do not fit"),
        ({"NumberOfFrames": 3}, "3 frames"),
    ],
)
def test_impossible_bits_are_refused(tmp_path: Path, tags: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        read_gray(written(tmp_path, radiograph(ramp(0, 4095), stored_bits=12, **tags)))


def test_floating_point_pixels_are_refused_by_name(tmp_path: Path) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12)
    del dataset.PixelData
    dataset.FloatPixelData = np.zeros(600, dtype="<f4").tobytes()
    with pytest.raises(UnreadableImageError, match="its pixels are floating-point numbers"):
        read_gray(written(tmp_path, dataset))


# --- length


@pytest.mark.parametrize("further", [b"\0" * 2, b"\0" * 212, b"\xff" * 5000, bytes(range(40))])
def test_padding_after_the_last_pixel_is_accepted(tmp_path: Path, further: bytes) -> None:
    levels = ramp(0, 4095)
    dataset = radiograph(levels, stored_bits=12, **WINDOW)
    dataset.PixelData += further
    image = opened(tmp_path, dataset)
    assert image.notes == (dicom_frames.PADDED,)
    assert_close(image.gray, seen_through(levels, 2048, 4096))


def test_an_odd_number_of_bytes_has_one_more_and_no_note(tmp_path: Path) -> None:
    levels = np.arange(15 * 15, dtype=np.uint8).reshape(15, 15)
    dataset = radiograph(levels, stored_bits=8)
    dataset.PixelData += b"\0"
    image = opened(tmp_path, dataset)
    assert image.notes == ()
    assert np.array_equal(image.gray, levels)


# --- modality


def test_slope_zero_is_left_out(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    image = opened(tmp_path, radiograph(levels, stored_bits=12, **WINDOW, RescaleSlope=0, RescaleIntercept=5))
    assert image.notes == (dicom_display.SLOPE_ZERO,)
    assert_close(image.gray, seen_through(levels, 2048, 4096))


@pytest.mark.parametrize(
    ("tags", "slope", "intercept"), [({"RescaleSlope": 0.5}, 0.5, 0), ({"RescaleIntercept": -500}, 1, -500)]
)
def test_one_of_slope_and_intercept_is_enough(
    tmp_path: Path, tags: dict[str, Any], slope: float, intercept: float
) -> None:
    levels = ramp(0, 4095)
    image = opened(tmp_path, radiograph(levels, stored_bits=12, WindowCenter=900, WindowWidth=1500, **tags))
    assert image.notes == (dicom_display.ONE_OF_RESCALE,)
    assert_close(image.gray, seen_through(levels * float(slope) + intercept, 900, 1500))


def test_a_modality_table_goes_before_a_rescale(tmp_path: Path) -> None:
    levels = ramp(0, 999)
    tags: dict[str, Any] = {
        "ModalityLUTSequence": look_up_table((np.arange(1000) * 4).astype(int), 0, 16),
        "RescaleSlope": 7, "RescaleIntercept": 7,
    }  # fmt: skip
    image = opened(tmp_path, radiograph(levels, stored_bits=12, WindowCenter=2000, WindowWidth=4000, **tags))
    assert image.notes == (dicom_display.BOTH_MODALITIES,)
    assert_close(image.gray, seen_through(levels * 4.0, 2000, 4000))


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_a_table_of_levels_below_zero(tmp_path: Path, syntax: Any) -> None:
    levels = ramp(-500, 499, "int16")
    table = look_up_table((np.arange(1000) * 4).astype(int), 0, 16)
    table[0].add_new("LUTDescriptor", "SS", [1000, -500, 16])
    options = {} if syntax is None else {"syntax": syntax}
    dataset = radiograph(levels, stored_bits=12, ModalityLUTSequence=table, **options)
    dataset.WindowCenter, dataset.WindowWidth = 2000, 4000
    assert_close(opened(tmp_path, dataset).gray, seen_through((levels + 500.0) * 4, 2000, 4000))


# --- values of interest


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "linear_exact"])
def test_exact_linear_window(tmp_path: Path, function: str) -> None:
    levels = ramp(0, 4095)
    tags: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": function}
    image = opened(tmp_path, radiograph(levels, stored_bits=12, **tags))
    assert image.notes == ()
    assert_close(image.gray, np.clip((levels - 2000.0) / 1000 + 0.5, 0, 1) * 255)


def test_an_empty_function_is_linear(tmp_path: Path) -> None:
    image = opened(tmp_path, radiograph(ramp(0, 4095), stored_bits=12, **WINDOW, VOILUTFunction=""))
    assert image.notes == ()
    assert_close(image.gray, seen_through(ramp(0, 4095), 2048, 4096))


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 60_000, "WindowWidth": 100},  # black
        {"WindowCenter": -500, "WindowWidth": 200},  # white
        {"WindowCenter": 3100, "WindowWidth": 200},  # 1 % of the pixels are not black
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": -5},
        {"WindowCenter": 2000, "WindowWidth": 2},  # black and white
        {"WindowCenter": 2000, "WindowWidth": 1e6},  # one gray
        {"WindowCenter": 2000, "WindowWidth": 1e6, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 2000, "WindowWidth": 1e308},
        {"WindowCenter": -1e308, "WindowWidth": 1e308},
        {"WindowCenter": 2000},
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "UNHEARD"},
    ],
)
def test_a_window_that_leaves_nothing_is_not_used(tmp_path: Path, tags: dict[str, Any]) -> None:
    levels = ramp(300, 3000)
    levels[0, :4] = 3100
    image = opened(tmp_path, radiograph(levels, stored_bits=12, **tags))
    assert image.notes == (dicom_display.UNUSABLE["WindowCenter"],)
    assert np.array_equal(image.gray, gray_levels.percentiles_to_uint8(levels))


def test_the_window_stands_in_for_an_unusable_table(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    table = look_up_table(np.arange(4096), 0, 12)
    table[0].add_new("LUTData", "OW", b"\0\1" * 100)
    image = opened(tmp_path, radiograph(levels, stored_bits=12, **WINDOW, VOILUTSequence=table))
    assert image.notes == (dicom_display.UNUSABLE["VOILUTSequence"],)
    assert_close(image.gray, seen_through(levels, 2048, 4096))


def test_a_falling_table_turns_the_image_around(tmp_path: Path) -> None:
    levels = ramp(0, 1023)
    dataset = radiograph(levels, stored_bits=12, VOILUTSequence=look_up_table(np.arange(1024)[::-1] * 4, 0, 12))
    assert_close(opened(tmp_path, dataset).gray, 255 - levels / 1023 * 255.0)


def test_a_table_of_all_levels_says_zero_entries(tmp_path: Path) -> None:
    levels = ramp(0, 65535)
    table = look_up_table(np.arange(65536), 0, 16)
    table[0].add_new("LUTData", "OW", np.arange(65536, dtype="<u2").tobytes())
    table[0].LUTDescriptor = [0, 0, 16]
    image = opened(tmp_path, radiograph(levels, stored_bits=16, VOILUTSequence=table))
    assert image.notes == ()
    assert_close(image.gray, levels / 65535 * 255.0)


def test_a_packed_table_has_two_entries_a_word(tmp_path: Path) -> None:
    levels = ramp(0, 255, "uint8")
    table = look_up_table(np.arange(256), 0, 8)
    table[0].add_new("LUTData", "OW", np.arange(256, dtype="u1")[::-1].tobytes())
    image = opened(tmp_path, radiograph(levels, stored_bits=8, VOILUTSequence=table))
    assert_close(image.gray, 255.0 - levels)
