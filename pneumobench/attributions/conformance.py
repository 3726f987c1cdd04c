"""Conformance: does a method show, on a family of networks, the evidence that is known to decide?

Every network learns the planted-patch task; then each method has to find the patch. A method that reads the wrong
layer, or a layer in the wrong layout, does not, though its maps look like maps.
"""

from __future__ import annotations

import math
from typing import Any

import timm
import torch
from torch import Tensor
from torch.nn import functional

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.timm_backbone import find_heatmap_layers
from pneumobench.attributions.grad_cam import choose_layer
from pneumobench.attributions.methods import AttributionMethod
from pneumobench.attributions.planted_patch import SIDE_PX

JUDGED_FILMS = 8  # films with a patch
UNSEEN_SEED = 10_000  # beyond the seeds of the training films

# Slim members of the families: their timm name and what makes them small enough for one core. The layers are
# declared by the code that declares those of the full-sized members.
SMALL_MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("test_resnet", {"channels": (8, 16, 24, 32)}),
    "densenet": ("densenet121", {"growth_rate": 8, "block_config": (2, 2, 2, 2)}),
    "efficientnet": ("test_efficientnet", {}),
    "mobilenetv3": ("mobilenetv3_small_050", {}),
    "regnet": ("regnetx_002", {"depth": 6, "w0": 16, "wa": 16.0, "wm": 2.0, "group_size": 8, "stem_width": 16}),
    "resnetrs": ("resnetrs50", {"layers": (1, 1, 1, 1), "channels": (8, 16, 24, 32), "stem_width": 8}),
    "convnext": ("test_convnext", {}),
    "vit": ("test_vit", {"depth": 3}),
    "vit_registers": ("test_vit", {"depth": 3, "reg_tokens": 4}),
    "deit": (
        "deit_tiny_distilled_patch16_224",
        {"img_size": SIDE_PX, "embed_dim": 64, "depth": 3, "num_heads": 2},
    ),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": SIDE_PX, "window_size": 4, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)},
    ),
    "maxvit": ("test_maxvit", {"img_size": SIDE_PX}),
}


def small_member(name: str, *, seed: int = 0) -> Architecture:
    """Return the slim member of a family, or any other architecture by its name, for films of 64 px.

    Raises:
        SettingsError: the name is unknown.
    """
    if name not in SMALL_MEMBERS:
        return build_architecture(name, in_channels=1, image_side_px=SIDE_PX, seed=seed)
    timm_name, options = SMALL_MEMBERS[name]
    torch.manual_seed(seed)
    module = timm.create_model(timm_name, num_classes=1, in_chans=1, **options)
    return Architecture(module=module, heatmap_layers=find_heatmap_layers(module, 1, SIDE_PX))


def tolerance_px(architecture: Architecture, method: AttributionMethod) -> int:
    cell = method.cell * SIDE_PX
    if method.needs_layer:
        cell = max(cell, SIDE_PX / choose_layer(architecture, SIDE_PX).grid[0])
    return math.ceil(cell / 2)


def dilated(patch: Tensor, by_px: int) -> Tensor:
    grown: Tensor = functional.max_pool2d(patch.float()[:, None], 2 * by_px + 1, stride=1, padding=by_px)[:, 0]
    return grown > 0


def located(maps: Tensor, patch: Tensor) -> tuple[float, float]:
    """Return (pointing, mass ratio) of maps (B, H, W) with the places of the evidence (B, H, W) bool.

    Args:
        maps: positive = speaks for the class.
        patch: where the evidence is.

    Returns:
        Pointing game, the share of maps whose maximum lies in the patch; a map without positive heat misses.
        Share of the positive heat that lies in the patch over the patch's share of the film, mean over films; 1 =
        chance.

    Source: Zhang et al. 2018, doi 10.1007/s11263-017-1059-x.
    """
    heat, inside = maps.clamp(min=0).flatten(1), patch.flatten(1)
    total = heat.sum(1)
    hit = inside.gather(1, heat.argmax(1, keepdim=True))[:, 0] & (total > 0)
    share = torch.where(total > 0, (heat * inside).sum(1) / total, 0)
    return float(hit.float().mean()), float((share / inside.float().mean(1)).mean())
