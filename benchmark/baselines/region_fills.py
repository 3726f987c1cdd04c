"""Which fill of a masked region is least foreign to networks of whole images: leaderboard/region-fills/README.md.

python -m benchmark.baselines.region_fills DATA [OUTPUT]

DATA holds the images of Kermany et al. and `lung_masks/`. Networks are trained on fold 0 of the suite kermany-cpu, in
OUTPUT (runs), and shown its test images with regions masked by each fill.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

import pneumobench
from pneumobench.architectures import Architecture
from pneumobench.files import write_text
from pneumobench.lungs.masked_regions import FILLS, masked
from pneumobench.lungs.outlines import Outlines
from pneumobench.lungs.region_names import Outline
from pneumobench.metrics import area_under_roc
from pneumobench.runs.context import Bench, open_run
from pneumobench.runs.networks import trained_network
from pneumobench.suite.spec import ControlSpec, Suite
from pneumobench.training.predictions import logit_of, probability_of, score_images

TABLE = Path(__file__).resolve().parents[2] / "leaderboard/region-fills/README.md"
NETWORKS = ("test_resnet", "test_efficientnet")
FOLD = 0
TOGETHER = 256
REGIONS: dict[str, tuple[Outline, bool]] = {  # outline, whether the lungs are what is masked
    "lungs": ("own", True),
    "another patient's lungs": ("other", True),
    "the fixed region": ("fixed", True),
    "all but the lungs": ("own", False),
    "all but another patient's lungs": ("other", False),
}
HEAD = """\
# Which fill is least foreign

What is put in place of a masked region of images that are shown to networks of whole images: the mean gray of what is
left (`mean`), the region itself so blurred that its overall brightness alone is left (`blur`), or what is left
continued smoothly into the hole, with noise of its grain (`inpainted`). `blur` hands on the brightness of what is
masked; the other two hand on nothing of it.

Shown: {normal:,} normal and {ill:,} pneumonia images of one test part of
[kermany-cpu](../kermany-cpu/leaderboard/README.md) with a manually annotated lung mask, to networks trained there
({epochs} epochs, {side} px). Each cell: share of the normal images that are called pneumonia (threshold 0.5), and AUC.
A share near that of whole images = the network takes masked images for what it knows.

`python -m benchmark.baselines.region_fills DATA`

"""


def main(data: str, output: Path) -> None:
    """Train, mask, score and write the table."""
    settings = {
        "data.root": data, "architectures.names": f"[{','.join(NETWORKS)}]",
        "training.precision": "32-true",  # processors without bfloat16 instructions compute it twenty times slower
    }  # fmt: skip
    suite = pneumobench.load_suite("kermany-cpu", [f"--{key}={value}" for key, value in settings.items()])
    suite = dataclasses.replace(suite, name="region-fills", controls=ControlSpec(names=()))
    run = pneumobench.run(suite, output=output, folds=[FOLD])
    bench = open_run(run.path, data, Console())
    rows = np.array([row for row in bench.fold_images(FOLD).positions["test"] if bench.masks.has(int(row))])
    label = bench.index.table["label"].to_numpy(np.int64)[rows]
    head = HEAD.format(
        normal=(label == 0).sum(), ill=(label == 1).sum(), epochs=suite.training.epochs, side=suite.data.image_side_px
    )
    outlines = bench.outlines(FOLD)
    lines = [f"| network | masked | {' | '.join(FILLS)} |", "| --- | --- |" + " ---: |" * len(FILLS)]
    shifts: dict[str, list[float]] = {fill: [] for fill in FILLS}
    for record in run.records:
        network = trained_network(bench.suite, bench.folder, record)
        whole = said(network, bench.suite, images(bench, rows), label)
        lines.append(f"| {record.architecture} | nothing | " + " | ".join([cell(whole)] * len(FILLS)) + " |")
        for name, (outline, lungs_masked) in REGIONS.items():
            cells = []
            for fill in FILLS:
                shown = masked_images(bench, rows, outlines, outline, fill, lungs_masked=lungs_masked)
                found = said(network, bench.suite, shown, label)
                shifts[fill].append(abs(found[0] - whole[0]))
                cells.append(cell(found))
            lines.append(f"| {record.architecture} | {name} | {' | '.join(cells)} |")
    mean = ", ".join(f"{fill} {np.mean(found):.2f}" for fill, found in shifts.items())
    write_text(
        TABLE, head + "\n".join(lines) + f"\n\nMean distance of the shares from those of whole images: {mean}.\n"
    )


def said(
    network: Architecture, suite: Suite, batches: Iterator[Tensor], label: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the share of normal images that are called pneumonia, and the area under the ROC curve."""
    probability = probability_of(logit_of(score_images(network, batches, suite.training)))
    return float((probability[label == 0] >= 0.5).mean()), area_under_roc(probability, label)


def images(bench: Bench, rows: NDArray[np.int64]) -> Iterator[Tensor]:
    """Yield images (B, 1, side, side)."""
    for some in np.split(rows, range(TOGETHER, len(rows), TOGETHER)):
        yield torch.from_numpy(np.array(bench.radiographs[some]))[:, None]


def masked_images(
    bench: Bench, rows: NDArray[np.int64], outlines: Outlines, outline: Outline, fill: str, *, lungs_masked: bool
) -> Iterator[Tensor]:
    """Yield masked images (B, 1, side, side)."""
    parts = np.split(rows, range(TOGETHER, len(rows), TOGETHER))
    for some, radiographs in zip(parts, images(bench, rows), strict=True):
        lungs = torch.from_numpy(np.ascontiguousarray(outlines.of_rows(some, outline)))
        yield masked(radiographs[:, 0], lungs if lungs_masked else ~lungs, fill)[:, None]


def cell(found: tuple[float, float]) -> str:
    """Return the cell of the table."""
    return f"{found[0]:.2f} / {found[1]:.3f}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "runs"))
