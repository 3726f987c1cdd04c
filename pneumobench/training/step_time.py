"""Seconds of a training step and of scoring a batch, measured apart from any training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.architectures import Architecture
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.devices import memory_format
from pneumobench.training.optimiser import optimizer_of
from pneumobench.training.predictions import score_images

WARM_UP: Final = 2  # steps or batches that are not counted; of steps, after the first


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What a step took.

    Args:
        first: seconds of the first step, in which a network is compiled.
        median: median seconds of the later ones.
    """

    first: float
    median: float

    def training(self, steps: int) -> float:
        """Return the seconds of a training of so many steps."""
        return max(0.0, self.first - self.median) + steps * self.median


def step_time(
    architecture: Architecture, spec: TrainingSpec, radiographs: Tensor, *, steps: int, limit_s: float
) -> StepTime:
    """Train an architecture on one batch, as the suite does, and return what a step takes. Its weights change.

    Args:
        architecture: the network.
        spec: settings; none of them `auto`.
        radiographs: (B, 1, H, W) uint8.
        steps: how many are counted, at most.
        limit_s: no further step is begun after so many seconds.
    """
    fabric = Fabric(accelerator=spec.accelerator, devices=1, precision=spec.precision)  # type: ignore[arg-type]
    device = fabric.device
    network = architecture.module.to(device).to(memory_format=memory_format(spec)).train()
    forward = torch.compile(network.forward, dynamic=False) if spec.compile == "inductor" else network
    trained = [one for one in network.parameters() if one.requires_grad]
    optimizer = optimizer_of(spec, [{"params": trained}])
    normal = architecture.normalise(radiographs.to(device))
    target = (torch.arange(len(radiographs), device=device) % max(2, architecture.outputs)).long()

    def step() -> float:
        started = time.perf_counter()
        with fabric.autocast():
            outputs = forward(normal).reshape(len(normal), architecture.outputs)
            if architecture.outputs == 1:
                loss = functional.binary_cross_entropy_with_logits(outputs[:, 0].float(), target.float())
            else:
                loss = functional.cross_entropy(outputs.float(), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if spec.gradient_clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, spec.gradient_clip_norm)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    begun, seconds = time.perf_counter(), [step(), step()]
    while len(seconds) < 1 + WARM_UP + steps and time.perf_counter() - begun < limit_s:
        seconds.append(step())
    return StepTime(first=seconds[0], median=float(np.median(seconds[1 + WARM_UP :] or seconds[-1:])))


def scoring_seconds(
    architecture: Architecture, spec: TrainingSpec, radiographs: Tensor, *, batches: int, limit_s: float
) -> float:
    """Score one batch again and again as `score_images` does, and return the median seconds from images to logits.

    Args:
        architecture: the network.
        spec: settings.
        radiographs: (B, 1, H, W) uint8 in main memory.
        batches: how many are counted, at most, after WARM_UP.
        limit_s: no further batch is begun after so many seconds; at least one is counted.
    """
    marks: list[float] = []  # each batch is asked for when the logits of the one before are back in main memory

    def again() -> Iterator[Tensor]:
        while True:
            marks.append(time.perf_counter())
            counted = len(marks) - 1 - WARM_UP
            if counted >= batches or (counted > 0 and marks[-1] - marks[0] > limit_s):
                return
            yield radiographs

    score_images(architecture, again(), spec)
    return float(np.median(np.diff(marks)[WARM_UP:]))
