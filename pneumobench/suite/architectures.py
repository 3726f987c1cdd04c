"""Which networks take part, and where their initial weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pneumobench.errors import SettingsError
from pneumobench.suite.checked import Checked, UnfitError
from pneumobench.suite.rules import NAMES, TEXT
from pneumobench.suite.weights import SELF_SUPERVISED, sources_by_name


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Checked, group="architectures"):
    """Which networks take part.

    Args:
        names: timm names, or names that a plugin registers.
        plugins: Python files that register architectures, attribution methods, data layouts or controls, relative to
            the current folder.
        weights: where initial weights come from: `none` (random initialisation), `imagenet` (timm, from the hub or its
            cache), `hf-hub:USER/NAME` (timm, a repository of the hub), `self_supervised` (see `pretraining`), or one
            NAME.safetensors for each architecture in a folder or, with `package:MODULE`, in an installed package.
        weights_of: the same for single architectures, as NAME=SOURCE; `weights` is for the others.
    """

    names: Annotated[tuple[str, ...], NAMES] = ("resnet18",)
    plugins: tuple[str, ...] = ()
    weights: Annotated[str, TEXT] = "none"
    weights_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        key = "architectures.weights_of"
        try:
            named = sources_by_name(self.weights_of)
        except SettingsError as error:
            raise UnfitError(key, str(error).removeprefix(f"{key} ")) from None
        for name in named:
            if name not in self.names:
                raise UnfitError(key, f"names {name!r}; expected some of architectures.names.")

    def weights_source(self, name: str) -> str:
        """Return where the initial weights of an architecture come from, as `weights` has it."""
        return sources_by_name(self.weights_of).get(name, self.weights)

    @property
    def is_pretrained_here(self) -> bool:
        """Whether some network is pretrained on the training part of each fold."""
        return SELF_SUPERVISED in map(self.weights_source, self.names)
