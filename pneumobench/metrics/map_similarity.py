"""How alike are two heat maps of one image? Rank correlation and structural similarity of the smoothed maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from pneumobench.metrics.lung_attention import EPS
from pneumobench.metrics.validation import Floats

SMOOTHING: Final = 1 / 28  # standard deviation of the Gaussian as a share of the side: a quarter of a 7 x 7 grid's cell
COMPARED_CELLS: Final = 28  # rows and columns that smoothed maps are compared on; finer ones hold nothing more


@dataclass(frozen=True, kw_only=True, eq=False)
class MapSimilarity:
    """Likeness of B pairs of maps; NaN where one of the two has no positive part or is the same everywhere.

    Attributes:
        rank_correlation: (B,) |Spearman's rho|, 0 to 1; 1 = the same order of places, or the reverse.
        structural_similarity: (B,) SSIM of maps scaled to a maximum of 1, at most 1; 1 = the same.
    """

    rank_correlation: Floats
    structural_similarity: Floats


def map_similarity(maps: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> MapSimilarity:
    """Compare maps (B, H, W) in pairs: their positive parts, which lung attention rests on, smoothed.

    Raw pixels of gradients change sign from one to the next: their signed correlation is near 0 for any two networks,
    so a check that rests on it is passed by every map.

    Args:
        maps: finite; values below 0 count as no attention.
        others: of the same shape.

    Raises:
        ValueError: the shapes differ or are not (B, H, W).

    Source: Adebayo et al. 2018, arXiv 1810.03292 (both measures); Wang et al. 2004, doi 10.1109/TIP.2003.819861 (SSIM);
    Hedstroem et al. 2024, arXiv 2401.06465 (noise in the maps biases them).

    >>> maps = np.random.default_rng(0).random((1, 64, 64))
    >>> same = map_similarity(maps, 3 * maps)
    >>> round(float(same.rank_correlation[0]), 6), round(float(same.structural_similarity[0]), 6)
    (1.0, 1.0)
    """
    if maps.ndim != 3 or maps.shape != others.shape:
        raise ValueError(f"maps have shapes {maps.shape} and {others.shape}; expected the same (B, H, W).")
    first, second = _smoothed(maps), _smoothed(others)
    return MapSimilarity(
        rank_correlation=np.array([_rank_correlation(*pair) for pair in zip(first, second, strict=True)], np.float64),
        structural_similarity=np.array([_ssim(*pair) for pair in zip(first, second, strict=True)], np.float64),
    )


def _smoothed(maps: NDArray[np.floating[Any]]) -> list[Floats]:
    """Return the positive parts, smoothed, on at most 28 x 28 cells, of maximum 1; all 0 where there is none."""
    side = min(COMPARED_CELLS, *maps.shape[1:])
    shown = []
    for one in np.maximum(maps, 0).astype(np.float64):
        if float(one.sum()) < EPS:
            shown.append(np.zeros((side, side)))
            continue
        smooth = ndimage.gaussian_filter(one / one.max(), [SMOOTHING * length for length in one.shape], mode="nearest")
        small = np.asarray(cv2.resize(smooth, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float64)
        shown.append(small / small.max())
    return shown


def _rank_correlation(first: Floats, second: Floats) -> float:
    ranks = [rankdata(one, axis=None) for one in (first, second)]
    centred = [one - one.mean() for one in ranks]
    scale = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return abs(float((centred[0] * centred[1]).sum())) / scale if scale > 0 else float("nan")


def _ssim(first: Floats, second: Floats) -> float:
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return float("nan")
    window = min(7, first.shape[0] - 1 + first.shape[0] % 2)  # odd, and no larger than the map
    return float(structural_similarity(first, second, data_range=1.0, win_size=window))  # type: ignore[no-untyped-call]
