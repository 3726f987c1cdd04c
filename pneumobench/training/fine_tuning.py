"""Which weights of a network are trained at an epoch: all, the head, the last blocks or layers, or ever more of them.

Frozen parts keep their weights and, in eval mode, their batch statistics. Everything follows from the epoch alone, so
that a resumed training goes on with the right weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.models import group_parameters
from torch import nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_names
from pneumobench.suite.training import FineTuningSpec

HEAD_RANK = 0  # ranks count from the top: the head, then the last block, and so on down to the stem


class FineTuning:
    """Freezes and unfreezes the parameters of an architecture.

    Args:
        architecture: network with its head.
        spec: what is trained.

    Raises:
        NotAvailableError: the head shall be trained alone, and the network has no linear output layer.
    """

    def __init__(self, architecture: Architecture, spec: FineTuningSpec) -> None:
        self.module, self.spec = architecture.module, spec
        self.rank = {} if spec.trained == "all" and spec.layer_decay == 1 else parameter_ranks(architecture)
        self.layers = _layers_from_the_top(architecture) if spec.trained == "last_layers" else []

    def blocks(self) -> int:
        """Return the number of blocks below the head."""
        return max(self.rank.values(), default=0)

    def is_trained(self, name: str, epoch: int) -> bool:
        """Tell whether a parameter is trained in an epoch."""
        spec = self.spec
        if spec.trained == "all":
            return True
        further = epoch // spec.unfreeze_every_epochs if spec.unfreeze_every_epochs else 0
        if self.rank[name] == HEAD_RANK:
            return True
        if spec.trained == "last_layers":
            last = self.layers[: spec.count]
            return name.rpartition(".")[0] in last or self.rank[name] <= further
        return self.rank[name] <= further + (spec.count if spec.trained == "last_blocks" else 0)

    def rate_scale(self, name: str) -> float:
        """Return the learning rate of a parameter relative to that of the head."""
        return float(self.spec.layer_decay ** self.rank[name]) if self.spec.layer_decay != 1 else 1.0

    def apply(self, epoch: int) -> None:
        """Set what is trained in an epoch, of a module in training mode; what is frozen goes to eval mode meanwhile."""
        if self.spec.trained == "all":
            return
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(self.is_trained(name, epoch))
        trained = True
        for part in self.module.modules():
            if own := list(part.parameters(recurse=False)):
                trained = any(parameter.requires_grad for parameter in own)
                part.training = trained
            elif list(part.buffers(recurse=False)):  # a norm without weights belongs to the layer before it
                part.training = trained


def parameter_ranks(architecture: Architecture) -> dict[str, int]:
    """Return how far below the head each parameter is: 0 = head, 1 = the last block, ..., by name.

    Blocks are the coarse groups of timm's `group_matcher`, or the children of a module that has none.
    """
    module = architecture.module
    heads = tuple(f"{name}." for name in head_names(architecture))
    blocks: list[list[str]] = []
    for names in _blocks(module):
        body = [name for name in names if not name.startswith(heads)]
        if body and (len(body) == len(names) or not blocks):
            blocks.append(body)
        elif blocks:  # what stands between the last block and the head, such as a norm, belongs to that block
            blocks[-1] += body
    ranks = {name: rank for rank, names in enumerate(reversed(blocks), start=1) for name in names}
    return {name: ranks.get(name, HEAD_RANK) for name, _ in module.named_parameters()}


def _blocks(module: nn.Module) -> Iterator[list[str]]:
    matcher: Any = getattr(module, "group_matcher", None)
    if matcher is not None:
        groups = group_parameters(module, matcher(coarse=True))
        yield from (list(names) for _, names in sorted(groups.items()))
        return
    if own := [name for name, _ in module.named_parameters(recurse=False)]:
        yield own
    for name, child in module.named_children():
        if names := [f"{name}.{inner}" for inner, _ in child.named_parameters()]:
            yield names


def _layers_from_the_top(architecture: Architecture) -> list[str]:
    """Return the modules below the head with weights of their own, the last one first."""
    heads = tuple(head_names(architecture))
    parts = architecture.module.named_modules()
    return [name for name, part in parts if list(part.parameters(recurse=False)) and not name.startswith(heads)][::-1]
