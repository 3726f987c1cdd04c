"""A trained network from its file: what has to be known beside the weights, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.head import attach_head, head_layer
from pneumobench.architectures.neighbours import NeighbourVote
from pneumobench.architectures.registry import build_architecture


@dataclass(frozen=True, kw_only=True)
class NetworkForm:
    """What a network is, without its weights.

    Args:
        name: registered name, or timm name.
        in_channels: 1 or 3.
        image_side_px: side of the square that it sees.
        outputs: 1 = the pneumonia logit; 3 = logits of three classes.
        head: layers before the last, linear one, see `TrainingSpec.head`.
        fit: what was fitted, see `TrainingSpec.fit`; of neighbours, what is stored votes in place of the last layer.
        pixel_mean: mean subtracted from pixels in [0, 1]; None = the architecture's own.
        pixel_std: what they are then divided by; None = the architecture's own.
        own_statistics: each image's own mean and deviation are taken instead.
    """

    name: str
    in_channels: int
    image_side_px: int
    outputs: int = 1
    head: tuple[str, ...] = ()
    fit: str = "network"
    pixel_mean: float | None = None
    pixel_std: float | None = None
    own_statistics: bool = False


def network_of(form: NetworkForm, weights: Mapping[str, Tensor]) -> Architecture:
    """Return a network with its trained weights, in eval mode, on the CPU.

    Args:
        form: what it is.
        weights: tensors by name, as `save_weights` wrote them.

    Raises:
        SettingsError: the name is unknown here, as that of a plugin that was not loaded is.
        RuntimeError: the tensors are of another network.
    """
    architecture = build_architecture(
        form.name, in_channels=form.in_channels, image_side_px=form.image_side_px, outputs=form.outputs
    )
    attach_head(architecture, form.head)
    if form.fit == "frozen_neighbours":
        architecture.module.set_submodule(head_layer(architecture), NeighbourVote(form.outputs))
    architecture.module.load_state_dict(weights)
    architecture.module.eval()
    return dataclasses.replace(
        architecture,
        pixel_mean=architecture.pixel_mean if form.pixel_mean is None else form.pixel_mean,
        pixel_std=architecture.pixel_std if form.pixel_std is None else form.pixel_std,
        own_statistics=form.own_statistics,
    )


def last_layer(architecture: Architecture) -> nn.Module | None:
    """Return the layer whose input are the features of an image (B, F); None where the network has no such one."""
    votes = [part for part in architecture.module.modules() if isinstance(part, NeighbourVote)]
    linear = [part for part in architecture.module.modules() if isinstance(part, nn.Linear)]
    return (votes or linear or [None])[-1]
