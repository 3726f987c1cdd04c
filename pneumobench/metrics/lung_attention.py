"""Lung attention ratio (LAR): how much of a heat map lies on the lungs, and how much chance alone would put there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EPS = 1e-12  # a map whose positive part sums to less shows nothing


@dataclass(frozen=True, kw_only=True)
class LungAttention:
    """Lung attention of a batch of maps.

    Args:
        ratio: LAR (B,) in [0, 1]; 1 = all attention inside the lungs, NaN = the map has no positive part.
        lung_area: lung share of the image (B,), what a uniform map would score.
        adjusted: (ratio - lung_area) / (1 - lung_area) (B,); 0 = chance, 1 = all inside, negative = looks away.
    """

    ratio: NDArray[np.float64]
    lung_area: NDArray[np.float64]
    adjusted: NDArray[np.float64]

    @property
    def degenerate(self) -> int:
        """Return the number of maps without a positive part."""
        return int(np.isnan(self.ratio).sum())


def lung_attention_ratio(heat: NDArray[np.floating], lung_mask: NDArray[np.bool_]) -> LungAttention:
    """Return LAR = sum(max(heat, 0) on lungs) / sum(max(heat, 0)) of every map, and its chance-corrected form.

    Args:
        heat: maps (B, H, W) on the input grid; negative values count as none.
        lung_mask: True = lung (B, H, W), in the same geometry.

    Raises:
        ValueError: shapes differ, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> mask = np.zeros((1, 4, 4), dtype=bool)
        >>> mask[0, :, :1] = True
        >>> lung_attention_ratio(np.ones((1, 4, 4)), mask).ratio.tolist()
        [0.25]
    """
    if heat.ndim != 3 or heat.shape != lung_mask.shape:
        raise ValueError(f"heat {heat.shape} and lung_mask {lung_mask.shape}: expected the same (B, H, W)")
    if not np.isfinite(heat).all():
        raise ValueError("heat has values that are not finite")
    positive = np.maximum(heat, 0).astype(np.float64)
    total = positive.sum((1, 2))
    inside = (positive * lung_mask).sum((1, 2))
    area = lung_mask.mean((1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(total < EPS, np.nan, inside / total)
        adjusted = np.where((area > 0) & (area < 1), (ratio - area) / (1 - area), np.nan)
    return LungAttention(ratio=ratio, lung_area=area, adjusted=adjusted)
