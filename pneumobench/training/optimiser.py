"""The optimiser of a training: which parameters it has, what of them decays, and how the learning rate goes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_names
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.fine_tuning import FineTuning


def parameter_groups(architecture: Architecture, spec: TrainingSpec, fine_tuning: FineTuning) -> list[dict[str, Any]]:
    """Return the parameters by weight decay and learning rate.

    Norms and biases are not decayed (one-dimensional tensors), as is usual for AdamW, and neither are the position
    embeddings, class tokens and the like that a module names itself, see `undecayed`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(spec.weight_decay, 1.0): [], (0.0, 1.0): []}
    spared = undecayed(architecture.module)
    heads = () if spec.head_weight_decay is None else tuple(f"{name}." for name in head_names(architecture))
    for name, parameter in architecture.module.named_parameters():
        decay = spec.weight_decay
        if spec.head_weight_decay is not None and name.startswith(heads):
            decay = spec.head_weight_decay
        key = (decay if parameter.ndim > 1 and name not in spared else 0.0, fine_tuning.rate_scale(name))
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr": spec.learning_rate * scale}
        for (decay, scale), parameters in groups.items()
        if parameters
    ]


def undecayed(module: nn.Module) -> set[str]:
    """Return the names of the parameters that a network wants no weight decay of.

    These are what `no_weight_decay()` of timm's networks returns, wherever in the module one stands.
    """
    named = ((name, getattr(part, "no_weight_decay", None)) for name, part in module.named_modules())
    return {
        f"{name}.{parameter}" if name else str(parameter)
        for name, names_of in named
        if callable(names_of)
        for parameter in names_of()
    }


def optimizer_of(spec: TrainingSpec, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimiser of a suite for parameter groups."""
    # all parameters in one kernel; with scaled gradients Lightning could not clip them
    fused = spec.precision != "16-mixed" and all(one.is_floating_point() for group in groups for one in group["params"])
    if spec.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=spec.learning_rate, momentum=0.9, nesterov=True, fused=fused)
    kind = torch.optim.AdamW if spec.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=spec.learning_rate, fused=fused)


class LearningRate(torch.optim.lr_scheduler.LRScheduler):
    """Linear warm-up, then cosine, plateau or constant, as one schedule with a state that can be resumed.

    Lightning's own handling of ReduceLROnPlateau loses a step when a run is resumed, and a plateau cannot be
    chained after a warm-up.

    Args:
        optimizer: its groups' rates are set.
        spec: schedule, plateau patience and factor.
        total_steps: steps of the whole training.
        warmup_steps: steps from 0 to the full rate.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, spec: TrainingSpec, *, total_steps: int, warmup_steps: int
    ) -> None:
        self.kind, self.patience, self.reduce_by = spec.schedule, spec.plateau_patience, spec.plateau_factor
        self.total_steps, self.warmup_steps = total_steps, warmup_steps
        self.factor, self.best, self.bad_epochs = 1.0, math.inf, 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group."""
        step = self.last_epoch  # torch's name for the number of calls to step()
        if step < self.warmup_steps:
            share = (step + 1) / self.warmup_steps
        elif self.kind == "cosine":
            progress = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        else:
            share = self.factor
        return [share * rate for rate in self.base_lrs]

    def plateau_step(self, value: float) -> None:
        """Lower the rate after more than `patience` epochs without a lower value."""
        if value < self.best:
            self.best, self.bad_epochs = value, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.factor, self.bad_epochs = self.factor * self.reduce_by, 0
