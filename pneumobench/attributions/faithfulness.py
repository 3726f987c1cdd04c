"""Does a heat map name what the network uses? Deletion and insertion of pixels in the map's order.

Source: Petsiuk et al. 2018, RISE, arXiv 1806.07421. Curves depend on what removed pixels are replaced by, on the
network, and on how coarse and sparse a map is: each is read against the same map in other places, on the same image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from pneumobench.attributions.methods import MapValues
from pneumobench.attributions.misplaced import misplaced_maps

STEPS: Final = 10  # points of a curve after the first: a tenth of the pixels each
BLUR: Final = 0.1  # removed pixels show the image blurred by this share of the side: no new edges, little content
RANDOM_DRAWS: Final = (
    3  # maps in other places that each map is read against; more than films, draws need averaging less
)
SCORED_TOGETHER: Final = 64  # images per pass; bounds memory

Probability = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Faithfulness:
    """Areas under the curves of B images, 0 to 1.

    Attributes:
        deletion: (B,) mean probability of the class in question while the hottest pixels go first; lower is better.
        insertion: (B,) the same while they come first into the blurred image; higher is better.
        deletion_random: (B,) deletion area of the same map in other places, mean over draws.
        insertion_random: (B,) insertion area of these.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    deletion_random: NDArray[np.float64]
    insertion_random: NDArray[np.float64]


def faithfulness(
    probability: Probability, radiographs: Tensor, heat: Tensor, *, values: MapValues, seed: int
) -> Faithfulness:
    """Return deletion and insertion areas of maps, and of the same maps in other places.

    Args:
        probability: pneumonia probabilities (B,) of images (B, 1, H, W) uint8, any number of them, without gradients.
        radiographs: (B, 1, H, W) uint8 on the device of the network.
        heat: (B, H, W) maps for pneumonia, on the same device.
        values: what a value of the maps says. Maps that say what speaks for pneumonia alone (`positive`) are asked
            about the probability of pneumonia, whatever the network calls an image: they claim nothing of what makes
            it normal. The others are asked about the class that the network calls; where that is normal, the pixels
            that speak against pneumonia come first in a `signed` map.
        seed: seed of the other places.
    """
    side_px = radiographs.shape[-1]
    kernel = 2 * round(2 * BLUR * side_px) + 1
    blurred = gaussian_blur(radiographs.float(), [kernel, kernel], [BLUR * side_px] * 2).round().to(torch.uint8)
    whole = probability(torch.cat([radiographs, blurred])).reshape(2, -1)  # all maps begin and end there
    called = whole[0] >= 0.5  # (B,)
    asked = torch.ones_like(called) if values == "positive" else called  # pneumonia, or not
    for_call = torch.where(called[:, None, None], heat, -heat) if values == "signed" else heat

    def areas(maps: Tensor) -> NDArray[np.float64]:
        """Return the deletion and insertion areas (2, B) of maps (B, H, W), the largest values first."""
        # rank of every pixel: 0 = hottest; stable, so that equal pixels keep one order everywhere
        order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        place = rank.reshape(len(radiographs), 1, side_px, side_px)
        shown = []
        for step in range(1, STEPS):
            touched = place < round(step / STEPS * side_px**2)
            shown += [torch.where(touched, blurred, radiographs), torch.where(touched, radiographs, blurred)]
        between = probability(torch.cat(shown)).reshape(STEPS - 1, 2, -1)
        curves = torch.cat([whole[None], between, whole.flip(0)[None]])  # (steps, deletion and insertion, B)
        of_class = torch.where(asked, curves, 1 - curves).cpu().double().numpy()  # the device is asked once
        return np.asarray(np.trapezoid(of_class, dx=1 / STEPS, axis=0), dtype=np.float64)

    own = areas(for_call)
    random = np.mean([areas(misplaced_maps(for_call, seed + draw)) for draw in range(RANDOM_DRAWS)], axis=0)
    return Faithfulness(deletion=own[0], insertion=own[1], deletion_random=random[0], insertion_random=random[1])
