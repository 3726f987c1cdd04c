"""Maps that know nothing of an image and are otherwise as the method's own: the same values, in other places."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LEAST_SHIFT = 1 / 4  # of the side, in rows or columns: a map shifted by less still names much of what it named


def misplaced_maps(heat: Tensor, seed: int) -> Tensor:
    """Return maps (B, H, W) shifted over the edge, each by its own number of rows and columns drawn at random.

    A shifted map has the values of the map, so its sparsity, and its grid and texture, so its resolution; only where it
    points is drawn. Permuted cells would be more scattered than any map of a network.

    Args:
        heat: maps (B, H, W).
        seed: one draw; another seed is another draw.
    """
    rng = np.random.default_rng([seed, 5])
    rows, columns = heat.shape[1:]
    shifted = []
    for one in heat:
        shift = (0, 0)
        while max(min(shift[0], rows - shift[0]) / rows, min(shift[1], columns - shift[1]) / columns) < LEAST_SHIFT:
            shift = int(rng.integers(rows)), int(rng.integers(columns))
        shifted.append(torch.roll(one, shift, (0, 1)))
    return torch.stack(shifted)
