"""NAME -> MODEL: registered architectures (plugins) first, then every name that timm knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.head import with_outputs
from pneumobench.architectures.hub import require_pretrained, without_address
from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite.names import CONTROL_PREFIX, ENSEMBLE_PREFIX
from pneumobench.suite.process_state import unchanged_process
from pneumobench.suite.registry import Registry, origin_of, require_source
from pneumobench.suite.weights import HUB, IMAGENET, NONE, comes_as_file, weights_card, weights_file

Builder = TypeVar("Builder", bound=Callable[..., Architecture])


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A registered architecture.

    Args:
        name: name in suites.
        build: function (in_channels, image_side_px, weights) -> Architecture; it declares those of them it needs.
        source: publication or repository that it stands for.
        origin: file and line of the function.
    """

    name: str
    build: Callable[..., Architecture]
    source: str
    origin: str


ARCHITECTURES: Final[Registry[Registration]] = Registry(
    "architecture",
    group="pneumobench.architectures",
    # rows of the leaderboard, folders of a run, and the first page of its gallery
    kept=(CONTROL_PREFIX, ENSEMBLE_PREFIX, "external", "gallery", "index"),
)


def register_architecture(name: str, *, source: str) -> Callable[[Builder], Builder]:
    """Register a function that builds an `Architecture` under a name.

    The function takes the keyword `in_channels` and, if it needs them, `image_side_px` and `weights`: where initial
    weights come from, as a suite writes it. A function that takes `weights` loads them itself.

    Args:
        name: 1 to 64 of a-z 0-9 _ . -
        source: DOI, arXiv number or address of what is implemented.

    Raises:
        SettingsError: the name is taken or not allowed.

    Example:
        >>> from torch import nn
        >>> @register_architecture("doc_linear", source="a worked example")
        ... def doc_linear(*, in_channels: int, image_side_px: int) -> Architecture:
        ...     pixels = in_channels * image_side_px**2
        ...     return Architecture(module=nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1)))
    """

    def decorate(build: Builder) -> Builder:
        origin = origin_of(build)
        require_source(ARCHITECTURES.kind, name, source, origin)
        ARCHITECTURES.add(Registration(name=name, build=build, source=source, origin=origin))
        return build

    return decorate


def check_names(sources: Mapping[str, str]) -> None:
    """Check that every name is known and has initial weights where they are said to be, as far as no hub is asked.

    Args:
        sources: where the weights come from, by name; see `ArchitectureSpec.weights`.

    Raises:
        SettingsError: naming all unknown names with their nearest known ones, or the first without pretrained weights.
    """
    import timm

    unknown = [words for name in sources if ARCHITECTURES.find(name) is None and (words := _unknown_words(name))]
    if unknown:
        raise SettingsError("\n".join(unknown))
    for name, source in sources.items():
        if source == IMAGENET and ARCHITECTURES.find(name) is None:
            require_pretrained(name, timm.get_pretrained_cfg(name), timm.list_models(pretrained=True))
        elif comes_as_file(source):
            weights_card(weights_file(name, source))


def _unknown_words(name: str) -> str:
    """Return what is wrong with a name that is not registered; empty where timm knows it."""
    import timm

    if (meant := without_address(name)) is not None:
        return (
            f"architecture {name!r} is an address, and a name is expected: a folder of the run is called so. "
            + ("The same network is " if not _unknown_words(meant) else "timm does not know ")
            + f"{meant!r}; its weights come with architectures.weights: imagenet, those of another repository with "
            "hf-hub:USER/NAME. For weights of your own put NAME.safetensors into a folder and set "
            "architectures.weights to it."
        )
    tags = timm.list_models(f"{name.split('.')[0]}.*", include_tags=True) if timm.is_model(name) else []
    if name in tags or (timm.is_model(name) and "." not in name):
        return ""
    near = suggestion(name.lower(), [*ARCHITECTURES.names(), *timm.list_models(), *tags], count=3)
    return f"unknown architecture {name!r}; {near or '`pneumobench architectures` lists the known ones.'}"


def build_architecture(
    name: str, *, in_channels: int, image_side_px: int, weights: str = "none", seed: int = 0, outputs: int = 1
) -> Architecture:
    """Build an architecture with random weights drawn from the seed, or pretrained ones.

    Args:
        name: registered name, or timm name.
        in_channels: 1 or 3.
        image_side_px: side of the square input.
        weights: where they come from; see `ArchitectureSpec.weights`.
        seed: seed of the initial weights.
        outputs: logits for each image; the last linear layer of a plugin is replaced where it is not 1.

    Raises:
        SettingsError: the name is unknown, weights are not to be had, or a plugin breaks its contract.
        NotAvailableError: a plugin without a last linear layer is asked for more than one output.

    Example:
        >>> build_architecture("test_resnet", in_channels=1, image_side_px=32).outputs
        1
    """
    from pneumobench.architectures.timm_backbone import build_timm_backbone, load_local_weights

    check_names({name: weights})
    torch.manual_seed(seed)
    registration = ARCHITECTURES.find(name)
    if registration is None:
        return build_timm_backbone(
            name, in_channels=in_channels, image_side_px=image_side_px, weights=weights, outputs=outputs
        )
    wanted = {"in_channels": in_channels, "image_side_px": image_side_px, "weights": weights}
    accepted = inspect.signature(registration.build).parameters
    with unchanged_process(f"architecture {name!r}"):
        architecture = registration.build(**{key: value for key, value in wanted.items() if key in accepted})
        drawn = torch.get_rng_state()
    torch.set_rng_state(drawn)  # what is drawn next, such as a new head, goes on after the weights
    if not isinstance(architecture, Architecture):
        raise SettingsError(
            f"{registration.origin}: {name!r} returned {type(architecture).__name__}; expected an Architecture."
        )
    if "weights" in accepted:
        return with_outputs(architecture, outputs)
    if weights == IMAGENET or weights.startswith(HUB):
        raise SettingsError(
            f"architecture {name!r} ({registration.origin}) has no weights from {weights}: use none, or a folder."
        )
    if weights != NONE:
        architecture = load_local_weights(architecture, name, weights_file(name, weights))
    return with_outputs(architecture, outputs)
