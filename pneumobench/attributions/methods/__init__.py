"""NAME -> METHOD: attribution methods behind one interface; every module in this folder registers some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.inspection import inspected
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.suite.registry import Registry, origin_of, require_source

MapValues = Literal["signed", "positive", "unsigned"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributedMaps:
    """Maps of B images by a method that tells how exact each of them is.

    Attributes:
        maps: (B, H, W).
        error: (B,) what a map is off, in the method's own terms; see the method.
        complete: (B,) bool, whether that is little enough. Other maps are refused: nobody gets to see them.
        steps: (B,) steps that a map took.
    """

    maps: Tensor
    error: Tensor
    complete: Tensor
    steps: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedMaps:
    """Maps that passed the checks of shape and values.

    Attributes:
        maps: (B, H, W) float32; NaN throughout where the method refused an image.
        error: (B,) as in AttributedMaps; None of methods that do not tell.
        steps: (B,); None of methods that do not tell.
    """

    maps: Tensor
    error: Tensor | None = None
    steps: Tensor | None = None


class Attribute(Protocol):
    """Maps (B, H, W) float32 of images (B, 1, H, W) uint8 for one column of the module's output."""

    def __call__(self, architecture: Architecture, radiographs: Tensor, target: int = 0) -> CheckedMaps:
        """Return the maps."""


@dataclass(frozen=True, kw_only=True)
class AttributionMethod:
    """An attribution method.

    Args:
        name: name in suites and on the command line.
        checked: function (architecture, images, target) -> maps. Images (B, 1, H, W) uint8; maps (B, H, W) float32 on
            the device of the network, at the resolution of the images. The network comes back as it was: modes,
            precision, requires_grad and gradients. An image's map does not depend on the rest of its batch.
            Raises NotAvailableError where the method does not exist for the network.
        source: publication.
        needs_layer: whether it reads one of the architecture's `heatmap_layers`.
        values: what a value of a map says. `signed`: above 0 speaks for the class, below 0 against it. `positive`: how
            much speaks for the class, never below 0; nothing is said of what speaks against it. `unsigned`: how much a
            pixel matters, whichever way, never below 0.
        cell: side of the smallest square that a map tells apart, as a share of the image's side; 0 = one pixel.
            Methods that need a layer are as coarse as the layer's grid.
        definition: number of the definition of its maps and of how they are checked. A run's record keeps it, and
            `pneumobench explain` checks a method again whose number has grown since.
        origin: file and line of the function.
    """

    name: str
    checked: Attribute
    source: str
    needs_layer: bool
    values: MapValues = "signed"
    cell: float = 0.0
    definition: int = 1
    origin: str = ""

    def attribute(self, architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        """Return the maps alone: (B, H, W), NaN throughout where the method refused an image."""
        return self.checked(architecture, radiographs, target).maps


Method = TypeVar("Method", bound=Callable[..., Tensor | AttributedMaps])
METHODS: Final[Registry[AttributionMethod]] = Registry(
    "attribution method",
    group="pneumobench.attribution_methods",
    shipped=__name__,
    kept=("reliance",),  # the table of scores with regions masked lies beside those of the methods
)


def register_method(
    name: str,
    *,
    source: str,
    needs_layer: bool,
    values: MapValues = "signed",
    cell: float = 0.0,
    definition: int = 1,
) -> Callable[[Method], Method]:
    """Register a function (architecture, images, target=0) -> maps under a name.

    The function gets the network ready for attribution: in eval mode, in float32, not compiled, parameters frozen,
    and images on its device. Its maps are checked. Instead of maps it may return AttributedMaps, where it can tell how
    exact each map is.

    Args:
        name: 1 to 64 of a-z 0-9 _ . -
        source: DOI, arXiv number or address of what is implemented.
        needs_layer: see `AttributionMethod`, as for the others.
        values: what a value of a map says.
        cell: resolution, as a share of the side.
        definition: to be raised by 1 whenever the same image and network get another map.

    Raises:
        SettingsError: the name is taken or not allowed.

    Example:
        >>> @register_method("doc_brightness", source="a worked example", needs_layer=False, values="unsigned")
        ... def doc_brightness(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        ...     return radiographs[:, 0].float()
    """

    def decorate(function: Method) -> Method:
        origin = origin_of(function)
        require_source(METHODS.kind, name, source, origin)

        def checked(architecture: Architecture, radiographs: Tensor, target: int = 0) -> CheckedMaps:
            return _checked(function, method, architecture, radiographs, target)

        method = AttributionMethod(
            name=name,
            checked=checked,
            source=source,
            needs_layer=needs_layer,
            values=values,
            cell=cell,
            definition=definition,
            origin=origin,
        )
        METHODS.add(method)
        return function

    return decorate


def attribution_method(name: str) -> AttributionMethod:
    """Return a method by its name.

    Raises:
        SettingsError: the name is unknown.
    """
    return METHODS.get(name)


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, sorted; those of the package, of plugins and of installed packages."""
    return METHODS.names()


def _checked(
    function: Callable[..., Tensor | AttributedMaps],
    method: AttributionMethod,
    architecture: Architecture,
    radiographs: Tensor,
    target: int,
) -> CheckedMaps:
    if radiographs.ndim != 4 or radiographs.shape[1] != 1 or radiographs.dtype != torch.uint8 or len(radiographs) == 0:
        raise SettingsError(
            f"{method.name}: images {tuple(radiographs.shape)} {radiographs.dtype}; expected (B, 1, H, W) torch.uint8, "
            "B at least 1."
        )
    if method.needs_layer and not architecture.heatmap_layers:
        raise NotAvailableError(
            f"{method.name} is not available: the architecture declares no heatmap_layers. Declare one, or use a "
            "method that needs no layer, such as integrated_gradients."
        )
    with inspected(architecture) as ready:
        first = next(ready.module.parameters(), radiographs)
        found = function(ready, radiographs.to(first.device), target)
    told = found if isinstance(found, AttributedMaps) else None
    maps = (found.maps if isinstance(found, AttributedMaps) else found).detach().float()
    expected = (len(radiographs), *radiographs.shape[2:])
    if tuple(maps.shape) != expected:
        raise SettingsError(
            f"{method.origin}: {method.name} returned maps {tuple(maps.shape)}; expected (B, H, W) = {expected}."
        )
    if not bool(torch.isfinite(maps).all()):
        raise SettingsError(
            f"{method.origin}: {method.name} returned a map that is infinite or not a number; check the weights."
        )
    if method.values != "signed" and bool((maps < 0).any()):
        raise SettingsError(
            f"{method.origin}: {method.name} returned a map with values below 0, and it is registered with values "
            f"{method.values!r}. Clamp the map at 0 or register it as 'signed'."
        )
    if told is None:
        return CheckedMaps(maps=maps)
    refused = maps.new_full((), float("nan"))
    return CheckedMaps(
        maps=torch.where(told.complete[:, None, None], maps, refused), error=told.error, steps=told.steps
    )
