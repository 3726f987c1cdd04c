"""Methods that read a layer of the network: Grad-CAM, HiResCAM and guided Grad-CAM."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from captum.attr import GuidedBackprop
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.attributions.grad_cam import (
    IMAGES_PER_PASS,
    ChosenLayer,
    choose_layer,
    grad_cam,
    hires_cam,
    positive_heat,
)
from pneumobench.attributions.inspection import ClassScores
from pneumobench.attributions.methods import register_method
from pneumobench.errors import NotAvailableError

# 1: maps were brought to the size of the image first, and their values below 0 left out afterwards
CLAMPED_THEN_RESIZED = 2

LayerMaps = Callable[[Architecture, Tensor, ChosenLayer, int], Tensor]

# autograd's names of element-wise non-linearities without the ReLU, whose gradients would not be guided
_UNGUIDED = (
    "Gelu", "Silu", "Mish", "Hardswish", "Hardsigmoid", "Hardtanh", "Clamp", "LeakyRelu", "Prelu", "Elu", "Softplus",
    "Sigmoid", "LogSigmoid", "Tanh", "Softmax", "SafeSoftmax", "ScaledDotProduct", "Threshold", "Glu",
)  # fmt: skip


@register_method(
    "gradcam",
    source="doi:10.1109/ICCV.2017.74",
    needs_layer=True,
    values="positive",
    definition=CLAMPED_THEN_RESIZED,
)
def gradcam(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return Grad-CAM maps at the images' resolution: (B, H, W), not negative; see `positive_heat`.

    Source: Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74.
    """
    return _heat(grad_cam, architecture, radiographs, target)


@register_method(
    "hirescam", source="arXiv:2011.08891", needs_layer=True, values="positive", definition=CLAMPED_THEN_RESIZED
)
def hirescam(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return HiResCAM maps at the images' resolution: (B, H, W), not negative; see `positive_heat`.

    Source: Draelos and Carin 2020, arXiv:2011.08891.
    """
    return _heat(hires_cam, architecture, radiographs, target)


def _heat(method: LayerMaps, architecture: Architecture, radiographs: Tensor, target: int) -> Tensor:
    side_px = radiographs.shape[-1]
    chosen = choose_layer(architecture, side_px)
    maps = torch.cat([method(architecture, some, chosen, target) for some in torch.split(radiographs, IMAGES_PER_PASS)])
    return positive_heat(maps, side_px)


@register_method(
    "guided_gradcam",
    source="doi:10.1109/ICCV.2017.74",
    needs_layer=True,
    values="unsigned",
    definition=CLAMPED_THEN_RESIZED,
)
def guided_gradcam(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return |guided backpropagation| x Grad-CAM: (B, H, W), not negative.

    The sign of a guided gradient says whether a pixel should be brighter or darker, not whether it speaks for the
    class, so strength alone is kept.

    Source: Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74; Springenberg et al. 2015, arXiv:1412.6806.

    Raises:
        NotAvailableError: a non-linearity of the network is not an nn.ReLU module. Guided backpropagation is defined
            for ReLU, and Captum reaches modules only; with others it would return plain gradients without a word.
    """
    scores = ClassScores(architecture)
    refuse_unguided(scores, radiographs[:1])
    heat = gradcam(architecture, radiographs, target)
    guided = []
    for radiograph in torch.split(radiographs, 1):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
            guided.append(GuidedBackprop(scores).attribute(radiograph.float().requires_grad_(), target=target).abs())
    return torch.cat(guided)[:, 0] * heat


def refuse_unguided(scores: ClassScores, radiograph: Tensor) -> None:
    """Refuse a network with a non-linearity that is not an nn.ReLU module.

    The gradient graph of one image is read, so that activations called as functions are seen as well.

    Raises:
        NotAvailableError: naming what was found.
    """
    calls: list[nn.Module] = []
    relus = [part for part in scores.modules() if isinstance(part, nn.ReLU)]
    hooks = [relu.register_forward_hook(lambda module, _i, _o: calls.append(module)) for relu in relus]
    output = scores(radiograph.float().requires_grad_())
    for hook in hooks:
        hook.remove()
    waiting, seen, names = [output.grad_fn], set(), []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.append("a custom autograd function" if hasattr(node, "_forward_cls") else node.name())
        waiting += [following for following, _ in node.next_functions]
    found = sorted({name.split("Backward")[0] for name in names if name.startswith((*_UNGUIDED, "a custom"))})
    if not found and sum(name.startswith("Relu") for name in names) > len(calls):
        found = ["relu called as a function"]
    if found or not relus:
        raise NotAvailableError(
            f"guided_gradcam is not available: the network computes {', '.join(found) or 'no ReLU at all'}, and guided "
            "backpropagation exists for nn.ReLU modules only. Use gradcam or integrated_gradients."
        )
