"""Conformance: does a method show, on a family of networks, the evidence that is known to decide?

Every network learns the planted-patch task; then each method has to find the patch. A method that reads the wrong
layer, or a layer in the wrong layout, does not, though its maps look like maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.heatmap_layers import find_heatmap_layers
from pneumobench.architectures.registry import check_names
from pneumobench.attributions.grad_cam import choose_layer
from pneumobench.attributions.methods import AttributionMethod, attribution_method, method_names
from pneumobench.attributions.planted_patch import LEARNT_CORRELATION, SIDE_PX, learn_patch, planted_images
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.suite.weights import NONE

JUDGED_IMAGES = 8  # images with a patch
POINTING_MIN = 0.5  # chance is 4 to 20 %, by the cell; Grad-CAM of one-block transformers misses three of eight images
MASS_RATIO_MIN = 2.0  # chance is 1
# Unsigned maps show where the score is sensitive, also where a patch would count if it came, and their maximum is one
# noisy pixel: only their heat is judged. Positive ones claim to show what speaks for the class, as signed ones do.
UNSIGNED_MASS_RATIO_MIN = 1.25
UNSEEN_SEED = 10_000  # beyond the seeds of the training images

# Slim members of the families: their timm name and what makes them small enough for one core. The layers are
# declared by the code that declares those of the full-sized members. Strides of 8 give the last layer at 64 px the grid
# that the full-sized members have at 224 px. Vision transformers have one block: Grad-CAM reads the last attention, and
# what the class token gathers in earlier blocks does not show there.
SMALL_MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("test_resnet", {"channels": (8, 16, 24, 32), "output_stride": 8}),
    "densenet": ("densenet121", {"growth_rate": 8, "block_config": (2, 2, 2, 2)}),
    "efficientnet": ("test_efficientnet", {"output_stride": 8}),
    # its running statistics follow too slowly, by default, for a training of a few hundred steps
    "mobilenetv3": ("mobilenetv3_small_050", {"bn_momentum": 0.1}),
    "regnet": (
        "regnetx_002",
        {"depth": 6, "w0": 16, "wa": 16.0, "wm": 2.0, "group_size": 8, "stem_width": 16, "output_stride": 8},
    ),
    "resnetrs": (
        "resnetrs50",
        {"layers": (1, 1, 1, 1), "channels": (8, 16, 24, 32), "stem_width": 8, "output_stride": 8},
    ),
    "convnext": ("test_convnext", {"ls_init_value": None}),
    "vit": ("test_vit", {"patch_size": 8, "depth": 1, "num_heads": 4}),
    "vit_registers": ("test_vit", {"patch_size": 8, "depth": 1, "num_heads": 4, "reg_tokens": 4}),
    "deit": (
        "deit_tiny_distilled_patch16_224",
        {"img_size": SIDE_PX, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 4},
    ),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": SIDE_PX, "window_size": 4, "embed_dim": 32, "depths": (2, 2), "num_heads": (2, 4)},
    ),
    "maxvit": ("test_maxvit", {"img_size": SIDE_PX}),
}


def small_member(name: str, *, seed: int = 0) -> Architecture:
    """Return the slim member of a family, or any other architecture by its name, for images of 64 px.

    Raises:
        SettingsError: the name is unknown.
    """
    if name not in SMALL_MEMBERS:
        return build_architecture(name, in_channels=1, image_side_px=SIDE_PX, seed=seed)
    timm_name, options = SMALL_MEMBERS[name]
    torch.manual_seed(seed)
    module = timm.create_model(timm_name, num_classes=1, in_chans=1, **options)
    return Architecture(module=module, heatmap_layers=find_heatmap_layers(module, 1, SIDE_PX))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a method showed on an architecture.

    Args:
        architecture: its name.
        method: its name.
        state: `pass`, `fail` or `not available`.
        pointing: share of the images whose maximum lies in the patch; NaN where no map was made.
        mass_ratio: positive heat in the patch relative to chance; NaN where no map was made.
        reason: why not, in words; empty for a pass.
    """

    architecture: str
    method: str
    state: Literal["pass", "fail", "not available"]
    pointing: float = math.nan
    mass_ratio: float = math.nan
    reason: str = ""


def conformance(
    names: Sequence[str] = tuple(SMALL_MEMBERS),
    methods: Sequence[str] = (),
    *,
    seed: int = 0,
    report: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Train each architecture on planted images and judge each method on it.

    Args:
        names: families of SMALL_MEMBERS, or names of architectures.
        methods: names of methods; empty = all.
        seed: seed of weights and images.
        report: called with every verdict as soon as it is there.

    Raises:
        SettingsError: a name is unknown; nothing is trained then.
    """
    chosen = [attribution_method(method) for method in methods or method_names()]
    check_names(dict.fromkeys((name for name in names if name not in SMALL_MEMBERS), NONE))
    verdicts = []
    for name in names:
        architecture = small_member(name, seed=seed)
        correlation = learn_patch(architecture, seed=seed)
        for method in chosen:
            if not correlation >= LEARNT_CORRELATION:
                reason = f"the network did not learn the patch (correlation {correlation:.2f}): its maps prove nothing"
                verdict = Verdict(architecture=name, method=method.name, state="fail", reason=reason)
            else:
                verdict = judge(name, architecture, method)
            if report is not None:
                report(verdict)
            verdicts.append(verdict)
    return verdicts


def judge(name: str, architecture: Architecture, method: AttributionMethod) -> Verdict:
    """Judge a method on an architecture that has learnt the planted patch."""
    planted = planted_images(2 * JUDGED_IMAGES, seed=UNSEEN_SEED)
    radiographs, patch = planted.radiographs[planted.strength > 0], planted.patch[planted.strength > 0]
    try:
        maps = method.attribute(architecture, radiographs).nan_to_num().cpu()  # a refused map points nowhere
        reach = tolerance_px(architecture, method)
    except NotAvailableError as error:
        return Verdict(architecture=name, method=method.name, state="not available", reason=str(error))
    except SettingsError as error:
        return Verdict(architecture=name, method=method.name, state="fail", reason=str(error))
    pointing, mass_ratio = located(maps, dilated(patch, reach))
    least = (POINTING_MIN, MASS_RATIO_MIN) if method.values != "unsigned" else (0.0, UNSIGNED_MASS_RATIO_MIN)
    reasons = []
    if pointing < least[0]:
        reasons.append(f"{pointing:.0%} of the maps point at the patch, {least[0]:.0%} are needed")
    if mass_ratio < least[1]:
        reasons.append(f"{mass_ratio:.1f} times as much heat in the patch as by chance, {least[1]:g} are needed")
    return Verdict(
        architecture=name,
        method=method.name,
        state="fail" if reasons else "pass",
        pointing=pointing,
        mass_ratio=mass_ratio,
        reason="; ".join(reasons),
    )


def tolerance_px(architecture: Architecture, method: AttributionMethod) -> int:
    """Return how far from the patch a maximum may lie: half a cell, since a cell peaks at its centre.

    The cell is that of the method, and for gradients at pixels that of the network's first convolution. Methods that
    read a layer get a whole cell, since layers mix neighbouring cells.
    """
    if method.needs_layer:
        return math.ceil(SIDE_PX / choose_layer(architecture, SIDE_PX).grid[0])
    return math.ceil(max(method.cell * SIDE_PX, first_stride_px(architecture)) / 2)


def first_stride_px(architecture: Architecture) -> int:
    """Return the side of the pixel blocks that the network reads as one: 16 for patches of 16, 2 for most CNNs."""
    strides = [part.stride[0] for part in architecture.module.modules() if isinstance(part, nn.Conv2d)]
    return int(strides[0]) if strides else 1


def dilated(patch: Tensor, by_px: int) -> Tensor:
    """Return places (B, H, W) bool grown by so many pixels to all sides."""
    grown: Tensor = functional.max_pool2d(patch.float()[:, None], 2 * by_px + 1, stride=1, padding=by_px)[:, 0]
    return grown > 0


def located(maps: Tensor, patch: Tensor) -> tuple[float, float]:
    """Return (pointing, mass ratio) of maps (B, H, W) with the places of the evidence (B, H, W) bool.

    Args:
        maps: positive = speaks for the class.
        patch: where the evidence is.

    Returns:
        Pointing game, the share of maps whose maximum lies in the patch; a map without positive heat misses.
        Share of the positive heat that lies in the patch over the patch's share of the image, mean over images; 1 =
        chance.

    Source: Zhang et al. 2018, doi 10.1007/s11263-017-1059-x.
    """
    heat, inside = maps.clamp(min=0).flatten(1), patch.flatten(1)
    total = heat.sum(1)
    hit = inside.gather(1, heat.argmax(1, keepdim=True))[:, 0] & (total > 0)
    share = torch.where(total > 0, (heat * inside).sum(1) / total, 0)
    return float(hit.float().mean()), float((share / inside.float().mean(1)).mean())


def verdict_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the matrix as lines of text: architectures down, methods across, and below it why cells failed.

    A cell shows pointing and mass ratio; `-` stands for not available.
    """
    table = list(verdicts)
    methods = list(dict.fromkeys(verdict.method for verdict in table))
    names = list(dict.fromkeys(verdict.architecture for verdict in table))
    cells = {(verdict.architecture, verdict.method): verdict for verdict in table}
    first = max([len("architecture"), *map(len, names)])
    widths = {method: max(len(method), len("FAIL 100% 99.9")) for method in methods}
    lines = ["  ".join([f"{'architecture':{first}}", *(f"{method:{widths[method]}}" for method in methods)]).rstrip()]
    for name in names:
        row = [f"{_cell_text(cells[name, method]):{widths[method]}}" for method in methods]
        lines.append("  ".join([f"{name:{first}}", *row]).rstrip())
    lines += [f"FAIL  {v.architecture}, {v.method}: {v.reason}" for v in table if v.state == "fail"]
    lines += [f"-     {v.architecture}, {v.method}: {v.reason}" for v in table if v.state == "not available"]
    return lines


def _cell_text(verdict: Verdict) -> str:
    if verdict.state == "not available":
        return "-"
    word = "pass" if verdict.state == "pass" else "FAIL"
    return word if math.isnan(verdict.pointing) else f"{word} {verdict.pointing:4.0%} {verdict.mass_ratio:4.1f}"
