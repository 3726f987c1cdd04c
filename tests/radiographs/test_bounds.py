"""Files that would take far more memory or time than their image: refused before anything is decoded."""

from __future__ import annotations

import io
import re
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs import dicom_frames, memory
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.memory import MAX_DECODED_BYTES, MemoryGate
from tests.radiographs.dicom_files import radiograph, ramp, written
from tests.radiographs.test_formats import declared_png

RUN_OF_128 = b"\x81\0"


@pytest.fixture
def nothing_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", decode)
    monkeypatch.setattr(dicom_frames, "pixel_array", decode)


def compressed(frame: bytes, *, side: int, bits: int, syntax: UID) -> Dataset:
    levels = np.zeros((side, side), dtype=f"u{bits // 8}")
    dataset = radiograph(levels, stored_bits=bits, syntax=syntax)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def rle(*segments: bytes) -> bytes:
    places = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16I", len(segments), *places, *[0] * (15 - len(segments))) + b"".join(segments)


@pytest.mark.parametrize("runs", [400_000, 200])
def test_an_rle_bomb_is_refused(tmp_path: Path, nothing_decodes: None, runs: int) -> None:
    """64 x 64 pixels are 32 runs of 128 a segment; 400,000 would be 51 MB."""
    frame = rle(RUN_OF_128 * 32, RUN_OF_128 * runs)
    path = written(tmp_path, compressed(frame, side=64, bits=16, syntax=RLELossless))
    tracemalloc.start()
    with pytest.raises(UnreadableImageError, match=r"bytes of compressed pixels, but|pixels cannot be decoded"):
        read_gray(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * len(frame) + 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "segments", [(RUN_OF_128 * 31, RUN_OF_128 * 32), (RUN_OF_128 * 32,), (b"", b""), (b"\x7f",) * 2]
)
def test_damaged_run_lengths_are_refused(tmp_path: Path, nothing_decodes: None, segments: tuple[bytes, ...]) -> None:
    path = written(tmp_path, compressed(rle(*segments), side=64, bits=16, syntax=RLELossless))
    with pytest.raises(UnreadableImageError, match="truncated or damaged: its pixels cannot be decoded"):
        read_gray(path)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless])
@pytest.mark.parametrize(("mode", "side"), [("L", 512), ("RGB", 64)])
def test_a_stream_of_another_size_than_the_header_is_refused(
    tmp_path: Path, nothing_decodes: None, syntax: UID, mode: str, side: int
) -> None:
    stream = io.BytesIO()
    options = {"format": "JPEG"} if syntax == JPEGBaseline8Bit else {"format": "JPEG2000", "no_jp2": True}
    Image.new(mode, (side, side)).save(stream, **options)
    path = written(tmp_path, compressed(stream.getvalue(), side=64, bits=8, syntax=syntax))
    samples = len(mode)
    with pytest.raises(
        UnreadableImageError,
        match=f"compressed pixels are {side} x {side} of {samples} samples, but its header says 64 x 64 of 1",
    ):
        read_gray(path)


@pytest.mark.parametrize(
    "content", [declared_png(8000, 8000, depth=16, colour=6), declared_png(6000, 6000, depth=16, colour=6)]
)
def test_pixels_of_many_bytes_are_refused(tmp_path: Path, nothing_decodes: None, content: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(
        UnreadableImageError, match=r"pixels that take \d+ MiB decoded, at most 256 MiB are read; export"
    ):
        read_gray(path)


def test_a_jpeg_of_many_scans_is_refused(tmp_path: Path, nothing_decodes: None) -> None:
    stream = io.BytesIO()
    Image.fromarray(ramp(0, 255, "uint8")).save(stream, format="JPEG", progressive=True)
    content = stream.getvalue()
    scan = content[content.index(b"\xff\xda") : -2]
    path = tmp_path / "image.jpeg"
    path.write_bytes(content[:-2] + scan * 120 + b"\xff\xd9")
    with pytest.raises(UnreadableImageError, match=r"a JPEG of \d+ scans, at most 100 are read; export it again"):
        read_gray(path)


def test_a_text_that_inflates_is_not_inflated(tmp_path: Path) -> None:
    """A PNG may carry a compressed text, which is nobody's business here."""
    text = b"a\0\0" + zlib.compress(b"0" * 60_000_000)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    path = tmp_path / "image.png"
    Image.fromarray(ramp(0, 255, "uint8")).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk + content[33:])
    assert np.array_equal(read_gray(path), ramp(0, 255, "uint8"))


def test_a_png_that_inflates_beyond_its_rows_is_not_kept(tmp_path: Path) -> None:
    pixels = zlib.compress(b"\0" * 60_000_000)
    chunk = struct.pack(">I", len(pixels)) + b"IDAT" + pixels + struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
    content = declared_png(50, 50)
    path = tmp_path / "image.png"
    path.write_bytes(content[:33] + chunk + content[-12:])
    tracemalloc.start()
    with pytest.raises(UnreadableImageError, match="damaged: its pixels cannot be decoded"):
        read_gray(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_all_that_is_decoded_at_once_fits() -> None:
    gate = MemoryGate(100)
    most, sizes = 0, [40, 30, 60, 90, 10, 100, 250, 5] * 4
    lock = threading.Lock()
    held: list[int] = []

    def pass_through(size: int) -> None:
        nonlocal most
        with gate.taking(size):
            with lock:
                held.append(size)
                assert sum(held) <= 100 or held == [size]
                most = max(most, len(held))
            threading.Event().wait(0.002)
            with lock:
                held.remove(size)

    threads = [threading.Thread(target=pass_through, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most > 1, "they do not wait without need"
    assert gate.taken_bytes == 0


def test_the_gate_opens_again_after_an_error(tmp_path: Path) -> None:
    before = memory.PIXELS.taken_bytes
    with (
        pytest.raises(UnreadableImageError, match=re.escape("at most 256 MiB")),
        memory.decoding(tmp_path / "a.png", MAX_DECODED_BYTES + 1),
    ):
        pytest.fail("passed")
    with pytest.raises(ZeroDivisionError), memory.decoding(tmp_path / "a.png", MAX_DECODED_BYTES):
        _ = 1 // 0
    assert memory.PIXELS.taken_bytes == before
