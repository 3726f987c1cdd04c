"""Images with a part taken away, to see what a network scores without it. Computed where the images lie."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from pneumobench.lungs.region_names import REGIONS

BORDER = 0.1  # share of the side on each edge: where laterality letters, tubes' ends and collimator edges are
BLUR = 0.15  # standard deviation as a share of the side: wider than the ribs, narrower than a lung


def without_lungs(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose lungs have the mean gray of the rest of the image."""
    return _filled(radiographs, lungs)


def only_lungs(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 where all but the lungs has the mean gray of the lungs."""
    return _filled(radiographs, ~lungs)


def lungs_blurred(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose lungs are blurred until only their overall brightness is left."""
    sigma_px = BLUR * radiographs.shape[-1]
    down, across = (_blur(side_px, sigma_px).to(radiographs.device) for side_px in radiographs.shape[1:])
    blurred = down @ radiographs.float() @ across.T
    return torch.where(lungs, blurred.round().to(torch.uint8), radiographs)


def without_borders(radiographs: Tensor, lungs: Tensor) -> Tensor:
    """Return images (B, H, W) uint8 whose outer tenth on every edge has the mean gray of the middle, lungs too."""
    edge = round(BORDER * radiographs.shape[-1])
    border = torch.ones_like(lungs)
    border[:, edge:-edge, edge:-edge] = False
    return _filled(radiographs, border)


@functools.cache
def _blur(side_px: int, sigma_px: float) -> Tensor:
    """Return the matrix (side, side) that blurs columns with a Gaussian, mirrored at the edges.

    At these widths two matrix products are far quicker than a filter that walks over its whole neighbourhood.
    """
    return torch.from_numpy(gaussian_filter1d(np.eye(side_px, dtype=np.float32), sigma_px, axis=0, mode="reflect"))


def _filled(radiographs: Tensor, taken: Tensor) -> Tensor:
    gray = radiographs.int()
    count = (~taken).sum(dim=(1, 2))
    total = gray.masked_fill(taken, 0).sum(dim=(1, 2))
    whole = count == 0  # an image that is taken away whole keeps its own mean
    count = torch.where(whole, taken[0].numel(), count)
    mean = (2 * torch.where(whole, gray.sum(dim=(1, 2)), total) + count) // (2 * count)  # rounded, in whole numbers
    return torch.where(taken, mean[:, None, None].to(torch.uint8), radiographs)


MASKED_REGIONS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = dict(
    zip(REGIONS, (without_lungs, lungs_blurred, only_lungs, without_borders), strict=True)
)
