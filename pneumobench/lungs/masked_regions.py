"""Images with a part taken away, to see what a network scores without it. Computed where the images lie.

What is put in place of the part is a *fill*. None of them but `blur` carries anything of what was taken away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from pneumobench.lungs.region_names import REGIONS, Outline

BORDER = 0.1  # share of the side on each edge: where laterality letters, tubes' ends and collimator edges are
BLUR = 0.15  # standard deviation as a share of the side: wider than the ribs, narrower than a lung
SPREAD = 0.1  # the same, of the weights by which gray levels around a hole fill it
GRAIN = 0.02  # the same, of what counts as grain: finer than a rib at 224 px, about a pixel at 64
_LEAST_WEIGHT = 1e-3  # below this share of weights within reach, the mean of the image takes over

Fill = Callable[[Tensor, Tensor], Tensor]  # images (B, H, W) uint8, what is taken (B, H, W) bool -> (B, H, W) uint8


def masked(radiographs: Tensor, taken: Tensor, fill: str = "mean") -> Tensor:
    """Return images (B, H, W) uint8 whose pixels `taken` (B, H, W) bool are replaced.

    Args:
        radiographs: the images.
        taken: what is replaced.
        fill: a name of `FILLS`.
    """
    return torch.where(taken, FILLS[fill](radiographs, taken), radiographs)


def mean_fill(radiographs: Tensor, taken: Tensor) -> Tensor:
    """Return the mean gray of what is left of each image (B, 1, 1) uint8; that of all of it where nothing is left."""
    gray = radiographs.int()
    count = (~taken).sum(dim=(1, 2))
    total = gray.masked_fill(taken, 0).sum(dim=(1, 2))
    whole = count == 0
    count = torch.where(whole, taken[0].numel(), count)
    mean = (2 * torch.where(whole, gray.sum(dim=(1, 2)), total) + count) // (2 * count)  # rounded, in whole numbers
    return mean[:, None, None].to(torch.uint8)


def blur_fill(radiographs: Tensor, taken: Tensor) -> Tensor:  # noqa: ARG001 - a fill like the others
    """Return the images (B, H, W) uint8 so blurred that only their overall brightness is left."""
    return _blurred(radiographs.float(), BLUR).round().to(torch.uint8)


def inpainted_fill(radiographs: Tensor, taken: Tensor) -> Tensor:
    """Return what is left of the images (B, H, W) uint8 continued smoothly into the hole, with its grain.

    The smooth part is the mean of the gray levels left, weighted by a Gaussian of their distance (normalised
    convolution: Knutsson and Westin 1993). The grain is noise with the deviation that is left from its own blurred
    version, the same pattern for all images.
    """
    left = (~taken).float()
    gray = radiographs.float()
    mean = mean_fill(radiographs, taken).float()
    smooth = (_blurred(gray * left, SPREAD) + _LEAST_WEIGHT * mean) / (_blurred(left, SPREAD) + _LEAST_WEIGHT)
    detail = (gray - _blurred(gray * left, GRAIN) / _blurred(left, GRAIN).clamp(min=_LEAST_WEIGHT)) * left
    deviation = (detail.square().sum(dim=(1, 2)) / left.sum(dim=(1, 2)).clamp(min=1)).sqrt()
    grain = _noise(radiographs.shape[1], radiographs.shape[2]).to(radiographs.device)
    return (smooth + deviation[:, None, None] * grain).clamp(0, 255).round().to(torch.uint8)


FILLS: Final[dict[str, Fill]] = {"mean": mean_fill, "blur": blur_fill, "inpainted": inpainted_fill}


def without_lungs(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose lungs have the mean gray of the rest of the image."""
    return masked(radiographs, lungs)


def only_lungs(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 where all but the lungs has the mean gray of the lungs."""
    return masked(radiographs, ~lungs)


def lungs_blurred(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose lungs are blurred until only their overall brightness is left."""
    return masked(radiographs, lungs, "blur")


def without_borders(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose outer tenth on every edge has the mean gray of the middle, lungs too."""
    edge = round(BORDER * radiographs.shape[-1])
    border = torch.ones_like(lungs)
    border[:, edge:-edge, edge:-edge] = False
    return masked(radiographs, border)


def mask_alone(radiographs: Tensor, lungs: Tensor) -> Tensor:  # noqa: ARG001 - which is the point
    """Return the lungs (B, H, W) as images uint8: 255 = lung, 0 = not. No gray value of the image is in them."""
    return 255 * lungs.to(torch.uint8)


def _blurred(gray: Tensor, share: float) -> Tensor:
    """Blur images (B, H, W) float with a Gaussian, its deviation a share of the side, mirrored at the edges.

    At these widths two matrix products are far quicker than a filter that walks over its whole neighbourhood.
    """
    down, across = (_blur(side_px, share * gray.shape[-1]).to(gray.device) for side_px in gray.shape[1:])
    return down @ gray @ across.T


@functools.cache
def _blur(side_px: int, sigma_px: float) -> Tensor:
    """Return the matrix (side, side) that blurs columns."""
    return torch.from_numpy(gaussian_filter1d(np.eye(side_px, dtype=np.float32), sigma_px, axis=0, mode="reflect"))


@functools.cache
def _noise(height: int, width: int) -> Tensor:
    """Return noise (H, W) float32 of mean 0 and variance 1, always the same."""
    return torch.randn(height, width, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class MaskedRegion:
    """A way to mask images.

    Args:
        blank: function of images (B, H, W) uint8 and lungs (B, H, W) bool that returns masked images.
        outline: whose lungs it is given, see `pneumobench.lungs.outlines`.
    """

    blank: Callable[[Tensor, Tensor], Tensor]
    outline: Outline = "own"

    def __call__(self, radiographs: Tensor, lungs: Tensor) -> Tensor:
        """Return the masked images."""
        return self.blank(radiographs, lungs)


# what networks can be trained on, see `data.region`
TRAINED_REGIONS: Final[dict[str, MaskedRegion]] = {
    "without_lungs": MaskedRegion(without_lungs),
    "without_lungs_other_outline": MaskedRegion(without_lungs, "other"),
    "only_lungs": MaskedRegion(only_lungs),
    "only_lungs_other_outline": MaskedRegion(only_lungs, "other"),
    "fixed_region_removed": MaskedRegion(without_lungs, "fixed"),
    "mask_only": MaskedRegion(mask_alone),
}
# what networks that were trained on whole images are shown
_ONLY_SHOWN: Final = {
    "lungs_blurred": MaskedRegion(lungs_blurred),
    "without_borders": MaskedRegion(without_borders),
}
MASKED_REGIONS: Final[dict[str, MaskedRegion]] = {name: (TRAINED_REGIONS | _ONLY_SHOWN)[name] for name in REGIONS}
