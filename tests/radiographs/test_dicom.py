"""DICOM to gray: what the viewer would show, and refusals that tell nothing of the patient."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs import formats
from pneumobench.radiographs.formats import read_gray

CANARY = "CANARY7531"
Levels = NDArray[Any]


def ramp(low: int, high: int, dtype: str = "uint16") -> Levels:
    """A film (20, 30) whose levels rise from `low` to `high`."""
    return np.linspace(low, high, 600).round().reshape(20, 30).astype(dtype)


def radiograph(levels: Levels, *, stored_bits: int, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """A digital radiograph with made-up patient tags, all of them canaries."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.7531.7531")
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PatientName = f"{CANARY}^NAME"
    dataset.PatientID = f"{CANARY}-ID"
    dataset.PatientBirthDate = "20170531"
    dataset.InstitutionName = f"{CANARY} hospital"
    dataset.ReferringPhysicianName = f"{CANARY}^REFERRER"
    dataset.StudyDescription = dataset.ImageComments = f"{CANARY} comment"
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.add_new((0x0009, 0x0010), "LO", f"{CANARY} private")
    dataset.Rows, dataset.Columns = levels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = levels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = stored_bits, stored_bits - 1
    dataset.PixelRepresentation = int(levels.dtype.kind == "i")
    dataset.PixelData = (levels.byteswap() if syntax == ExplicitVRBigEndian else levels).tobytes()
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated == 16 else "OB"
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def written(folder: Path, dataset: Dataset, name: str = "film.dcm") -> Path:
    path = folder / name
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def look_up_table(values: Levels, first: int, bits: int) -> list[Dataset]:
    table = Dataset()
    table.LUTDescriptor = [len(values), first, bits]
    table["LUTDescriptor"].VR = "US"
    table.add_new("LUTData", "US", [int(value) for value in values])
    return [table]


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


def test_a_window_that_the_film_does_not_fill_is_not_stretched(tmp_path: Path) -> None:
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


def test_negative_slope_turns_the_film_around(tmp_path: Path) -> None:
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
    assert np.array_equal(gray, formats.percentiles_to_uint8(levels))
    assert (gray.min(), gray.max()) == (0, 255)


def test_truncated_voi_table_falls_back_to_the_percentiles(tmp_path: Path) -> None:
    levels = ramp(300, 3000)
    table = look_up_table(np.arange(4096), 0, 12)
    table[0].add_new("LUTData", "OW", b"\0\1" * 100)  # struct.error inside the library
    gray = read_gray(written(tmp_path, radiograph(levels, stored_bits=12, VOILUTSequence=table)))
    assert np.array_equal(gray, formats.percentiles_to_uint8(levels))


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


def told_of(path: Path) -> str:
    """Return the refusal of a file, or nothing where a film is read; any other exception goes on."""
    try:
        gray = read_gray(path)
    except UnreadableImageError as refused:
        return str(refused)
    assert gray.ndim == 2
    assert gray.dtype == np.uint8
    return ""


def refusal(path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the refusal of a file, after looking for the patient in everything that was said."""
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
    return str(refused.value)


COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"NumberOfFrames": 4}, "4 frames; one film is expected; export the film as one gray DICOM image"),
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
        ({"BitsStored": 17}, "truncated or damaged: its pixels cannot be decoded"),
        ({"RescaleSlope": 1e300, "RescaleIntercept": 1e308}, "its rescale tags or modality look-up table are damaged"),
    ],
)
def test_what_is_no_gray_film_is_refused(
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
    assert "truncated" in message or "without pixels" in message


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
        (MPEG2MPML, "MPEG2 Main Profile / Main Level is no film"),
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
