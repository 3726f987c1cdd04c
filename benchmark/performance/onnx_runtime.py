"""Milliseconds of one image and images a second of a core, of the same networks in PyTorch and in ONNX Runtime.

python -m benchmark.performance.onnx_runtime [--architectures A,B] [--write]

Each network, with random weights, is put into a bundle, exported as `pneumobench export` does it, and asked about the
same prepared images by PyTorch, ONNX Runtime, and ONNX Runtime with eight bits, with one thread. They take turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.performance.measuring import device_name, take_turns
from benchmark.performance.random_bundle import random_bundle
from pneumobench.errors import NotAvailableError, PneumobenchError
from pneumobench.files import write_text
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import ExportedGraph
from pneumobench.prediction.exported_networks import lungs_graph, networks_graph
from pneumobench.prediction.exported_precision import in_eight_bits
from pneumobench.prediction.onnx_predictor import OnnxPredictor
from pneumobench.prediction.predictor import Predictor
from pneumobench.records.provenance import software_versions

ARCHITECTURES: Final = (
    "resnet18", "resnet50", "densenet121", "efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv3_large_100",
    "convnext_tiny", "regnety_008", "vgg11_bn", "vit_small_patch16_224", "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
)  # fmt: skip
TORCH, ONNX, INT8 = "PyTorch", "ONNX Runtime", "int8"


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architectures", default=",".join(ARCHITECTURES), help="names with commas")
    parser.add_argument("--side", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images that are asked about together")
    parser.add_argument("--repeats", type=int, default=7, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="write the report to onnx_runtime.md beside this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lungs = lungs_graph()
    rows, without = [], []
    for name in options.architectures.split(","):
        try:
            rows.append({"architecture": name, **_measured(name, lungs, options)})
        except NotAvailableError as error:
            without.append(str(error))
            continue
        print(rows[-1], file=sys.stderr, flush=True)
    report = _report(rows, without, options)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def exported_predictors(
    predictor: Predictor, lungs: bytes, *, threads: int = 1
) -> dict[Literal["fp32", "int8"], OnnxPredictor]:
    """Return a bundle's networks exported in memory, by precision.

    Args:
        predictor: the bundle.
        lungs: graph of the segmenter.
        threads: of ONNX Runtime.
    """
    graph, features = networks_graph(predictor)
    opened = predictor.opened
    found: dict[Literal["fp32", "int8"], OnnxPredictor] = {}
    graphs: dict[Literal["fp32", "int8"], bytes] = {"fp32": graph, "int8": in_eight_bits(graph)}
    for precision, content in graphs.items():
        about = ExportedGraph(precision=precision, features=features, made_of=opened.sha256)
        files = {about.file: content, about.lungs: lungs}
        exported = dataclasses.replace(
            opened,
            bundle=dataclasses.replace(opened.bundle, exported=about),
            read=lambda name, files=files: files.get(name) or opened.read(name),  # type: ignore[misc]
        )
        found[precision] = OnnxPredictor(exported, threads=threads)
    return found


def _measured(name: str, lungs: bytes, options: argparse.Namespace) -> dict[str, Any]:
    predictor = Predictor(random_bundle(name, side_px=options.side))
    exported = exported_predictors(predictor, lungs)
    sides: dict[str, AskedBundle] = {TORCH: predictor, ONNX: exported["fp32"], INT8: exported["int8"]}
    images = np.random.default_rng(0).integers(0, 256, (options.batch, options.side, options.side), dtype=np.uint8)
    said = {side: one.say(images) for side, one in sides.items()}
    row: dict[str, Any] = {}
    one = take_turns({side: _asks(asked, images[:1]) for side, asked in sides.items()}, options.repeats)
    many = take_turns({side: _asks(asked, images) for side, asked in sides.items()}, options.repeats)
    for side in sides:
        row[f"{side}, ms an image"] = 1000 * one.median(side)
    row["PyTorch / ONNX Runtime"] = one.ratio(TORCH, ONNX)
    for side in sides:
        row[f"{side}, images/s"] = options.batch / many.median(side)
    row["ONNX Runtime / PyTorch"] = many.ratio(TORCH, ONNX)
    row["largest difference"] = float(np.abs(said[TORCH].probability - said[ONNX].probability).max())
    return row


def _asks(asked: AskedBundle, images: NDArray[np.uint8]) -> Callable[[], None]:
    def ask() -> None:
        asked.say(images)

    return ask


def _report(rows: list[dict[str, Any]], without: list[str], options: argparse.Namespace) -> str:
    """Return the report as Markdown."""
    versions = software_versions()
    lines = [
        "# PyTorch and ONNX Runtime",
        "",
        f"One network of each architecture with random weights, gray images of {options.side} px, one thread; images/s "
        f"in batches of {options.batch}, so of one core; median of {options.repeats} turns. "
        f"{device_name(torch.device('cpu'))}; torch {versions['torch']}, timm {versions['timm']}, onnxruntime "
        f"{importlib.metadata.version('onnxruntime')}, commit {versions['commit'][:7]}. A ratio above 1: ONNX Runtime "
        "is quicker. Difference: of the probability, in float32.",
        "",
        "| architecture | one image, ms: PyTorch | ONNX Runtime | int8 | ratio | images/s: PyTorch | ONNX Runtime "
        "| int8 | ratio | largest difference |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        name, *numbers, difference = row.values()
        cells = [f"{number:.1f}" if place not in (3, 7) else f"{number:.2f}" for place, number in enumerate(numbers)]
        lines.append(f"| {name} | {' | '.join(cells)} | {difference:.0e} |")
    lines += ["", *(f"- {line}" for line in without)] if without else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except PneumobenchError as error:
        sys.exit(str(error))
