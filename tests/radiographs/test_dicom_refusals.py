"""What is no gray DICOM image is refused, and no refusal tells anything of the patient."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.formats import read_gray
from tests.radiographs.dicom_files import CANARY, radiograph, ramp, written


def told_of(path: Path) -> str:
    """Return the refusal of a file, or nothing where an image is read; any other exception goes on."""
    try:
        gray = read_gray(path)
    except UnreadableImageError as refused:
        return str(refused)
    assert gray.ndim == 2
    assert gray.dtype == np.uint8
    return ""


def refusal(path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the refusal of a file without its path, after looking for the patient in everything that was said."""
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        with pytest.raises(UnreadableImageError) as refused:
            read_gray(path)
    error: BaseException | None = refused.value
    said = [str(item.message) for item in warned] + list(capsys.readouterr()) + [caplog.text]
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for canary in (CANARY, "7531", "20170531"):
        assert all(canary not in text for text in said), said
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value).removeprefix(f"{path}: ")  # the folder is named after the test


COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"NumberOfFrames": 4}, "4 frames; one image is expected; export the image as one gray DICOM image"),
        (COLOUR, "colour pixels (3 samples a pixel); MONOCHROME1 or 2 is expected"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"}, "colour pixels (3 samples a pixel)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour pixels (1 samples a pixel)"),
        ({"BitsAllocated": 32}, "32 bits allocated a pixel; 8 or 16 are expected"),
        ({"Rows": 19}, "wrong Rows and Columns: 1200 bytes of pixels, but 19 x 30 pixels of 16 bits take 1140"),
        ({"Columns": 31}, "wrong Rows and Columns: 1200 bytes of pixels, but 20 x 31"),
        ({"Rows": 0}, "the header declares 30 x 0 pixels"),
        ({"Rows": 60_000, "Columns": 60_000}, "the header declares 60000 x 60000 pixels, at most 80,000,000"),
        ({"PixelData": b"\0" * 700}, "truncated or wrong Rows and Columns: 700 bytes of pixels"),
        ({"PixelData": b""}, "a DICOM file without pixels; remove it from the data set"),
        ({"BitsStored": 17}, "BitsStored 17 and HighBit 11 do not fit BitsAllocated 16"),
        ({"RescaleSlope": 1e300, "RescaleIntercept": 1e308}, "its rescale tags or modality look-up table are damaged"),
    ],
)
def test_what_is_no_gray_image_is_refused(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    tags: dict[str, Any],
    message: str,
) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12, **tags)
    assert message in refusal(written(tmp_path, dataset), caplog, capsys)


def test_a_report_without_pixels_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12)
    del dataset.PixelData, dataset.Rows, dataset.Columns
    assert "a DICOM file without pixels" in refusal(written(tmp_path, dataset), caplog, capsys)


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_dicom_is_refused(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    kept: float,
    compressed: bool,
) -> None:
    rng = np.random.default_rng(0)
    dataset = radiograph(rng.integers(0, 4096, (64, 64), dtype=np.uint16), stored_bits=12)
    if compressed:
        dataset.compress(RLELossless)
    path = written(tmp_path, dataset)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    message = refusal(path, caplog, capsys)
    assert message.startswith(("truncated or damaged: ", "truncated or wrong Rows", "a DICOM file without pixels"))


@pytest.mark.parametrize(
    ("syntax", "extra"), [(JPEGLSLossless, "pneumobench[dicom]"), (JPEGLosslessSV1, "pneumobench[dicom-full]")]
)
def test_a_missing_decoder_is_named_with_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    syntax: UID,
    extra: str,
) -> None:
    monkeypatch.setattr(Decoder, "is_available", False)
    dataset = radiograph(ramp(0, 4095), stored_bits=12, syntax=syntax)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xf7" + b"\0" * 20])
    dataset["PixelData"].is_undefined_length = True
    message = refusal(written(tmp_path, dataset), caplog, capsys)
    assert f"compressed ({syntax.name}) and no decoder for them is installed" in message
    assert f'run `pip install "{extra}"`' in message


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        (JPEGBaseline8Bit, "truncated or damaged: its pixels cannot be decoded"),
        (MPEG2MPML, "MPEG2 Main Profile / Main Level is no image"),
    ],
)
def test_undecodable_compressed_pixels_are_refused(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    syntax: UID,
    message: str,
) -> None:
    dataset = radiograph(ramp(0, 255, "uint8"), stored_bits=8, syntax=syntax)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xe0" + b"\0" * 40])
    dataset["PixelData"].is_undefined_length = True
    assert message in refusal(written(tmp_path, dataset), caplog, capsys)


def test_a_deflated_file_is_refused_before_it_is_inflated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = radiograph(ramp(0, 4095), stored_bits=12, syntax=DeflatedExplicitVRLittleEndian)
    message = refusal(written(tmp_path, dataset), caplog, capsys)
    assert "a deflated DICOM file, which is not read; write it uncompressed (dcmconv +te)" in message


def test_mutated_dicom_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    dataset = radiograph(ramp(0, 4095), stored_bits=12, WindowCenter=2048, WindowWidth=4096)
    path = written(tmp_path, dataset)
    whole = path.read_bytes()
    header = len(whole) - 1200
    for _ in range(200):
        content = bytearray(whole)
        for place in rng.integers(132, header, 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert CANARY not in told_of(path)
