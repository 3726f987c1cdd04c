"""What a server must survive: bodies without end, files that unfold, clients that dawdle, and very many at once."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from tests.radiographs.dicom_files import radiograph, written

CLOSED: Final = 0  # in place of a status: the server ended the connection without a word
PATIENCE_S: Final = 240.0


def head(path: str, length: int | None, *, host: str = "127.0.0.1", more: str = "") -> bytes:
    """Return the head of a request; without a length its body comes in chunks."""
    body = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{body}\r\n{more}\r\n".encode()


async def status_of(reader: asyncio.StreamReader) -> int:
    """Return the status of an answer, or CLOSED."""
    try:
        line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        while line.startswith(b"HTTP/1.1 100"):
            await reader.readline()
            line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        return int(line.split()[1]) if line else CLOSED
    except ConnectionError:
        return CLOSED


async def send(port: int, content: bytes, *, path: str = "/api/predict") -> int:
    """Send a body whole, and return the status of the answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return CLOSED
    try:
        writer.write(head(path, len(content), more="Connection: close\r\n") + content)
        await writer.drain()
    except ConnectionError:
        pass  # it was answered before it had sent all
    try:
        return await status_of(reader)
    finally:
        writer.close()


async def send_without_end(port: int, count: int) -> int:
    """Send `count` bytes in chunks without saying how many there will be."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chunk = f"{2**16:x}\r\n".encode() + bytes(2**16) + b"\r\n"
    try:
        writer.write(head("/api/predict", None))
        for _ in range(count // 2**16):
            writer.write(chunk)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    except ConnectionError:
        pass
    try:
        return await status_of(reader)
    finally:
        writer.close()


async def dawdle(port: int, first: bytes, drip: bytes = b"", *, every_s: float = 0.2) -> tuple[int, float]:
    """Begin a request and go on byte by byte; return the status and after how many seconds it came."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    answer = asyncio.ensure_future(status_of(reader))
    while not answer.done() and time.monotonic() - begun < PATIENCE_S:
        await asyncio.wait([answer], timeout=every_s)
        if drip and not answer.done():
            writer.write(drip)
    writer.close()
    return await answer, time.monotonic() - begun


async def at_once(port: int, content: bytes, count: int) -> Counter[int]:
    """Send the same film `count` times in parallel, and return how many got which status."""
    return await several(count, lambda: send(port, content))


async def several(count: int, attack: Callable[[], Awaitable[int]]) -> Counter[int]:
    """Do it `count` times in parallel, and return how many got which status."""
    return Counter(await asyncio.gather(*(attack() for _ in range(count))))


def png_that_unfolds(width: int, height: int, *, depth: int = 16) -> bytes:
    """Return a PNG of black pixels that is whole and a thousandth of what it becomes."""
    row = bytes(1 + width * depth // 8)
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def dicom_that_unfolds(folder: Path, *, runs: int = 400_000) -> bytes:
    """Return a DICOM file whose few pixels are compressed to very many."""
    segments = (b"\x81\0" * 32, b"\x81\0" * runs)
    frame = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)
    dataset: Dataset = radiograph(np.zeros((64, 64), dtype=np.uint16), stored_bits=16, syntax=RLELossless)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return written(folder, dataset, "bomb.dcm").read_bytes()


def resident_mb(process: int) -> tuple[float, float]:
    """Return the memory of a process in MB: now, and at its highest."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(found["VmRSS"].split()[0]) / 1e3, int(found["VmHWM"].split()[0]) / 1e3
