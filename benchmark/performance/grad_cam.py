"""Seconds of Grad-CAM maps and their lung attention ratio, against a forward and backward pass of the same images.

python -m benchmark.performance.grad_cam [--data FOLDER] [--write]

The pass that it is compared with is the cheapest that reaches the pixels: parameters are frozen, the gradient of the
logit is taken at the input, in float32 as for the maps, in batches of the same size. Both sides take turns on the same
images, and who is first changes every time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmark.performance.measuring import best_device, device_name, take_turns
from pneumobench.architectures import Architecture, build_architecture
from pneumobench.attributions.grad_cam import IMAGES_PER_PASS, choose_layer, grad_cam, positive_heat
from pneumobench.attributions.inspection import inspected
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import problem_error
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.errors import PneumobenchError
from pneumobench.files import write_text
from pneumobench.lungs.masks import lung_masks
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.records.provenance import software_versions
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.reader import load_suite
from pneumobench.suite.shipped import suite_path
from pneumobench.suite.spec import DataSpec, Suite

GOAL = 1.5


def main() -> None:
    """Measure, print, and write the report if asked to."""
    options = _options()
    device = best_device()
    with tempfile.TemporaryDirectory() as folder:
        radiographs, lungs = _radiographs(options, Path(folder))
    names = (
        options.architectures.split(",")
        if options.architectures
        else load_suite(suite_path("kermany")).architectures.names
    )
    rows = []
    for name in names:
        architecture = build_architecture(name, in_channels=1, image_side_px=options.side)
        architecture.module.eval().to(device)
        rows.append({"architecture": name, **_measure(architecture, radiographs.to(device), lungs, options.repeats)})
        print(rows[-1], file=sys.stderr, flush=True)
    report = _report(pd.DataFrame(rows), options, device)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data",
        default=os.environ.get("PNEUMOBENCH_DATA"),
        help="folder of the images of Kermany et al. (default: PNEUMOBENCH_DATA, else phantoms)",
    )
    parser.add_argument("--architectures", help="names with commas (default: those of the suite kermany)")
    parser.add_argument("--images", type=int, default=64, help="images to explain")
    parser.add_argument("--side", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--repeats", type=int, default=7, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="write the report to grad_cam.md beside this file")
    return parser.parse_args()


def _radiographs(options: argparse.Namespace, cache: Path) -> tuple[Tensor, np.ndarray]:
    """Return images (N, 1, side, side) uint8 and where their lungs are (N, side, side) bool."""
    data = DataSpec(phantoms=PhantomSpec(patients=options.images, side_px=options.side))
    if options.data:
        data = DataSpec(source="kermany", root=options.data, lung_masks="lung_masks", limit_images=options.images)
    index, problems = read_radiographs(Suite(data=data), cache)
    if problems:
        raise problem_error(index.root, problems)
    masks = lung_masks(index, options.side, cache)
    usable = masks.usable_rows()
    rows = (np.arange(len(index.table)) if usable is None else usable)[: options.images]
    radiographs = cached_images(index, options.side, cache)[rows]
    return torch.from_numpy(np.array(radiographs))[:, None], masks.of_rows(rows)


def sides_of(architecture: Architecture, radiographs: Tensor, lungs: np.ndarray) -> dict[str, Callable[[], None]]:
    """Return the two sides: images `explained`, and the forward and backward pass that they are compared with."""
    side_px = radiographs.shape[-1]
    chosen = choose_layer(architecture, side_px)

    def explained() -> None:
        for start in range(0, len(radiographs), IMAGES_PER_PASS):
            some = slice(start, start + IMAGES_PER_PASS)
            heat = positive_heat(grad_cam(architecture, radiographs[some], chosen), side_px)
            lung_attention_ratio(heat.cpu().numpy(), lungs[some])

    def passed() -> None:
        with inspected(architecture) as ready:
            for some in torch.split(radiographs, IMAGES_PER_PASS):
                pixels = ready.normalise(some).requires_grad_()
                torch.autograd.grad(ready.module(pixels).sum(), pixels)[0].cpu()

    return {"explained": explained, "passed": passed}


def _measure(architecture: Architecture, radiographs: Tensor, lungs: np.ndarray, repeats: int) -> dict[str, float]:
    turns = take_turns(sides_of(architecture, radiographs, lungs), repeats)
    ratios = turns.ratios("explained", "passed")
    return {
        "explained_s": turns.median("explained"),
        "passed_s": turns.median("passed"),
        "ratio": turns.ratio("explained", "passed"),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def _report(table: pd.DataFrame, options: argparse.Namespace, device: torch.device) -> str:
    """Return the report as Markdown."""
    versions = software_versions()
    lines = [
        "# Seconds of Grad-CAM and the lung attention ratio",
        "",
        f"{options.images} {'images' if options.data else 'phantoms'} at {options.side} px, random weights, "
        f"batches of {IMAGES_PER_PASS}; median of {options.repeats} turns; {device_name(device)}, "
        f"{torch.get_num_threads()} threads; torch {versions['torch']}, commit {versions['commit'][:7]}.",
        "",
        f"| architecture | Grad-CAM and LAR, s | forward and backward, s | ratio (goal: at most {GOAL}) | turns |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in table.to_dict("records"):
        lines.append(
            f"| {row['architecture']} | {row['explained_s']:.3f} | {row['passed_s']:.3f} | {row['ratio']:.2f} "
            f"| {row['lowest']:.2f} to {row['highest']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except PneumobenchError as error:
        sys.exit(str(error))
