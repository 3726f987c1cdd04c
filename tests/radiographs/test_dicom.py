"""DICOM to gray: what a viewer would show."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from pneumobench.radiographs import gray_levels
from pneumobench.radiographs.formats import read_gray
from tests.radiographs.dicom_files import Levels, look_up_table, radiograph, ramp, written


def seen_through(levels: Levels, centre: float, width: float) -> NDArray[np.float64]:
    """The linear window of DICOM PS3.3 C.11.2.1.2.1 as gray levels 0 to 255."""
    return np.clip(((levels - (centre - 0.5)) / (width - 1) + 0.5), 0.0, 1.0) * 255.0


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("stored_bits", [12, 16])
def test_window_becomes_the_full_gray_range(tmp_path: Path, syntax: UID, stored_bits: int) -> None:
    levels = ramp(0, 2**stored_bits - 1)
    centre, width = 2.0 ** (stored_bits - 1), 2.0 ** (stored_bits - 2)
    dataset = radiograph(levels, stored_bits=stored_bits, syntax=syntax, WindowCenter=centre, WindowWidth=width)
    if syntax == ExplicitVRBigEndian:
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
        (tmp_path / "film.dcm").write_bytes(buffer.getvalue())
    else:
        written(tmp_path, dataset)
    gray = read_gray(tmp_path / "film.dcm")
    assert gray.dtype == np.uint8
    assert np.abs(gray - seen_through(levels, centre, width)).max() < 0.6


def test_a_window_that_the_image_does_not_fill_is_not_stretched(tmp_path: Path) -> None:
    levels = ramp(1000, 1500)
    dataset = radiograph(levels, stored_bits=12, WindowCenter=1024, WindowWidth=2048)
    gray = read_gray(written(tmp_path, dataset))
    assert np.abs(gray - seen_through(levels, 1024, 2048)).max() < 0.6
    assert gray.min() > 100


def test_the_first_of_several_windows_is_used(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    dataset = radiograph(levels, stored_bits=12, WindowCenter=[1000, 3000], WindowWidth=[500, 900])
    assert np.abs(read_gray(written(tmp_path, dataset)) - seen_through(levels, 1000, 500)).max() < 0.6


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    """In MONOCHROME1 high levels are dark; bones have to come out bright."""
    options: dict[str, Any] = {"stored_bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    white = read_gray(written(tmp_path, radiograph(ramp(0, 4095), **options), "white.dcm"))
    dataset = radiograph(ramp(0, 4095), **options, PhotometricInterpretation="MONOCHROME1")
    black = read_gray(written(tmp_path, dataset, "black.dcm"))
    assert (white[0, 0], black[0, 0]) == (0, 255)
    assert np.array_equal(black, 255 - white)


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    tags: dict[str, Any] = {"RescaleSlope": 0.5, "RescaleIntercept": -1000, "WindowCenter": 0, "WindowWidth": 800}
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.abs(gray - seen_through(levels * 0.5 - 1000, 0, 800)).max() < 0.6


def test_negative_slope_turns_the_image_around(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    tags: dict[str, Any] = {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096}
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.abs(gray - seen_through(4095.0 - levels, 2048, 4096)).max() < 0.6


def test_signed_levels(tmp_path: Path) -> None:
    levels = ramp(-2048, 2047, "int16")
    dataset = radiograph(levels, stored_bits=12, WindowCenter=0, WindowWidth=1000)
    assert np.abs(read_gray(written(tmp_path, dataset)) - seen_through(levels, 0, 1000)).max() < 0.6


def test_sigmoid_window(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    tags: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"}
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.abs(gray - 255.0 / (1.0 + np.exp(-4.0 * (levels - 2000.0) / 1000.0))).max() < 0.6


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_voi_table_is_looked_up(tmp_path: Path, bits: int) -> None:
    """8-bit tables of more than 256 entries as well, which the library alone would wrap."""
    levels = ramp(0, 1500)
    table = np.round((np.arange(1024) / 1023.0) ** 2 * (2**bits - 1))
    dataset = radiograph(levels, stored_bits=12, VOILUTSequence=look_up_table(table, 200, bits))
    entry = table[np.clip(levels.astype(int) - 200, 0, 1023)]
    gray = read_gray(written(tmp_path, dataset))
    assert np.abs(gray - entry / (2**bits - 1) * 255.0).max() < 0.6


def test_voi_table_after_rescale(tmp_path: Path) -> None:
    levels = ramp(0, 2000)
    table = np.linspace(0, 4095, 1001).round()
    tags: dict[str, Any] = {"RescaleSlope": 0.5, "RescaleIntercept": 0, "VOILUTSequence": look_up_table(table, 0, 12)}
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.abs(gray - levels / 2000.0 * 255.0).max() < 0.8


def test_modality_table_comes_before_the_window(tmp_path: Path) -> None:
    levels = ramp(0, 999)
    table = (np.arange(1000) * 4).astype(int)
    tags: dict[str, Any] = {
        "ModalityLUTSequence": look_up_table(table, 0, 16),
        "WindowCenter": 2000,
        "WindowWidth": 4000,
    }
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.abs(gray - seen_through(levels * 4.0, 2000, 4000)).max() < 0.6


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": 100, "VOILUTFunction": "UNHEARD"},
        {"WindowCenter": 2000},
    ],
)
def test_without_a_usable_window_the_percentiles_are_used(tmp_path: Path, tags: dict[str, Any]) -> None:
    levels = ramp(300, 3000)
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, **tags)))
    assert np.array_equal(gray, gray_levels.percentiles_to_uint8(levels))
    assert (gray.min(), gray.max()) == (0, 255)


def test_truncated_voi_table_falls_back_to_the_percentiles(tmp_path: Path) -> None:
    levels = ramp(300, 3000)
    table = look_up_table(np.arange(4096), 0, 12)
    table[0].add_new("LUTData", "OW", b"\0\1" * 100)  # struct.error inside the library
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, VOILUTSequence=table)))
    assert np.array_equal(gray, gray_levels.percentiles_to_uint8(levels))


def test_eight_bit_levels_without_a_window_stay_as_they_are(tmp_path: Path) -> None:
    levels = ramp(40, 90, "uint8")
    assert np.array_equal(read_gray(written(tmp_path, radiograph(levels, stored_bits=8))), levels)
    identity = radiograph(levels, stored_bits=8, RescaleSlope=1, RescaleIntercept=0)
    assert np.array_equal(read_gray(written(tmp_path, identity)), levels)


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2", "film.dicom", "film.png"])
def test_dicom_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, radiograph(ramp(0, 255, "uint8"), stored_bits=8), name)
    assert read_gray(path).shape == (20, 30)


def test_compressed_pixels_are_decoded(tmp_path: Path) -> None:
    levels = ramp(0, 4095)
    dataset = radiograph(levels, stored_bits=12, WindowCenter=2048, WindowWidth=4096)
    dataset.compress(RLELossless)
    assert np.abs(read_gray(written(tmp_path, dataset)) - seen_through(levels, 2048, 4096)).max() < 0.6
