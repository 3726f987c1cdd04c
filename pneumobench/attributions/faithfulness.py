"""Does a heat map name what the network uses? Deletion and insertion of pixels in the map's order.

Source: Petsiuk et al. 2018, RISE, arXiv 1806.07421. Curves depend on what removed pixels are replaced by and on the
network, so each is read against a map that knows nothing, on the same image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from pneumobench.attributions.methods import MapValues

STEPS: Final = 10  # points of a curve after the first: a tenth of the pixels each
BLUR: Final = 0.1  # removed pixels show the image blurred by this share of the side: no new edges, little content
RANDOM_GRID: Final = 8  # cells of the random map on each side: as coarse as the maps it is compared with
SCORED_TOGETHER: Final = 64  # images per pass; bounds memory

Probability = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Faithfulness:
    """Areas under the curves of B images, 0 to 1.

    Attributes:
        deletion: (B,) mean probability of the class in question while the hottest pixels go first; lower is better.
        insertion: (B,) the same while they come first into the blurred image; higher is better.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]


def random_maps(count: int, side_px: int, seed: int) -> Tensor:
    """Return smooth maps (B, side, side) that know nothing of the images."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(count, 1, RANDOM_GRID, RANDOM_GRID, generator=generator)
    return functional.interpolate(cells, (side_px, side_px), mode="bilinear", align_corners=False)[:, 0]


def faithfulness(probability: Probability, radiographs: Tensor, heat: Tensor, *, values: MapValues) -> Faithfulness:
    """Return deletion and insertion areas of maps.

    Args:
        probability: pneumonia probabilities (B,) of images (B, 1, H, W) uint8, without gradients.
        radiographs: (B, 1, H, W) uint8 on the device of the network.
        heat: (B, H, W) maps for pneumonia, on the same device.
        values: what a value of the maps says. Maps that say what speaks for pneumonia alone (`positive`) are asked
            about the probability of pneumonia, whatever the network calls an image: they claim nothing of what makes
            it normal. The others are asked about the class that the network calls; where that is normal, the pixels
            that speak against pneumonia come first in a `signed` map.
    """
    side_px = radiographs.shape[-1]
    kernel = 2 * round(2 * BLUR * side_px) + 1
    blurred = gaussian_blur(radiographs.float(), [kernel, kernel], [BLUR * side_px] * 2).round().to(torch.uint8)
    called = probability(radiographs) >= 0.5  # (B,)
    asked = torch.ones_like(called) if values == "positive" else called  # pneumonia, or not
    for_call = torch.where(called[:, None, None], heat, -heat) if values == "signed" else heat
    # rank of every pixel: 0 = hottest; stable, so that equal pixels keep one order everywhere
    order = for_call.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    place = rank.reshape(len(radiographs), 1, side_px, side_px)
    deletion: list[Tensor] = []
    insertion: list[Tensor] = []
    for step in range(STEPS + 1):
        touched = place < round(step / STEPS * side_px**2)
        for curve, first, then in ((deletion, blurred, radiographs), (insertion, radiographs, blurred)):
            shown = probability(torch.where(touched, first, then))
            curve.append(torch.where(asked, shown, 1 - shown))
    return Faithfulness(deletion=_area(deletion), insertion=_area(insertion))


def _area(curve: list[Tensor]) -> NDArray[np.float64]:
    points = torch.stack(curve).cpu().double().numpy()  # the device is asked once
    return np.asarray(np.trapezoid(points, dx=1 / STEPS, axis=0), dtype=np.float64)
