"""Weights that others published for a network that timm can build: which files, and how their tensors are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pneumobench.architectures.hub import quick_hub
from pneumobench.errors import SettingsError
from pneumobench.suite.weights import HUB, WeightsCard, weights_file

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weights of a plugin's network that others published, for one that `build_timm_backbone` builds.

    Args:
        name: name of the plugin's architecture, as files of weights are called.
        card: who trained them on what, under which licence, with which gray levels.
        tensors: function of the tensors of a file -> those of timm's network, of three channels as timm has them;
            raises ValueError, in words, for a file of something else.
        hub_file: safetensors file in a repository of the hub, for `hf-hub:USER/NAME`; empty = none is published there
            in this form.
        options: of `timm.create_model`, where the network is not quite the one that timm knows by name.
    """

    name: str
    card: WeightsCard
    tensors: Callable[[Mapping[str, Tensor]], Tensors]
    hub_file: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def file(self, source: str) -> Path:
        """Return the file of a weight source other than `none`; one of the hub is fetched, or taken from its cache.

        Args:
            source: a folder, `package:MODULE` or `hf-hub:USER/NAME`.

        Raises:
            SettingsError: there is none.
        """
        if not source.startswith(HUB):
            return weights_file(self.name, source)
        if not self.hub_file:
            raise SettingsError(
                f"{self.name}: {source} has no safetensors file of these weights; convert them into "
                f"{self.name}.safetensors in a folder, as the plugin's own text says, and name the folder."
            )
        from huggingface_hub import hf_hub_download

        try:
            with quick_hub():
                return Path(hf_hub_download(source.removeprefix(HUB), self.hub_file))
        except Exception as error:  # no such repository, no network, no permission
            text = " ".join(str(error).split())[:300].rstrip(".")
            raise SettingsError(
                f"{self.name}: {self.hub_file} of {source} is not to be had: {text}. Without internet, copy it into a "
                f"folder as {self.name}.safetensors and set architectures.weights to the folder."
            ) from error

    def read(self, file: Path) -> Tensors:
        """Return the tensors of a file under the names of timm.

        Raises:
            SettingsError: the file cannot be read, or holds other weights.
        """
        try:
            return self.tensors(load_file(file))
        except (SafetensorError, OSError) as error:
            raise SettingsError(f"{file}: not a readable safetensors file ({error}); copy it again.") from error
        except ValueError as error:
            raise SettingsError(f"{file}: not the weights of {self.name}: {error}.") from error


def require_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Check that a file has the tensors that are looked for first, of their shapes; others are looked at when loaded.

    Args:
        found: tensors of a file.
        wanted: shape of each by name; 0 = any length of this axis.

    Raises:
        ValueError: naming the tensor that is missing or of another shape.
    """
    for name, shape in wanted.items():
        if name not in found:
            first = ", ".join(sorted(found)[:3])
            raise ValueError(f"it has no tensor {name} (it begins with {first})")
        got = tuple(found[name].shape)
        if len(got) != len(shape) or any(one not in (0, other) for one, other in zip(shape, got, strict=True)):
            raise ValueError(f"its tensor {name} is of shape {got}, expected {shape}")
