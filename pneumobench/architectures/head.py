"""Heads: layers between the pooled features of a network and its logit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from torch import nn

from pneumobench.architectures.architecture import Architecture
from pneumobench.errors import NotAvailableError, SettingsError

HEAD_RULE: Final = "a list of `dropout P`, `dense N`, `batch_norm` and `relu`, e.g. [dropout 0.5, dense 128, relu]"


def check_head(layers: Sequence[str]) -> None:
    """Check the layers of a head.

    Raises:
        SettingsError: naming the layer that is not understood.
    """
    _head_layers(layers, features=8)


def _head_layers(layers: Sequence[str], *, features: int) -> tuple[list[nn.Module], int]:
    """Return the modules of a head for so many features, and the number of features they end with."""
    modules: list[nn.Module] = []
    for layer in layers:
        kind, _, text = layer.strip().partition(" ")
        try:
            if kind == "dropout" and 0 <= float(text) < 1:
                modules.append(nn.Dropout(float(text)))
            elif kind == "dense" and int(text) > 0:
                modules.append(nn.Linear(features, int(text)))
                features = int(text)
            elif kind == "batch_norm" and not text:
                modules.append(nn.BatchNorm1d(features))
            elif kind == "relu" and not text:
                modules.append(nn.ReLU())
            else:
                raise ValueError(layer)
        except ValueError as error:
            raise SettingsError(f"training.head has {layer!r}; expected {HEAD_RULE}.") from error
    return modules, features


class Head(nn.Sequential):
    """Layers of a head and its last, linear one: features (B, F) to logits (B, outputs)."""

    def __init__(self, linear: nn.Linear, layers: Sequence[str]) -> None:
        modules, features = _head_layers(layers, features=linear.in_features)
        super().__init__(*modules, nn.Linear(features, linear.out_features, bias=linear.bias is not None))


def output_layers(architecture: Architecture) -> list[str]:
    """Return the names of the linear layers that give the outputs: one, or two for a distilled transformer.

    Raises:
        NotAvailableError: the module has none.
    """
    linear = [name for name, part in architecture.module.named_modules() if isinstance(part, nn.Linear)]
    names = [name for name in architecture.output_layers or linear[-1:] if name in linear]
    widths = {architecture.module.get_submodule(name).out_features for name in names}
    if widths != {architecture.outputs}:
        wanted = "one output" if architecture.outputs == 1 else f"{architecture.outputs} outputs"
        raise NotAvailableError(
            f"the network has no linear layer with {wanted} at its end, so its head can be neither replaced nor "
            "trained alone: leave training.head empty and training.fine_tuning.trained at all; a plugin also needs "
            "task binary, or nn.Linear(n, 1) at its end."
        )
    return names


def head_layer(architecture: Architecture) -> str:
    """Return the name of the one linear layer that gives the outputs.

    Raises:
        NotAvailableError: the network has none, or two, as distilled transformers have.
    """
    names = output_layers(architecture)
    if len(names) != 1:
        raise NotAvailableError(
            f"the network has {len(names)} output layers ({', '.join(names)}), and frozen features are what a single "
            "one reads: set training.fit to network."
        )
    return names[0]


def head_names(architecture: Architecture) -> list[str]:
    """Return the names of the heads of a network: those that were attached, else its linear output layers.

    Raises:
        NotAvailableError: the module has none.
    """
    attached = [name for name, part in architecture.module.named_modules() if isinstance(part, Head)]
    return attached or output_layers(architecture)


def with_outputs(architecture: Architecture, outputs: int) -> Architecture:
    """Return a network of one output with so many instead: its last linear layer is replaced and drawn anew.

    Raises:
        NotAvailableError: the module has no linear output layer.
    """
    if outputs == architecture.outputs:
        return architecture
    for name in output_layers(architecture):
        linear = architecture.module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        replaced = nn.Linear(linear.in_features, outputs, bias=linear.bias is not None)
        architecture.module.set_submodule(name, replaced)
    return dataclasses.replace(architecture, outputs=outputs)


def attach_head(architecture: Architecture, layers: Sequence[str]) -> None:
    """Put layers before the last linear one of a network, in place; all of the head is drawn anew.

    Args:
        architecture: its module is changed.
        layers: see HEAD_RULE; nothing is done without any.

    Raises:
        SettingsError: a layer is not understood.
        NotAvailableError: the module has no linear output layer.
    """
    if not layers:
        return
    for name in output_layers(architecture):
        linear = architecture.module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        architecture.module.set_submodule(name, Head(linear, layers))
