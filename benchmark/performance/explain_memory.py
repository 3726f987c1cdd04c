"""Resident memory while images are explained: it has to stay flat.

python benchmark/performance/explain_memory.py [--radiographs 1000] [--write]

Each method explains that many phantoms, one after the other in passes of the size that a run uses, in a process of
its own, on Linux. Growth is what the resident memory gains after the first tenth, which loads libraries.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pneumobench.architectures import build_architecture
from pneumobench.attributions.faithfulness import SCORED_TOGETHER
from pneumobench.attributions.methods import attribution_method, method_names
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.records.provenance import machine, software_versions
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.spec import DataSpec, Suite

PHANTOMS = 64  # images are drawn once and explained again and again
MIB = 2**20
FLAT_MIB = 50  # growth that is still called flat: pools of the allocator


def main() -> None:
    """Measure every method in a process of its own, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", default="resnet18", help="network with random weights")
    parser.add_argument("--radiographs", type=int, default=1000, help="images to explain with each method")
    parser.add_argument("--side", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--methods", help="names with commas (default: all)")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what the child processes are asked for
    parser.add_argument("--write", action="store_true", help="write the report to explain_memory.md beside this file")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_resident(options.one, options)))
        return
    versions = software_versions()
    lines = [
        f"# Resident memory over {options.radiographs:,} explained images",
        "",
        f"{options.architecture} at {options.side} px, random weights, phantom images; {machine()['processor']}; "
        f"torch {versions['torch']}, commit {versions['commit'][:7]}. Flat: at most {FLAT_MIB} MiB more than after the "
        "first tenth.",
        "",
        "| method | after a tenth, MiB | highest after it, MiB | growth, MiB | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    grown = []
    for method in options.methods.split(",") if options.methods else method_names():
        words = [sys.executable, __file__, "--one", method, "--architecture", options.architecture]
        words += ["--radiographs", str(options.radiographs), "--side", str(options.side)]
        started = time.monotonic()
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        resident = json.loads(done.stdout)
        growth = max(resident) - resident[0]
        if growth > FLAT_MIB:
            grown.append(method)
        cells = [f"{resident[0]:.0f}", f"{max(resident):.0f}", f"{growth:.0f}", f"{time.monotonic() - started:.0f}"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    report = "\n".join(lines) + "\n"
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)
    if grown:
        sys.exit(f"memory grew: {', '.join(grown)}")


def _resident(name: str, options: argparse.Namespace) -> list[float]:
    """Return the resident memory in MiB after each tenth of the images."""
    with tempfile.TemporaryDirectory() as folder:
        index, _ = read_radiographs(
            Suite(data=DataSpec(phantoms=PhantomSpec(patients=PHANTOMS, side_px=options.side))), Path(folder)
        )
        radiographs = torch.from_numpy(np.array(cached_images(index, options.side, Path(folder))[:PHANTOMS]))[:, None]
    architecture = build_architecture(options.architecture, in_channels=1, image_side_px=options.side)
    method, tenth = attribution_method(name), options.radiographs // 10
    resident = []
    for _ in range(10):
        left = tenth
        while left:
            some = radiographs[: min(left, SCORED_TOGETHER, len(radiographs))]
            method.attribute(architecture, some)
            left -= len(some)
        gc.collect()
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB)
    return resident


if __name__ == "__main__":
    main()
