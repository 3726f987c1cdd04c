"""A network made ready to be looked into, and left as it was found."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.architecture import class_scores
from pneumobench.errors import SettingsError


class ClassScores(nn.Module):
    """Gray images (B, 1, H, W), gray levels 0 to 255, uint8 or float -> scores, as `class_scores` orders them.

    Attributions are made with respect to these gray levels: where a network takes three channels, they are copies of
    one image, and the gradient of a gray level is the sum of the gradients of its copies.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.network = architecture.module
        self._normalise, self._outputs = architecture.normalise, architecture.outputs

    def forward(self, gray: Tensor) -> Tensor:
        """Return the scores."""
        output: Tensor = self.network(self._normalise(gray))
        output = output.reshape(len(gray), -1)  # (B,) or (B, outputs) -> (B, outputs)
        return class_scores(output) if self._outputs > 1 else output


def check_target(scores: Tensor, target: int) -> None:
    """Refuse a class that the scores (B, classes) do not have.

    Raises:
        SettingsError: the network has no such output.
    """
    if not 0 <= target < scores.shape[1]:
        raise SettingsError(f"target {target} does not exist: the network's outputs are 0 to {scores.shape[1] - 1}.")


@contextmanager
def inspected(architecture: Architecture) -> Iterator[Architecture]:
    """Yield the architecture for attribution, and undo all of this afterwards.

    Inside: eval mode, float32 weights whatever the training precision, autocast and inference mode off, compiled code
    run eagerly (hooks do not reach into it), no in-place activations (they overwrite what a gradient needs), and
    frozen parameters, so that no parameter collects a gradient. May be nested.
    """
    compiled: Any = architecture.module
    module: nn.Module = getattr(compiled, "_orig_mod", compiled)
    modes = [(part, part.training) for part in module.modules()]
    in_place: list[Any] = [part for part in module.modules() if getattr(part, "inplace", False) is True]
    needed_gradient = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    tensors = [*module.parameters(), *module.buffers()]
    narrow = [(t, t.data) for t in tensors if t.is_floating_point() and t.dtype != torch.float32]
    device_type = tensors[0].device.type if tensors else "cpu"
    try:
        module.eval().requires_grad_(False)
        for part in in_place:
            part.inplace = False
        for tensor, data in narrow:
            tensor.data = data.float()
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device_type, enabled=False),
            torch.compiler.set_stance("force_eager"),
        ):
            yield dataclasses.replace(architecture, module=module)
    finally:
        for tensor, data in narrow:
            tensor.data = data
        for part in in_place:
            part.inplace = True
        for parameter, needed in needed_gradient:
            parameter.requires_grad_(needed)
        for part, training in modes:
            part.training = training


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed every generator that Captum draws from, and give the random state back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # GradientShap draws from both
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
