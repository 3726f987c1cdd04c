"""The moving average of a network's weights that is scored and kept instead of the weights themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

# from averaged weights, those of now and how many were averaged before to the new average; see torch's AveragedModel
Average = Callable[[Tensor, Tensor, Tensor | int], Tensor]


def warming_average(decay: float) -> Average:
    """Return the exponential moving average whose decay after n steps is min(decay, (1 + n) / (10 + n)).

    Source: ExponentialMovingAverage of TensorFlow. With a fixed decay of 0.999 most of the average of a short training
    would be its first step: 70 % after 354 steps.

    Args:
        decay: in (0, 1), reached after about 10 / (1 - decay) steps.
    """

    def average(averaged: Tensor, now: Tensor, steps: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():  # how many batches were seen: a count has no mean
            return now
        count = torch.as_tensor(steps, dtype=averaged.dtype)  # stays on its device: no step waits for it
        return torch.lerp(averaged, now, 1 - ((1 + count) / (10 + count)).clamp(max=decay))

    return average


class MovingAverage(WeightAveraging):
    """Averages weights and batch statistics after every step, as `warming_average` says.

    Args:
        decay: in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=warming_average(decay))
