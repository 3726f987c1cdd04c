"""What decoders warn of is a refusal that names the file, and nothing is printed."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.orientation import exif_orientation
from pneumobench.radiographs.plausibility import FILLED, ONE_LEVEL, SMALL, implausible
from tests.radiographs.dicom_files import radiograph, written
from tests.radiographs.test_formats import png_chunk

ROWS = b"".join(b"\0" + bytes(range(30)) for _ in range(20))


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return np.asarray(
        cv2.GaussianBlur(rng.integers(0, 256, (200, 240), dtype=np.uint8), (0, 0), 3) * 2.0 - 128, "uint8"
    )


def jpeg(picture: NDArray[np.uint8], **options: bool) -> bytearray:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="JPEG", quality=90, **options)
    return bytearray(stream.getvalue())


def refusal(path: Path, content: bytes | bytearray, capfd: pytest.CaptureFixture[str]) -> str:
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError) as refused:
        read_gray(path)
    assert capfd.readouterr() == ("", ""), "no decoder prints"
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("written_over", [b"\0", b"\xff", b"\xab", b"\xff\xd9"])
def test_a_jpeg_with_an_overwritten_middle_is_refused(
    tmp_path: Path,
    picture: NDArray[np.uint8],
    written_over: bytes,
    progressive: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = jpeg(picture, progressive=progressive)
    middle = len(content) // 2
    content[middle : middle + 400] = (written_over * 400)[:400]
    assert "damaged: its decoder says '" in refusal(tmp_path / "image.jpeg", content, capfd)


def test_a_jpeg_that_ends_early_is_refused_although_it_has_an_end_mark(
    tmp_path: Path, picture: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    content = jpeg(picture)
    told = refusal(tmp_path / "image.jpeg", content[: len(content) // 2] + b"\xff\xd9", capfd)
    assert "Corrupt JPEG data: premature end of data segment" in told


def test_jpeg_pixels_in_a_dicom_file_are_judged_alike(
    tmp_path: Path, picture: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    for damaged in (False, True):
        content = jpeg(picture)
        if damaged:
            content[4000:4400] = bytes(400)
        dataset = radiograph(picture, stored_bits=8, syntax=JPEGBaseline8Bit)
        dataset.PixelData = encapsulate([bytes(content)])
        dataset["PixelData"].is_undefined_length = True
        path = written(tmp_path, dataset)
        if damaged:
            assert "damaged: its decoder says 'Corrupt JPEG data" in refusal(path, path.read_bytes(), capfd)
        else:
            assert np.array_equal(read_gray(path), np.asarray(cv2.imdecode(np.asarray(content), cv2.IMREAD_GRAYSCALE)))


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_luma_is_the_plane_of_another_decoder(
    tmp_path: Path, picture: NDArray[np.uint8], mode: str, subsampling: int
) -> None:
    path = tmp_path / "image.jpeg"
    Image.fromarray(picture).convert("RGB").convert(mode).save(path, subsampling=subsampling)
    assert np.array_equal(read_gray(path), np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))


def png(compressed: bytes, *chunks: bytes, colour: int = 0, depth: int = 8, interlaced: int = 0) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IDAT", compressed) + png_chunk(b"IEND", b"")


WHOLE = zlib.compress(ROWS)


@pytest.mark.parametrize(
    "content",
    [
        png(zlib.compress(ROWS[:300])),
        png(zlib.compress(ROWS + b"\0")),
        png(WHOLE + b"further"),
        png(zlib.compress(b"\7" + ROWS[1:])),
        png(zlib.compress(ROWS[:-31] + b"\5" + ROWS[-30:])),
        png(WHOLE[:-4] + b"abcd"),
        png(WHOLE[:-4]),
        png(WHOLE[:2] + b"\xff\xff\xff" + WHOLE[5:]),
        png(WHOLE, interlaced=1),
        png(WHOLE, colour=3),
        png(WHOLE, png_chunk(b"ABCD", b"unknown and needed")),
        png(WHOLE, png_chunk(b"IDAT", b""), png_chunk(b"tEXt", b"a\0b")),
        png(WHOLE, png_chunk(b"IHDR", b"0" * 13)),
        png(b"")[:-24] + png_chunk(b"IEND", b""),
    ],
)
def test_a_png_with_right_checksums_and_wrong_pixels_is_refused(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "damaged: its pixels cannot be decoded; copy" in refusal(tmp_path / "image.png", content, capfd)


@pytest.mark.parametrize("content", [png(WHOLE, depth=3), png(WHOLE, colour=5), png(WHOLE, colour=2, depth=4)])
def test_an_impossible_png_header_is_refused(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "no complete PNG header" in refusal(tmp_path / "image.png", content, capfd)


def test_an_animated_png_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames = [Image.new("L", (20, 20), level) for level in (0, 200)]
    frames[0].save(tmp_path / "image.png", save_all=True, append_images=frames[1:])
    content = (tmp_path / "image.png").read_bytes()
    assert "an animated PNG; one image is expected" in refusal(tmp_path / "image.png", content, capfd)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"junk" * 50)),
        png_chunk(b"eXIf", b"junk"),
        png_chunk(b"pHYs", b"abc"),
        png_chunk(b"gAMA", b"\0\0\0\0"),
        png_chunk(b"tRNS", b"junkjunkjunk"),
        png_chunk(b"tRNS", b"\1\0"),
        png_chunk(b"PLTE", b"123"),
        png_chunk(b"sBIT", b"\x09"),
        png_chunk(b"acTL", struct.pack(">II", 1, 0)),
    ],
)
def test_what_stands_beside_the_pixels_of_a_png_does_not_matter(
    tmp_path: Path, chunk: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png(WHOLE, chunk))
    assert np.array_equal(read_gray(path), np.tile(np.arange(30, dtype=np.uint8), (20, 1)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (5, 3), (20, 30), (700, 900)])
def test_an_interlaced_png_is_read(tmp_path: Path, height: int, width: int) -> None:
    """Written pass by pass, as no library at hand does."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (height, width), dtype=np.uint8)
    rows = b""
    for column, row, right, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                                     (0, 1, 1, 2)):  # fmt: skip
        part = levels[row::down, column::right]
        rows += b"".join(b"\0" + line.tobytes() for line in part if line.size)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1))
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))
    assert np.array_equal(read_gray(path), levels)


@pytest.mark.parametrize("block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"junk" * 9])
def test_a_damaged_exif_block_leaves_the_image(block: bytes) -> None:
    assert exif_orientation(block) == 1


# --- what pixels alone say


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 100), (100, 3)])
def test_a_few_pixels_are_no_radiograph(tmp_path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnreadableImageError, match=f"{width} x {height} pixels; at least 4 a side are expected"):
        implausible(tmp_path / "image.png", rng.integers(0, 256, (height, width), dtype=np.uint8))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_level_is_no_radiograph(tmp_path: Path, level: int) -> None:
    with pytest.raises(UnreadableImageError, match=r"a\.png: all of its pixels have one gray level; export it again"):
        implausible(tmp_path / "a.png", np.full((40, 50), level, dtype=np.uint8))


def test_nearly_empty_and_filled_images_are_noted(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.png"
    assert implausible(path, picture) == ()
    assert implausible(path, picture[:31]) == (SMALL,)
    dot = np.full((100, 100), 20, dtype=np.uint8)
    dot[:9, :9] = 250
    assert implausible(path, dot) == (ONE_LEVEL, FILLED)
    assert implausible(path, (picture // 50).astype(np.uint8)) == (ONE_LEVEL,)
    for level, notes in ((128, (FILLED,)), (0, ()), (255, ())):
        filled = picture.copy()
        filled[-12:] = level
        assert implausible(path, filled) == notes
    filled = picture.copy()
    filled[-5:] = 128
    assert implausible(path, filled) == ()
