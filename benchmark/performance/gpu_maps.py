"""Images a second of heat maps and of masked regions, against the passes through the network that they need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmark.performance.gpu_setting import Clock, Figures, Setting
from benchmark.performance.grad_cam import sides_of
from benchmark.performance.measuring import best_device, take_turns
from pneumobench.attributions.methods import attribution_method
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.runs.context import Bench
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import reason_of
from pneumobench.training.predictions import score_images

DEAR = ("integrated_gradients", "lime")  # on a quarter of the images


def heat_maps(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Measure every network."""
    bench = setting.bench()
    longest = 0.0
    for name in setting.architectures:
        if clock.left() < longest:
            figures.add("not measured", architecture=name, reason="no time left")
            continue
        started = time.monotonic()
        _measure(setting, bench, name, figures)
        longest = max(longest, time.monotonic() - started)


def _measure(setting: Setting, bench: Bench, name: str, figures: Figures) -> None:
    device = best_device()
    usable = bench.masks.usable_rows()
    rows = (np.arange(len(bench.index.table)) if usable is None else usable)[: setting.explained]
    films, lungs = torch.from_numpy(np.array(bench.radiographs[rows])).to(device), bench.masks.of_rows(rows)
    inside, radiographs = torch.from_numpy(lungs).to(device), films[:, None]
    architecture = build_network(bench.suite, name)
    architecture.module.eval().to(device)

    def scored(images: torch.Tensor) -> None:
        score_images(architecture, [images[:, None]], bench.suite.training)

    def regions() -> None:
        for blank in MASKED_REGIONS.values():
            scored(blank(films, inside))

    def as_they_are() -> None:
        for _ in MASKED_REGIONS:
            scored(films)

    def add(what: str, images: int, sides: Callable[[], dict[str, Callable[[], Any]]], to: str, says: str) -> None:
        try:
            turns = take_turns(sides(), setting.repeats)
        except Exception as error:  # noqa: BLE001 - a method that a network does not have
            figures.add("not measured", architecture=name, what=what, reason=reason_of(error, images))
            return
        figures.add(
            "images a second", architecture=name, what=what, images=images,
            images_a_second=images / turns.median(what), against=says,
            against_images_a_second=images / turns.median(to), ratio=turns.ratio(what, to),
        )  # fmt: skip

    def against_pass(method: str, count: int) -> dict[str, Callable[[], Any]]:
        some = radiographs[:count]
        asked = attribution_method(method)
        passed = sides_of(architecture, some, lungs[:count])["passed"]
        return {method: lambda: asked.attribute(architecture, some), "passed": passed}

    both = "forward and backward"
    add("explained", len(rows), lambda: sides_of(architecture, radiographs, lungs), "passed", f"{both} (Grad-CAM, LAR)")
    for method in DEAR:
        count = max(1, len(rows) // 4)
        add(method, count, lambda method=method, count=count: against_pass(method, count), "passed", both)  # type: ignore[misc]
    add("regions", len(rows), lambda: {"regions": regions, "scored": as_they_are}, "scored", "four forward passes")
