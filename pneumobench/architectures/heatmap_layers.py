"""Which layers of a timm model heat maps can be read from, found by running it once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pneumobench.architectures.architecture import HeatMapLayer

# their outputs are maps of rows and columns in every network; four axes elsewhere may be those of attention
SPATIAL: Final = (nn.Conv2d, nn.modules.batchnorm._BatchNorm)


def find_heatmap_layers(module: nn.Module, in_channels: int, image_side_px: int) -> tuple[HeatMapLayer, ...]:
    """Return the layers of a timm model that heat maps can be taken from, shallow to deep; none where there are none.

    Plain vision transformers are read at the norm before the last attention, as tokens. All others are read at the
    stage outputs that timm names. Where these are no maps, as the branches of HRNet, a network that is convolutional to
    its end is read at the last convolution of each resolution that all of the image passes: beside the layer of one
    branch the others decide too. A layer counts if it is run once for an image, gives a square map, and the output
    depends on it.
    """
    seen = _run_once(module, torch.zeros(1, in_channels, image_side_px, image_side_px))
    return _last_tokens(module, seen) or _named_stages(module, seen) or _last_of_each_resolution(module, seen)


@dataclass
class _Seen:
    """What the parts of a network gave in one run, by name.

    Args:
        order: names in the order in which they were done.
        runs: how often each ran.
        outputs: the last output of each, of any structure.
        reached: those whose output the logit depends on.
        passed: those that all of the image passes on its way to the logit.
    """

    order: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)

    def shape(self, name: str, axes: int) -> tuple[int, ...] | None:
        """Return the shape of a tensor of so many axes that was made once and that the logit depends on, else None."""
        if name not in self.reached or self.runs[name] != 1 or self.outputs[name].ndim != axes:
            return None
        return tuple(self.outputs[name].shape)


def _run_once(module: nn.Module, images: Tensor) -> _Seen:
    """Run a network on images in eval mode, with gradients, and leave it as it was."""
    seen, handles, nodes = _Seen(), list[RemovableHandle](), dict[str, Any]()

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
            seen.order.append(name)
            seen.runs[name] = seen.runs.get(name, 0) + 1
            seen.outputs[name] = output
            nodes[name] = getattr(output, "grad_fn", None)  # now: layers that follow may change the tensor in place

        return hook

    modes = [(part, part.training) for part in module.modules()]
    try:
        handles = [part.register_forward_hook(watch(name)) for name, part in module.named_modules()]
        with torch.enable_grad():
            logits: Tensor = module.eval()(images.requires_grad_().clone())  # a leaf cannot be changed in place
        asked = {
            name: output
            for name, output in seen.outputs.items()
            if isinstance(output, Tensor) and output.requires_grad and output.is_floating_point()
        }
        if asked and logits.requires_grad:
            gradients = torch.autograd.grad(logits.sum(), list(asked.values()), allow_unused=True)
            seen.reached = {name for name, gradient in zip(asked, gradients, strict=True) if gradient is not None}
            bottlenecks = _bottlenecks(logits.grad_fn, images)
            seen.passed = {name for name in seen.reached if nodes[name] in bottlenecks}
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training
    return seen


def _bottlenecks(output: Any, images: Tensor) -> set[Any]:
    """Return the steps of a computation that every path from the images to the output goes through.

    All paths are counted, down from the output and up from the images: a step that they all go through has as many on
    one side times on the other as there are in all.
    """
    children: dict[Any, list[Any]] = {}
    order: list[Any] = []  # every step after those that it is computed from
    waiting = [(output, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
        elif node not in children:
            children[node] = [child for child, _ in node.next_functions if child is not None]
            waiting += [(node, True), *((child, False) for child in children[node])]
    to_images: dict[Any, int] = {}
    for node in order:
        is_images = getattr(node, "variable", None) is images
        to_images[node] = int(is_images) + sum(to_images[child] for child in children[node])
    from_output = dict.fromkeys(order, 0) | {output: 1}
    for node in reversed(order):
        for child in children[node]:
            from_output[child] += from_output[node]
    total = to_images[output]
    return {node for node in order if from_output[node] * to_images[node] == total > 0}


def _last_tokens(module: nn.Module, seen: _Seen) -> tuple[HeatMapLayer, ...]:
    """Return the norm before the last attention of a plain vision transformer, if its patches make a square."""
    blocks: Any = getattr(module, "blocks", None)
    if blocks is None or not hasattr(module, "patch_embed") or not hasattr(module, "num_prefix_tokens"):
        return ()
    last = f"blocks.{len(blocks) - 1}.norm1"
    shape = seen.shape(last, 3)
    if shape is None:
        return ()
    # none where the class token joins later, as in CaiT
    for prefix_tokens in (int(module.num_prefix_tokens), 0):  # type: ignore[arg-type]
        if (patches := shape[1] - prefix_tokens) > 1 and math.isqrt(patches) ** 2 == patches:
            return (HeatMapLayer(name=last, layout="tokens", prefix_tokens=prefix_tokens),)
    return ()


def _named_stages(module: nn.Module, seen: _Seen) -> tuple[HeatMapLayer, ...]:
    """Return the stages that timm names, as far as their outputs are maps."""
    stages = [info for info in getattr(module, "feature_info", None) or [] if info.get("module")]
    if not all(isinstance(info, dict) for info in stages):
        return ()
    layers = []
    for info in stages:
        shape = seen.shape(info["module"], 4)
        if shape is None:
            continue
        if shape[1] == info["num_chs"] and shape[2] == shape[3]:
            layers.append(HeatMapLayer(name=info["module"], layout="NCHW"))
        elif shape[3] == info["num_chs"] and shape[1] == shape[2]:
            layers.append(HeatMapLayer(name=info["module"], layout="NHWC"))
    return tuple(layers)


def _last_of_each_resolution(module: nn.Module, seen: _Seen) -> tuple[HeatMapLayer, ...]:
    """Return the last convolution of each resolution, with what wraps it; none where other layers follow the last."""
    parts = dict(module.named_modules())
    last: dict[int, str] = {}  # by side of the map, in the order of the network
    for name in seen.order:
        shape = seen.shape(name, 4)
        is_map = isinstance(parts[name], SPATIAL) and shape is not None and shape[2] == shape[3] > 1
        if is_map and name in seen.passed and shape is not None:
            last.pop(shape[2], None)
            last[shape[2]] = name
    if not last:
        return ()
    deepest = list(last.values())[-1]
    after = seen.order[seen.order.index(deepest) + 1 :]
    if any(_mixes_places(parts[name], seen.outputs[name]) for name in after if not list(parts[name].children())):
        return ()  # tokens or attention follow: what the convolution saw is mixed again
    return tuple(HeatMapLayer(name=_outermost(name, seen)) for name in last.values())


def _mixes_places(part: nn.Module, output: Any) -> bool:
    """Tell whether a layer with weights works on several places of an image at once."""
    has_weights = next(part.parameters(recurse=False), None) is not None
    if not has_weights or not isinstance(output, Tensor):
        return has_weights
    return output.ndim == 3 or (output.ndim == 4 and max(output.shape[2:]) > 1 and not isinstance(part, SPATIAL))


def _outermost(name: str, seen: _Seen) -> str:
    """Return the outermost module whose output has the shape of this one's, itself where there is none."""
    shape, outer = seen.shape(name, 4), name
    while (parent := name.rpartition(".")[0]) and seen.shape(parent, 4) == shape:
        name = outer = parent
    return outer
