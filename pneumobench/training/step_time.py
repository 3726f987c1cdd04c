"""Seconds of a training step, measured before anything is trained."""

from __future__ import annotations

import time
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

WARM_UP: Final = 2  # steps that are not counted, after the first


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
