"""JPEG and PNG to gray, one conversion each, and one clear refusal for everything else."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.formats import IMAGE_SUFFIXES, read_gray
from pneumobench.radiographs.gray_levels import levels_to_uint8, percentiles_to_uint8
from pneumobench.radiographs.refusals import MAX_PIXELS

ORIENTATION = 0x0112


@pytest.fixture
def radiograph() -> NDArray[np.uint8]:
    """A smooth image that is not its own mirror image, (40, 56)."""
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (40, 56), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 4) * 1.6 - 70, dtype=np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def declared_png(width: int, height: int, *, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header declares a size and that holds nearly nothing."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0")) + png_chunk(b"IEND", b"")


def test_gray_png_is_read_as_it_is(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    gray = read_gray(saved(tmp_path / "film.png", Image.fromarray(radiograph)))
    assert gray.dtype == np.uint8
    assert gray.flags.c_contiguous
    assert np.array_equal(gray, radiograph)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_read_as_luma(tmp_path: Path, radiograph: NDArray[np.uint8], mode: str, progressive: bool) -> None:
    image = Image.fromarray(radiograph).convert(mode)
    gray = read_gray(saved(tmp_path / "film.jpeg", image, quality=95, progressive=progressive))
    assert gray.shape == (40, 56)
    assert np.abs(gray.astype(int) - radiograph).max() <= 6


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 1), (".jpg", 3)])
def test_colour_becomes_luma(tmp_path: Path, suffix: str, tolerance: int) -> None:
    colour = np.zeros((16, 48, 3), dtype=np.uint8)
    colour[:, :16, 0] = colour[:, 16:32, 1] = colour[:, 32:, 2] = 200
    path = saved(tmp_path / f"film{suffix}", Image.fromarray(colour), **({"quality": 100} if suffix == ".jpg" else {}))
    gray = read_gray(path)
    for column, luma in ((8, 60), (24, 117), (40, 23)):  # 200 times 0.299, 0.587 and 0.114
        assert abs(int(gray[8, column]) - luma) <= tolerance


def test_sixteen_bit_png_spans_its_percentiles(tmp_path: Path) -> None:
    levels = np.linspace(500, 4095, 100 * 100).reshape(100, 100).astype(np.uint16)  # 12 bits used of 16
    path = tmp_path / "film.png"
    assert cv2.imwrite(str(path), levels)
    gray = read_gray(path)
    low, high = np.percentile(levels, [1, 99])
    expected = np.clip((levels - low) / (high - low), 0, 1) * 255
    assert np.abs(gray - expected).max() <= 0.51
    assert (gray.min(), gray.max()) == (0, 255)


def test_one_bit_png_spans_black_to_white(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    path = saved(tmp_path / "mask.png", Image.fromarray(radiograph > 60))
    assert np.array_equal(read_gray(path), np.where(radiograph > 60, 255, 0))


def test_transparency_is_laid_over_black(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    alpha = np.full_like(radiograph, 255)
    alpha[:, 28:] = 0
    alpha[20:] //= 2
    expected = np.rint(radiograph * (alpha / 255.0))
    gray_alpha = saved(tmp_path / "la.png", Image.merge("LA", [Image.fromarray(radiograph), Image.fromarray(alpha)]))
    colour = saved(tmp_path / "rgba.png", Image.fromarray(np.dstack([radiograph, radiograph, radiograph, alpha])))
    for path in (gray_alpha, colour):
        assert np.abs(read_gray(path) - expected).max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_gray_level_that_a_png_calls_transparent_is_black(tmp_path: Path, depth: int) -> None:
    highest = 2**depth - 1
    levels = np.tile(np.arange(2**depth, dtype=np.uint8), (2, 8))[:, :32]
    bits = np.unpackbits(levels[:, :, None], axis=2)[:, :, 8 - depth :].reshape(2, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    header = struct.pack(">IIBBBBB", levels.shape[1], 2, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", struct.pack(">H", highest)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path = tmp_path / "gray.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    expected = np.where(levels == highest, 0, levels.astype(int) * 255 // highest)
    assert np.array_equal(read_gray(path), expected)


def test_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 10, 10, 240, 240, 240])
    image.putdata([1, 0])
    assert read_gray(saved(tmp_path / "film.png", image)).tolist() == [[240, 10]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpeg", ".png"])
def test_exif_orientation_is_applied(
    tmp_path: Path, radiograph: NDArray[np.uint8], suffix: str, orientation: int
) -> None:
    """Against OpenCV's own turning, which the reader does not use."""
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    path = saved(tmp_path / f"film{suffix}", Image.fromarray(radiograph), exif=tags)
    gray = read_gray(path)
    assert gray.shape == ((40, 56) if orientation <= 4 else (56, 40))
    assert np.array_equal(gray, np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))


def test_unknown_orientation_leaves_the_image(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = 77
    assert np.array_equal(read_gray(saved(tmp_path / "film.png", Image.fromarray(radiograph), exif=tags)), radiograph)


@pytest.mark.parametrize("name", ["film.jpeg", "film.dcm", "image", "film.jpg.bak", "Ünï 影.PNG"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, radiograph: NDArray[np.uint8], name: str) -> None:
    path = tmp_path / name
    Image.fromarray(radiograph).save(path, format="PNG")
    assert np.array_equal(read_gray(path), radiograph)


def test_suffixes_to_search_for() -> None:
    assert {".jpeg", ".jpg", ".png", ".dcm", ".dicom"} == IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the file is empty (0 bytes); copy or download it again"),
        (b"GIF89a....", "a GIF image; export the image as JPEG, PNG or DICOM"),
        (b"BM\x00\x00\x00\x00", "a BMP image"),
        (b"II*\0....", "a TIFF image"),
        (b"<!DOCTYPE html>", "a web page or XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer (fetch it with `git lfs pull`)"),
        (b"\0\1\2\3\4\5", "neither JPEG, PNG nor DICOM: it starts with the bytes 00 01 02 03"),
        (b"\xff\xd8\xff", "truncated or damaged: no complete JPEG header"),
        (b"\x89PNG\r\n\x1a\n", "truncated or damaged: no complete PNG header"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError) as refused:
        read_gray(path)
    assert str(refused.value).startswith(f"{path}: {found}")


def test_a_dicom_suffix_without_dicom_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(b"\0" * 400)
    with pytest.raises(UnreadableImageError, match="not a DICOM file: the mark DICM is missing at byte 128"):
        read_gray(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "no.png", tmp_path / "folder.png"):
        with pytest.raises(UnreadableImageError, match=rf"{path.name}: no such file"):
            read_gray(path)


@pytest.mark.skipif(os.name != "posix", reason="named pipes are of Unix")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.png")
    with pytest.raises(UnreadableImageError, match="no such file"):
        read_gray(tmp_path / "film.png")


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95, -1])
def test_truncated_jpeg_is_refused(tmp_path: Path, kept: float) -> None:
    """Also where the decoder would fill the missing part with gray, and where a preview has an end mark."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (300, 300), dtype=np.uint8))
    preview = io.BytesIO()
    noise.resize((16, 16)).save(preview, format="JPEG")
    segment = b"\xff\xe2" + struct.pack(">H", len(preview.getvalue()) + 2) + preview.getvalue()
    whole = io.BytesIO()
    noise.save(whole, format="JPEG")
    content = whole.getvalue()[:2] + segment + whole.getvalue()[2:]
    path = tmp_path / "film.jpeg"
    path.write_bytes(content)
    assert read_gray(path).shape == (300, 300)
    path.write_bytes(content[: int(len(content) * kept)] if kept > 0 else content[:-1])
    with pytest.raises(
        UnreadableImageError, match=r"truncated( or damaged: no complete JPEG header|: the JPEG end mark)"
    ):
        read_gray(path)


@pytest.mark.parametrize("cut", [1, 12, 30, 400])
def test_truncated_png_is_refused(tmp_path: Path, radiograph: NDArray[np.uint8], cut: int) -> None:
    path = saved(tmp_path / "film.png", Image.fromarray(radiograph))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UnreadableImageError, match=r"film\.png: truncated or damaged: a PNG chunk is incomplete"):
        read_gray(path)


def test_png_with_a_changed_byte_is_refused(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    path = saved(tmp_path / "film.png", Image.fromarray(radiograph))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match="truncated or damaged"):
        read_gray(path)


def test_png_with_too_few_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(declared_png(50, 50))
    with pytest.raises(UnreadableImageError, match="damaged: its pixels cannot be decoded; copy or download"):
        read_gray(path)


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (11_000, 8500), (60_000, 60_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pixel_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    def decode(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    path = tmp_path / "film.png"
    path.write_bytes(declared_png(width, height))
    with pytest.raises(UnreadableImageError, match=rf"the header declares .*{MAX_PIXELS:,}.*native size"):
        read_gray(path)


def test_a_huge_file_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    with path.open("wb") as file:
        file.truncate(600 * 2**20)  # sparse: takes no room
    with pytest.raises(UnreadableImageError, match="600 MiB, at most 256 are read"):
        read_gray(path)


def test_cmyk_is_refused(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    path = saved(tmp_path / "film.jpeg", Image.fromarray(radiograph).convert("CMYK"))
    with pytest.raises(UnreadableImageError, match=r"print colours \(CMYK\); export it as gray or RGB"):
        read_gray(path)


def told_of(path: Path) -> str:
    """Return the refusal of a file, or nothing where an image is read; any other exception goes on."""
    try:
        gray = read_gray(path)
    except UnreadableImageError as refused:
        return str(refused)
    assert gray.ndim == 2
    assert gray.dtype == np.uint8
    return ""


def test_mutated_files_are_read_or_refused_and_nothing_else(tmp_path: Path, radiograph: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "image"
    for kind in ("JPEG", "PNG"):
        stream = io.BytesIO()
        Image.fromarray(radiograph).save(stream, format=kind)
        for _ in range(150):
            content = bytearray(stream.getvalue())
            for place in rng.integers(4, len(content), 4):
                content[place] = rng.integers(256)
            path.write_bytes(content)
            if told := told_of(path):
                assert told.startswith(f"{path}: ")


def test_levels_map_to_the_full_range() -> None:
    levels = np.array([[-5.0, 0.0, 50.0, 100.0, 900.0]])
    assert levels_to_uint8(levels, 0.0, 100.0).tolist() == [[0, 0, 128, 255, 255]]
    assert levels_to_uint8(levels, 100.0, 0.0).tolist() == [[255, 255, 128, 0, 0]]


def test_percentiles_of_one_level_and_of_a_few_bright_pixels() -> None:
    assert not percentiles_to_uint8(np.full((9, 9), 700, dtype=np.uint16)).any()
    bright = np.zeros((50, 50), dtype=np.uint16)
    bright[0, 0] = 9
    assert percentiles_to_uint8(bright)[0, 0] == 255


def test_importing_the_reader_does_not_import_pydicom() -> None:
    code = "import sys, pneumobench.radiographs.formats; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
