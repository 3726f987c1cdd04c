"""Thousands of damaged images through the opening of an audit, in a process of its own.

`python -m tests.radiographs.fuzzing FOLDER COUNT SEED` prints what came out as JSON; whatever decoders print goes to
stderr. Every mutant is a file of one of the kinds in `originals`, changed in one of the ways in `MUTATIONS`.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom
from numpy.random import Generator
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing
from pneumobench.datasets.opening import open_images
from tests.radiographs.dicom_files import look_up_table, radiograph

BATCH = 500  # files on disk at a time
NASTY = (
    0,
    1,
    2,
    7,
    8,
    16,
    17,
    255,
    1000,
    9000,
    65535,
    -1,
    "",
    "junk",
    None,
    [1, 2],
    1e308,
    1e-308,
    "MONOCHROME1",
    "INVERSE",
)
TAGS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "NumberOfFrames", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "PixelPaddingValue", "PixelPaddingRangeLimit", "PresentationLUTShape", "PlanarConfiguration",
    "PixelAspectRatio", "PixelSpacing", "PatientOrientation", "VOILUTSequence", "ModalityLUTSequence",
)  # fmt: skip


def originals() -> dict[str, bytes]:
    """Return a whole file of each kind by its name."""
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.normal(size=(240, 280)).astype(np.float32), (0, 0), 6)
    levels = np.interp(smooth, (smooth.min(), smooth.max()), (0, 4095)).astype(np.uint16)
    gray = (levels // 16).astype(np.uint8)
    image, files = Image.fromarray(gray), {}

    def kept(name: str, picture: Image.Image, **options: Any) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, **options)
        files[name] = stream.getvalue()
        return stream.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    kept("gray.jpeg", image, format="JPEG", quality=90)
    kept("progressive.jpeg", image, format="JPEG", progressive=True)
    kept("colour.jpeg", image.convert("RGB"), format="JPEG", exif=exif)
    kept("gray.png", image, format="PNG")
    kept("deep.png", Image.fromarray(levels), format="PNG")
    kept("palette.png", image.quantize(64), format="PNG", transparency=3)
    kept("opacity.png", image.convert("RGBA"), format="PNG", exif=exif)

    def dicom(name: str, dataset: Dataset) -> None:
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
        files[name] = stream.getvalue()

    window: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}
    dicom("window.dcm", radiograph(levels, stored_bits=12, **window))
    tables: dict[str, Any] = {"ModalityLUTSequence": look_up_table(np.arange(4096), 0, 16), **window}
    dicom("table.dcm", radiograph(levels, stored_bits=12, syntax=ImplicitVRLittleEndian, **tables))
    tables = {"VOILUTSequence": look_up_table(np.arange(4096), 0, 12), "RescaleSlope": 1, "RescaleIntercept": 0}
    dicom("voi.dcm", radiograph(levels, stored_bits=12, PixelPaddingValue=0, **tables))
    runs = radiograph(levels // 256 * 256, stored_bits=12, **window)
    runs.compress(RLELossless)
    dicom("runs.dcm", runs)
    streams = {
        JPEGBaseline8Bit: files["gray.jpeg"],
        JPEG2000Lossless: kept("j2k", image, format="JPEG2000", no_jp2=True),
    }
    del files["j2k"]
    for syntax, stream in streams.items():
        dataset = radiograph(gray, stored_bits=8, syntax=syntax)
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        dicom(f"{syntax.split('.')[-1]}.dcm", dataset)
    return files


def flipped(content: bytearray, rng: Generator) -> None:
    for place in rng.integers(0, len(content), rng.integers(1, 9)):
        content[place] ^= 1 << int(rng.integers(8))


def flipped_early(content: bytearray, rng: Generator) -> None:
    for place in rng.integers(0, min(700, len(content)), rng.integers(1, 6)):
        content[place] = int(rng.integers(256))


def cut(content: bytearray, rng: Generator) -> None:
    del content[int(rng.integers(len(content))) :]


def overwritten(content: bytearray, rng: Generator) -> None:
    start = int(rng.integers(len(content)))
    length = min(int(rng.integers(1, 3000)), len(content) - start)
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    content[start : start + length] = noise if rng.random() < 0.5 else bytes([int(rng.integers(256))]) * length


def moved(content: bytearray, rng: Generator) -> None:
    start, end = sorted(rng.integers(0, len(content), 2).tolist())
    part = content[start:end]
    if rng.random() < 0.5:
        del content[start:end]
    place = int(rng.integers(len(content) + 1))
    content[place:place] = part


def edited_header(content: bytearray, rng: Generator) -> None:
    """Change a field of the header and leave the rest right, checksums included."""
    if content.startswith(b"\x89PNG"):
        place = int(rng.integers(16, 29))
        content[place] = int(rng.integers(256)) if rng.random() < 0.3 else int(rng.integers(8))
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        if rng.random() < 0.5:  # its pixels too
            start = content.index(b"IDAT")
            (length,) = struct.unpack_from(">I", content, start - 4)
            content[start + 4 + int(rng.integers(length))] ^= 1 << int(rng.integers(8))
            content[start + 4 + length : start + 8 + length] = struct.pack(
                ">I", zlib.crc32(content[start : start + 4 + length])
            )
    elif content.startswith(b"\xff\xd8"):
        markers = [content.find(bytes([0xFF, marker])) for marker in (0xC0, 0xC2, 0xC4, 0xDA, 0xDB, 0xE0, 0xE1)]
        start = int(rng.choice([place for place in markers if place > 0]))
        content[start + int(rng.integers(2, 20))] = int(rng.integers(256))
    else:
        dataset = pydicom.dcmread(io.BytesIO(bytes(content)))
        for tag in rng.choice(TAGS, rng.integers(1, 4), replace=False):
            value = NASTY[int(rng.integers(len(NASTY)))]
            if rng.random() < 0.2 and str(tag) in dataset:
                del dataset[str(tag)]
            elif not str(tag).endswith("Sequence"):
                setattr(dataset, str(tag), value)
            elif str(tag) in dataset:
                table = dataset[str(tag)][0]
                table.LUTDescriptor = [int(number) for number in rng.choice((0, 1, 8, 16, 255, 4096, 65535), 3)]
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, dataset)
        content[:] = stream.getvalue()


MUTATIONS: tuple[Callable[[bytearray, Generator], None], ...] = (
    flipped, flipped_early, cut, overwritten, moved, edited_header
)  # fmt: skip


def mutant(content: bytes, rng: Generator) -> tuple[str, bytes]:
    """Return the name of a change and the changed file."""
    for _ in range(20):
        change = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        changed = bytearray(content)
        try:
            change(changed, rng)
        except Exception:  # noqa: BLE001  # the writer of a DICOM file refuses some values by itself
            continue
        if changed != content:
            return change.__name__, bytes(changed)
    raise AssertionError("no change was possible")


def peak_mib() -> float:
    """Return the most memory that this process has had; getrusage would count the process that started it as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Open `count` mutants in batches; return how many were accepted and refused, and what that took."""
    import warnings

    warnings.simplefilter("ignore")  # of writing DICOM files that break the rules
    rng = np.random.default_rng(seed)
    files = list(originals().items())
    whole = _opened(folder, dict(files))
    if whole:
        raise AssertionError(f"whole files are refused: {whole}")
    before, started, reading_s = peak_mib(), time.perf_counter(), 0.0
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    noisy: list[str] = []
    for start in range(0, count, BATCH):
        changes, batch = {}, {}
        for number in range(start, min(start + BATCH, count)):
            name, content = files[number % len(files)]
            change, changed = mutant(content, rng)
            kind = Path(name).suffix
            batch[f"{number}{kind}"] = changed
            changes[f"{number}{kind}"] = f"{kind[1:]} {change}"
        warnings.simplefilter("default")
        began = time.perf_counter()
        problems = _opened(folder, batch)
        reading_s += time.perf_counter() - began
        warnings.simplefilter("ignore")
        for name, change in changes.items():
            (refused if name in problems else accepted)[change] += 1
            if name not in problems and not name.endswith(".dcm"):
                noisy += _independent(name, batch[name])
        for path in folder.iterdir():
            path.unlink()
    return {
        "mutants": count,
        "accepted": dict(sorted(accepted.items())),
        "refused": dict(sorted(refused.items())),
        "undecodable": noisy,
        "peak_mib": round(peak_mib() - before),
        "reading_s": round(reading_s, 1),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _opened(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Return the problem of each file that is refused, by its name; every other one is in the index."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    rows = pd.DataFrame([(name, "train", 0, "unknown", name, "") for name in files], columns=list(LISTING_COLUMNS))
    index, problems = open_images(folder, Listing(rows=rows))
    read = set(index.table["image_id"])
    refused = {name: line for name in files for line in problems if line.startswith(f"{name}: ")}
    if read | set(refused) != set(files) or read & set(refused) or len(problems) != len(refused):
        raise AssertionError("a file is neither read nor refused, or both")
    return refused


def _independent(name: str, content: bytes) -> list[str]:
    """Decode an accepted file with the libraries that read it otherwise; both print to stderr what they warn of."""
    found = []
    if cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_UNCHANGED) is None:
        found.append(f"{name}: OpenCV")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError) as error:
        found.append(f"{name}: Pillow: {error}")
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])), indent=1))
