"""Grad-CAM through Captum for any layer layout, without a layer named by the user.

Source: Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import LayerAttribution, LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn

from pneumobench.architectures import Architecture, HeatMapLayer
from pneumobench.attributions.inspection import ClassScores, check_target, inspected
from pneumobench.errors import NotAvailableError, SettingsError

CANCELLED = 1e-3  # sum of channels over the sum of their sizes: measured 1e-5 and less, or 0.3 and more
IMAGES_PER_PASS = 64  # bounds memory; gradients start at the layer, so that little is kept
MIN_GRID_CELLS = 7  # a coarser map cannot tell lung from mediastinum


class _Probe(nn.Module):
    """Passes an activation (B, C, H, W) on and lets the gradient start here, so that nothing before it is kept."""

    def forward(self, activation: Tensor) -> Tensor:
        return activation.detach().requires_grad_() if torch.is_grad_enabled() else activation


class _ProbedLayer(nn.Module):
    """A layer whose output goes through a probe as (B, C, H, W), whatever its own layout."""

    def __init__(self, layer: nn.Module, where: HeatMapLayer) -> None:
        super().__init__()
        self.layer, self.where, self.probe = layer, where, _Probe()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        if self.where.layout == "NCHW":
            # a copy, because in-place activations after the layer would overwrite what the map is made of
            probed: Tensor = self.probe(y)
            return probed.clone()
        if self.where.layout == "NHWC":
            probed = self.probe(y.permute(0, 3, 1, 2))
            return probed.permute(0, 2, 3, 1).clone()
        prefix, patches = y[:, : self.where.prefix_tokens], y[:, self.where.prefix_tokens :]
        side = _token_side(y, self.where)
        grid = patches.transpose(1, 2).reshape(len(y), -1, side, side)  # (B, T, C) -> (B, C, side, side)
        return torch.cat([prefix.detach(), self.probe(grid).flatten(2).transpose(1, 2)], dim=1)


@dataclass(frozen=True, kw_only=True)
class ChosenLayer:
    """The layer that maps are read from, and the rows x columns of its map."""

    layer: HeatMapLayer
    grid: tuple[int, int]


@contextmanager
def _probed(module: nn.Module, where: HeatMapLayer) -> Iterator[_Probe]:
    original = module.get_submodule(where.name)
    wrapped = _ProbedLayer(original, where)
    wrapped.train(module.training)
    module.set_submodule(where.name, wrapped)
    try:
        yield wrapped.probe
    finally:
        module.set_submodule(where.name, original)


def choose_layer(architecture: Architecture, side_px: int) -> ChosenLayer:
    """Return the deepest declared layer with at least 7 x 7 cells, or the finest there is where none has so many.

    Raises:
        SettingsError: the architecture declares no layer, or one that its module does not have.
    """
    with inspected(architecture) as ready:
        return _choose_layer(ready, side_px)


def _choose_layer(architecture: Architecture, side_px: int) -> ChosenLayer:
    module = architecture.module
    known = dict(module.named_modules())
    device = next(module.parameters()).device
    for where in architecture.heatmap_layers:
        if where.name not in known:
            raise SettingsError(
                f"heat-map layer {where.name!r} does not exist; layers: {', '.join(list(known)[1:8])} ..."
            )
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return known[name].register_forward_hook(lambda _m, _i, output: outputs.update({name: output}))

    hooks = [keep(where.name) for where in architecture.heatmap_layers]
    try:
        with torch.no_grad():
            module(architecture.normalise(torch.zeros(1, 1, side_px, side_px, dtype=torch.uint8, device=device)))
    finally:
        for hook in hooks:
            hook.remove()
    best: ChosenLayer | None = None
    for where in architecture.heatmap_layers:
        grid = _grid_of(outputs.get(where.name), where)
        if grid[0] != grid[1]:
            raise SettingsError(
                f"heat-map layer {where.name!r} gives {grid[0]} x {grid[1]} cells of square images; check its layout."
            )
        enough = min(MIN_GRID_CELLS, min(best.grid) if best else 0)
        if best is None or min(grid) >= enough:
            best = ChosenLayer(layer=where, grid=grid)
    if best is None:
        raise NotAvailableError("heat maps are not available: the architecture declares no heatmap_layers.")
    return best


def _grid_of(output: Any, where: HeatMapLayer) -> tuple[int, int]:
    """Return the rows and columns of the map that a layer gave."""
    axes = 3 if where.layout == "tokens" else 4
    if not isinstance(output, Tensor) or output.ndim != axes:
        raise SettingsError(f"heat-map layer {where.name!r} gives no map of rows and columns; check its layout.")
    if where.layout == "tokens":
        side = _token_side(output, where)
        return side, side
    rows, columns = output.shape[2:] if where.layout == "NCHW" else output.shape[1:3]
    return int(rows), int(columns)


def _token_side(tokens: Tensor, where: HeatMapLayer) -> int:
    """Return the side of the square that the patches of tokens (B, prefix + patches, C) make."""
    patches = tokens.shape[1] - where.prefix_tokens
    side = math.isqrt(max(patches, 0))
    if side == 0 or side * side != patches:
        raise SettingsError(
            f"heat-map layer {where.name!r}: {tokens.shape[1]} tokens without {where.prefix_tokens} prefix tokens make "
            "no square grid; check prefix_tokens."
        )
    return side


def grad_cam(architecture: Architecture, radiographs: Tensor, chosen: ChosenLayer, target: int = 0) -> Tensor:
    """Return Grad-CAM maps of a class score on the layer's own grid.

    Args:
        architecture: network; used in eval mode, at float32, and left as it was.
        radiographs: (B, 1, H, W) uint8 on the device of the network.
        chosen: layer from `choose_layer`.
        target: column of the network's output.

    Returns:
        Maps (B, rows, columns) float32, negative where the evidence speaks against the class.

    Raises:
        SettingsError: the network has no such output.
    """
    with inspected(architecture) as ready, _probed(ready.module, chosen.layer) as probe:
        scores = ClassScores(ready)
        with torch.no_grad():
            check_target(scores(radiographs[:1]), target)
        maps = LayerGradCam(scores, probe).attribute(radiographs, target=target, relu_attributions=False)
    maps = torch.as_tensor(maps).detach().float().squeeze(1)  # (B, 1, rows, columns) -> (B, rows, columns)
    assert maps.shape == (len(radiographs), *chosen.grid), f"map {tuple(maps.shape)}, expected grid {chosen.grid}"
    return maps


def hires_cam(architecture: Architecture, radiographs: Tensor, chosen: ChosenLayer, target: int = 0) -> Tensor:
    """Return HiResCAM maps, the sum over channels of gradient times activation in each cell; else as `grad_cam`.

    Grad-CAM gives every cell the mean gradient of its channel. That is right where global pooling follows; in a
    transformer, where cells count by attention, it is not.

    Source: Draelos and Carin 2020, arXiv:2011.08891.

    Raises:
        NotAvailableError: each cell is normalised right after the layer, as in ConvNeXt and Swin. Its length then
            counts for nothing, and gradient times activation is zero whatever the network looks at (Euler's theorem
            on homogeneous functions).
    """
    with inspected(architecture) as ready, _probed(ready.module, chosen.layer) as probe:
        scores = ClassScores(ready)
        with torch.no_grad():
            check_target(scores(radiographs[:1]), target)
        product = LayerGradientXActivation(scores, probe).attribute(radiographs, target=target)
    product = torch.as_tensor(product).detach().float()
    maps = product.sum(1)  # (B, C, rows, columns) -> (B, rows, columns)
    if bool(maps.abs().mean() < CANCELLED * product.abs().sum(1).mean()):
        raise NotAvailableError(
            f"hirescam is not available: a normalisation of each cell follows {chosen.layer.name}, and gradient times "
            "activation is zero there by construction. Use gradcam or integrated_gradients."
        )
    assert maps.shape == (len(radiographs), *chosen.grid), f"map {tuple(maps.shape)}, expected grid {chosen.grid}"
    return maps


def positive_heat(maps: Tensor, side_px: int) -> Tensor:
    """Return maps of a layer at the size of the image: max(maps, 0), then bilinear. The only way from one to the other.

    What is shown, scored and checked is this map. The order matters: what speaks against the class in one cell must not
    take away from what speaks for it in the next, so cells below 0 become 0 before they are mixed.

    Args:
        maps: (B, rows, columns) on the layer's grid, signed.
        side_px: side of the images.

    Returns:
        (B, side, side), never negative.
    """
    heat: Tensor = LayerAttribution.interpolate(maps.clamp(min=0)[:, None], (side_px, side_px), "bilinear")
    return heat[:, 0]
