"""The smallest network of each of timm's families: is it exported to ONNX, and does it say the same there?

python benchmark/architectures/onnx_families.py [--write] [--only NAME ...] [--seconds N]

Networks, sides and channels are those of timm_families.csv, with random weights. Each is put into a bundle and exported
in a process of its own, as `pneumobench export` does it; then PyTorch and ONNX Runtime are asked about the same noise.
What was tried before is not tried again: delete onnx_families.csv, or name families with --only.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import torch
from timm_families import KEPT, FamilyResult, read_table

from pneumobench.errors import PneumobenchError
from pneumobench.files import write_text

TABLE: Final = Path(__file__).with_suffix(".csv")
REPOSITORY: Final = Path(__file__).resolve().parents[2]
EXPORTED: Final = "exported"
DIFFERENCE_MAX: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What came of a family's smallest network.

    Args:
        family: module of timm.
        network: timm name.
        side_px: side of the images.
        export: `exported`, or why not.
        difference: largest, of a probability; `-` without an export.
        seconds: for all of it.
    """

    family: str
    network: str
    side_px: str
    export: str
    difference: str = "-"
    seconds: str = "-"


def examine(family: str, name: str, side_px: int, channels: int) -> ExportResult:
    """Export a network and ask both."""
    sys.path.append(str(REPOSITORY))
    from benchmark.performance.onnx_runtime import exported_predictors
    from benchmark.performance.random_bundle import random_bundle
    from pneumobench.prediction.exported_networks import lungs_graph
    from pneumobench.prediction.predictor import Predictor

    started = time.perf_counter()
    torch.set_num_threads(1)
    words, difference = EXPORTED, "-"
    try:
        predictor = Predictor(random_bundle(name, side_px=side_px, channels=3 if channels == 3 else 1))
        exported = exported_predictors(predictor, lungs_graph())["fp32"]
        images = np.random.default_rng(0).integers(0, 256, (3, side_px, side_px), dtype=np.uint8)
        apart = np.abs(predictor.say(images).probability - exported.say(images).probability).max()
        difference = f"{apart:.0e}"
        if not apart <= DIFFERENCE_MAX:
            words = "answers otherwise"
    except PneumobenchError as error:
        words = " ".join(str(error).split())[:300]
    return ExportResult(
        family=family, network=name, side_px=str(side_px), export=words, difference=difference,
        seconds=f"{time.perf_counter() - started:.0f}",
    )  # fmt: skip


def in_own_process(row: FamilyResult, seconds: int) -> ExportResult:
    """Try a network in a process that may take its time and memory with it."""
    words = {"family": row.family, "network": row.network, "side_px": row.side_px}
    if row.side_px == "-" or not row.contract.startswith(KEPT):
        return ExportResult(**words, export=f"not tried: {row.contract}")
    channels = "3" if row.contract != KEPT else "1"
    code = (
        "import sys; from onnx_families import as_csv, examine; "
        "print(as_csv([examine(*sys.argv[1:3], *map(int, sys.argv[3:]))]).splitlines()[1])"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, row.family, row.network, row.side_px, channels],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ExportResult(**words, export=f"not ready after {seconds} s", seconds=str(seconds))
    if done.returncode != 0 or not done.stdout.strip():
        return ExportResult(**words, export=f"process ended: {' '.join(done.stderr[-200:].split())}")
    return from_csv(done.stdout.strip().splitlines()[-1:])[0]


def as_csv(rows: list[ExportResult]) -> str:
    """Return the table with its heading."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, [field.name for field in fields(ExportResult)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def from_csv(lines: list[str]) -> list[ExportResult]:
    """Return the rows of lines without a heading."""
    names = [field.name for field in fields(ExportResult)]
    return [ExportResult(**dict(zip(names, cells, strict=True))) for cells in csv.reader(lines)]


def as_markdown(rows: list[ExportResult]) -> str:
    """Return the table in words for people: first those that cannot be exported, by name."""
    without = [row for row in rows if row.export != EXPORTED and not row.export.startswith("not tried")]
    tried = sum(not row.export.startswith("not tried") for row in rows)
    lines = [
        "# timm's families in ONNX, the smallest network of each",
        "",
        f"{tried} families were tried, {tried - len(without)} are exported and say the same within "
        f"{DIFFERENCE_MAX:.0e} of a probability. Random weights, noise, torch {torch.__version__.partition('+')[0]}. "
        "Made by `python benchmark/architectures/onnx_families.py --write`.",
        "",
        f"Not exported: {', '.join(row.family for row in without) or 'none'}.",
        "",
        "| family | network | side, px | export | largest difference | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    cells = ([value.replace("|", "\\|") for value in asdict(row).values()] for row in rows)
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells)]) + "\n"


def main() -> None:
    """Try every family, print a line for each, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write onnx_families.csv and .md")
    parser.add_argument("--only", nargs="+", default=[], help="only these families")
    parser.add_argument("--seconds", type=int, default=600, help="that a network may take")
    options = parser.parse_args()
    lines = TABLE.read_text(encoding="utf-8").splitlines()[1:] if TABLE.is_file() else []
    known = {row.family: row for row in from_csv(lines)}
    for row in read_table():
        if (options.only and row.family not in options.only) or (not options.only and row.family in known):
            continue
        known[row.family] = in_own_process(row, options.seconds)
        print(as_csv([known[row.family]]).splitlines()[1], flush=True)
        if options.write:
            rows = [known[one] for one in sorted(known)]
            write_text(TABLE, as_csv(rows))
            write_text(TABLE.with_suffix(".md"), as_markdown(rows))


if __name__ == "__main__":
    main()
