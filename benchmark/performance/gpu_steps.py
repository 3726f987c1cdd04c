"""Seconds of a training step: the suite's, and a bare PyTorch loop's in every form that may be faster."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.performance.gpu_setting import Clock, Figures, Setting
from benchmark.performance.measuring import Turns, best_device, take_turns, wait_for_device
from benchmark.performance.training import EpochClock, bare_step
from pneumobench.architectures import Architecture
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.radiographs.augmentation import augmentation
from pneumobench.runs.context import Bench
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import reason_of
from pneumobench.training.fit import fit

MS = 1000.0
WARM_UP = 3  # steps before a graph is captured
Side = Callable[[], float]  # seconds a step


def training_steps(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Measure every network with every batch; first what is quick to set up, then compiled code."""
    bench = setting.bench()
    for compiled in (False, True):
        longest = 0.0
        for batch, name in itertools.product(setting.batches, setting.architectures):
            if clock.left() < longest:
                figures.add("not measured", architecture=name, batch=batch, compiled=compiled, reason="no time left")
                continue
            started = time.monotonic()
            try:
                _measure(setting, bench, name, batch, figures, compiled=compiled)
            except Exception as error:  # noqa: BLE001 - one network must not cost the others their figures
                figures.add("not measured", architecture=name, batch=batch, reason=reason_of(error, batch))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            longest = max(longest, time.monotonic() - started)


def _measure(setting: Setting, bench: Bench, name: str, batch: int, figures: Figures, *, compiled: bool) -> None:
    device, images = best_device(), setting.part(bench, setting.steps * batch)
    forms = ["compiled"] if compiled else ["plain", "channels_last", "cuda_graph"]
    sides: dict[str, Side] = {}
    for form in forms:
        try:
            sides[form] = _bare_side(setting, bench, name, images, batch, form)
        except Exception as error:  # noqa: BLE001 - a form that a network does not have
            figures.add("not measured", architecture=name, batch=batch, form=form, reason=reason_of(error, batch))
    with tempfile.TemporaryDirectory(dir=setting.work) as folder:
        epochs: list[EpochClock] = []
        sides["suite"] = _suite_side(setting, bench, name, images, batch, Path(folder), epochs, "suite")
        if not compiled:
            for what in ("not_augmented", "deterministic")[: 2 if batch == setting.batches[0] else 1]:
                sides[what] = _suite_side(setting, bench, name, images, batch, Path(folder), [], what)
        turns = take_turns(sides, setting.repeats)
    _add(figures, turns, name=name, batch=batch, device=device)
    if not compiled:
        parts = {"training": ("train", "validation"), "validation": ("validation", "checkpoint")}
        parts["checkpoint"] = ("checkpoint", "end")
        medians = {f"{part}_ms": _median_ms(epochs[1:], *moments) for part, moments in parts.items()}
        counts = {part: len(images.positions[part]) for part in ("train", "tune")}
        input_ms = MS * setting.steps * (turns.median("suite") - turns.median("not_augmented"))
        figures.add("an epoch", architecture=name, batch=batch, **counts, **medians, augmentation_ms=input_ms)


def _median_ms(epochs: list[EpochClock], what: str, until: str) -> float:
    return MS * float(np.median([epoch.seconds(what, until) for epoch in epochs]))


def _add(figures: Figures, turns: Turns, *, name: str, batch: int, device: torch.device) -> None:
    medians = {f"{side}_ms": MS * turns.median(side) for side in turns.seconds}
    ratios = {f"{side}_/_suite": turns.ratio(side, "suite") for side in turns.seconds if side != "suite"}
    table = "a step, compiled" if "compiled" in turns.seconds else "a step"
    figures.add(table, architecture=name, batch=batch, device=device.type, **medians, **ratios)


def _suite_side(
    setting: Setting,
    bench: Bench,
    name: str,
    images: FoldImages,
    batch: int,
    folder: Path,
    epochs: list[EpochClock],
    what: str,
) -> Side:
    """Return the suite's own training: as it is, without augmentation, or with algorithms of one outcome."""
    settings = bench.suite.training
    spec = dataclasses.replace(settings, batch_size=batch, epochs=2, deterministic=what == "deterministic")
    numbers = itertools.count()

    def suite() -> float:
        changes = augmentation(bench.suite.augmentation, 0, count=len(images.label))
        data = FoldDataModule(
            images, augmentation=_unchanged if what == "not_augmented" else changes, batch_size=batch, seed=0
        )
        watch = EpochClock()
        place = folder / f"{what}-{next(numbers)}"
        fit(build_network(bench.suite, name), data, spec, folder=place, seed=0, callbacks=(watch,))
        epochs.append(watch)
        return watch.seconds("train", "validation") / setting.steps

    return suite


def _bare_side(setting: Setting, bench: Bench, name: str, images: FoldImages, batch: int, form: str) -> Side:
    device = best_device()
    if form == "cuda_graph" and device.type != "cuda":
        raise RuntimeError("CUDA graphs need CUDA")
    architecture = build_network(bench.suite, name)
    architecture.module.train().to(device)
    if form != "plain":
        architecture.module.to(memory_format=torch.channels_last)
    rows = images.positions["train"]
    pixels = torch.from_numpy(np.array(images.radiographs[rows]))[:, None].to(device)
    target = torch.from_numpy(images.label[rows]).float().to(device)
    batches = list(zip(torch.split(pixels, batch), torch.split(target, batch), strict=True))
    step = _step(setting, bench, architecture, form, batches[0])

    def bare() -> float:
        torch.use_deterministic_algorithms(False)  # Lightning leaves what a training had asked for
        wait_for_device()
        started = time.perf_counter()
        for some, labels in batches:
            step(some, labels)
        wait_for_device()
        return (time.perf_counter() - started) / len(batches)

    return bare


def _step(
    setting: Setting, bench: Bench, architecture: Architecture, form: str, first: tuple[Tensor, Tensor]
) -> Callable[[Tensor, Tensor], None]:
    device, rate = best_device(), bench.suite.training.learning_rate
    if form == "compiled":
        # what a toy shows is that the code runs: translating it takes longer than all else
        network = torch.compile(architecture.module, backend="eager" if setting.toy else "inductor", dynamic=False)
        return bare_step(architecture, device, rate, network=network)
    if form != "cuda_graph":
        return bare_step(architecture, device, rate)
    step = bare_step(architecture, device, rate, captured=True)
    held = (first[0].clone(), first[1].clone())
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step(*held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(*held)

    def replayed(pixels: Tensor, target: Tensor) -> None:
        held[0].copy_(pixels)
        held[1].copy_(target)
        graph.replay()

    return replayed


def _unchanged(images: Tensor, *, epoch: int, rows: Tensor) -> Tensor:
    del epoch, rows
    return images
