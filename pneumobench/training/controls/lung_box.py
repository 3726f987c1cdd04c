"""Where the lungs lie in an image: how it was framed, and nothing of what it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control
from pneumobench.training.controls.thumbnail import MASKED_TOGETHER


@register_control("lung_box", words="the four edges of the box around its lungs", masks_lungs=True)
def lung_box(seen: Seen) -> NDArray[np.float64]:
    """Return top, bottom, left and right (N, 4) in shares of the image; not a number for a mask without lungs."""
    from pneumobench.lungs.boxes import lung_edges  # here: its words are asked for without PyTorch

    edges = np.full((len(seen.index.table), 4), np.nan)
    for start in range(0, len(edges), MASKED_TOGETHER):
        rows = range(start, min(start + MASKED_TOGETHER, len(edges)))
        for row, mask in zip(rows, seen.masks.to_blank(rows), strict=True):
            if mask.any():
                edges[row] = lung_edges(mask)
    return edges
