"""How much of a heat map lies inside the lungs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumobench.metrics.validation import Booleans, Floats

# A map whose positive part sums to less carries no attention: gradients died, or the whole map is negative.
EPS = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class LungAttention:
    """Lung attention of a batch of B images.

    Attributes:
        ratio: (B,) share of the positive attention inside the lungs, in [0, 1]; NaN for a degenerate map.
        lung_area: (B,) share of the image that is lung, in [0, 1]: the ratio of a uniform map.
        adjusted: (B,) (ratio - lung_area) / (1 - lung_area): 1 = all inside, 0 = no better than looking
            everywhere, negative = looks away; NaN for a degenerate map, and where the mask is empty or full.
    """

    ratio: Floats
    lung_area: Floats
    adjusted: Floats

    @property
    def degenerate(self) -> int:
        """Number of images whose map has no positive attention: left out of means."""
        return int(np.isnan(self.ratio).sum())


def lung_attention_ratio(heat: NDArray[np.floating[Any]], lung_mask: Booleans) -> LungAttention:
    """Return the share of positive attention inside the lungs, bare and corrected for the lungs' size.

    Negative values count as no attention. No threshold, no rescaling: multiplying a map by a positive number
    changes nothing.

    Args:
        heat: (B, H, W) heat maps for the pneumonia logit, already on the input grid, finite.
        lung_mask: (B, H, W) boolean, True = lung, in the geometry of the heat map.

    Raises:
        ValueError: shapes differ or are not (B, H, W), the mask is not boolean, the heat is not finite.

    >>> heat = np.array([[[3.0, 1.0], [-2.0, 0.0]]])
    >>> lungs = np.array([[[True, False], [True, False]]])
    >>> attention = lung_attention_ratio(heat, lungs)
    >>> attention.ratio.tolist(), attention.adjusted.tolist()
    ([0.75], [0.5])
    """
    heat, lung_mask = np.asarray(heat), np.asarray(lung_mask)
    if heat.ndim != 3 or 0 in heat.shape:
        raise ValueError(f"heat has shape {heat.shape}; expected (images, rows, columns), none of them 0.")
    if lung_mask.shape != heat.shape:
        raise ValueError(
            f"lung_mask has shape {lung_mask.shape}, heat {heat.shape}; expected the same. "
            "Resample the mask with nearest neighbour through the geometry of the image."
        )
    if lung_mask.dtype != np.bool_:
        raise ValueError(f"lung_mask holds {lung_mask.dtype} values; expected booleans, such as mask > 0.")
    if heat.dtype.kind != "f":
        raise ValueError(f"heat holds {heat.dtype} values; expected floating point numbers.")
    broken = np.flatnonzero(~np.isfinite(heat).all(axis=(1, 2)))
    if broken.size:
        raise ValueError(
            f"heat maps at positions {broken[:5].tolist()} hold values that are not finite; "
            "expected finite numbers. Compute attributions in float32 and check the model's weights."
        )
    positive = np.maximum(heat, 0).astype(np.float64)  # (B, H, W)
    total = positive.sum(axis=(1, 2))
    inside = np.where(lung_mask, positive, 0.0).sum(axis=(1, 2))
    lung_area: Floats = lung_mask.mean(axis=(1, 2), dtype=np.float64)
    nothing: Floats = np.full(total.shape, np.nan)
    # Summing the same numbers in another order may exceed the total by a rounding error.
    ratio = np.minimum(np.divide(inside, total, out=nothing.copy(), where=total >= EPS), 1.0)
    partial = (lung_area > 0) & (lung_area < 1)
    adjusted = np.divide(ratio - lung_area, 1 - lung_area, out=nothing.copy(), where=partial)
    return LungAttention(ratio=ratio, lung_area=lung_area, adjusted=adjusted)
