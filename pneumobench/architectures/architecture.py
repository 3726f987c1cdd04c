"""What an architecture is: a module, how its images are normalised, and where its heat maps come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

Layout = Literal["NCHW", "NHWC", "tokens"]
FLAT_IMAGE_SD: Final = 1 / 255  # of pixels in [0, 1]; below it an image shows nothing, and is not stretched


@dataclass(frozen=True, kw_only=True)
class HeatMapLayer:
    """A layer that Grad-CAM may read.

    Args:
        name: dotted name of the submodule.
        layout: axes of its output: NCHW, NHWC, or `tokens` (B, prefix + rows * columns, C).
        prefix_tokens: class and register tokens before the patch tokens, for layout `tokens`.

    Example:
        >>> HeatMapLayer(name="blocks.11.norm1", layout="tokens", prefix_tokens=1).layout
        'tokens'
    """

    name: str
    layout: Layout = "NCHW"
    prefix_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that turns normalised images (B, C, H, W) float32 into one pneumonia logit each (B, 1), or three.

    Args:
        module: the network.
        outputs: 1 = the pneumonia logit; 3 = logits of the softmax over normal, bacterial and viral.
        output_layers: names of the layers that give the outputs; empty = the module's last linear layer.
        in_channels: 1 (gray) or 3 (the gray image three times).
        heatmap_layers: layers for heat maps from shallow to deep; empty = heat maps are not available.
        pixel_mean: mean subtracted from pixels in [0, 1].
        pixel_std: standard deviation that they are then divided by.
        own_statistics: each image's own mean and standard deviation are taken instead.
        weights_origin: `random`, `timm:TAG`, `hf-hub:USER/NAME` or `file:NAME`.
        weights_source: who trained them on what, or where they are published; empty = not known.
        weights_licence: under which licence; empty = not known.
        weights_trained_on: data sets that they were trained on, as far as they are known.

    Example:
        >>> tiny = Architecture(module=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1)))
        >>> tiny.class_logits(torch.zeros(5, 1, 32, 32, dtype=torch.uint8)).shape
        torch.Size([5, 1])
    """

    module: nn.Module
    outputs: int = 1
    output_layers: tuple[str, ...] = ()
    in_channels: int = 1
    heatmap_layers: tuple[HeatMapLayer, ...] = ()
    pixel_mean: float = 0.5
    pixel_std: float = 0.25
    own_statistics: bool = False
    weights_origin: str = "random"
    weights_source: str = ""
    weights_licence: str = ""
    weights_trained_on: tuple[str, ...] = ()

    def normalise(self, radiographs: Tensor) -> Tensor:
        """Turn images (B, 1, H, W) uint8 into network input (B, in_channels, H, W) float32."""
        pixels = radiographs.float() / 255
        if self.own_statistics:
            spread, mean = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True, correction=0)
            normal = (pixels - mean) / spread.clamp(min=FLAT_IMAGE_SD)
        else:
            normal = (pixels - self.pixel_mean) / self.pixel_std
        return normal.expand(-1, self.in_channels, -1, -1)

    def class_logits(self, radiographs: Tensor) -> Tensor:
        """Return the network's outputs (B, outputs) for images (B, 1, H, W) uint8."""
        output: Tensor = self.module(self.normalise(radiographs))
        return output.reshape(radiographs.shape[0], self.outputs)

    def logits(self, radiographs: Tensor) -> Tensor:
        """Return pneumonia logits (B,) of images (B, 1, H, W) uint8."""
        return pneumonia_logits(self.class_logits(radiographs))

    def parameter_count(self, *, trainable_only: bool = False) -> int:
        """Return the number of parameters."""
        chosen = (p for p in self.module.parameters() if p.requires_grad or not trainable_only)
        return sum(parameter.numel() for parameter in chosen)


def pneumonia_logits(class_logits: Tensor) -> Tensor:
    """Return log-odds (B,) of pneumonia against normal from outputs (B, 1), or (B, classes) with normal first.

    The sigmoid of the result is the sum of the softmax over all classes but the first.

    >>> three = torch.tensor([[0.0, 1.0, 2.0]])
    >>> bool(torch.isclose(pneumonia_logits(three).sigmoid(), three.softmax(1)[:, 1:].sum()))
    True
    """
    if class_logits.shape[1] == 1:
        return class_logits[:, 0]
    return class_logits[:, 1:].logsumexp(1) - class_logits[:, 0]


def class_scores(class_logits: Tensor) -> Tensor:
    """Return what heat maps explain: log-odds (B, 1) of pneumonia, followed, for several classes, by those of each.

    Column 0 is pneumonia against normal; column 1 + k is class k against all others.
    """
    if class_logits.shape[1] == 1:
        return class_logits
    columns = [pneumonia_logits(class_logits)]
    for k in range(class_logits.shape[1]):
        others = torch.cat([class_logits[:, :k], class_logits[:, k + 1 :]], dim=1)
        columns.append(class_logits[:, k] - others.logsumexp(1))
    return torch.stack(columns, dim=1)


def flops_per_image(architecture: Architecture, side_px: int) -> int:
    """Return floating-point operations of one forward pass; a multiplication and an addition count as two."""
    from torch.utils.flop_counter import FlopCounterMode

    module = architecture.module.eval()
    device = next(module.parameters()).device
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        architecture.logits(torch.zeros(1, 1, side_px, side_px, dtype=torch.uint8, device=device))
    return int(counter.get_total_flops())
