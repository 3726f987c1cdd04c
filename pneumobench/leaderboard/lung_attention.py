"""Lung attention of one architecture, summed up: never over two kinds of lung mask, always beside chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.metrics.intervals import Interval, mean_interval

Outcome = Literal["tp", "fn", "fp", "tn"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("tp", "fn", "fp", "tn")


@dataclass(frozen=True, kw_only=True)
class AttentionMean:
    """Mean lung attention of some images.

    Args:
        images: images in the mean, the same for every network.
        degenerate: those of them whose heat map has no positive attention; each is scored as chance, which is what
            a map that points nowhere knows of the lungs.
        lar: mean share of the positive attention that lies inside the lungs, 0 to 1; NaN without images.
        lar_adjusted: the same against a uniform map: 0 = no better than looking everywhere, 1 = all inside.
        chance: mean area of the lungs as a share of the image: the `lar` of a uniform map.
    """

    images: int
    degenerate: int
    lar: float
    lar_adjusted: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class AttentionSummary:
    """Lung attention over out-of-fold test images of one mask tier.

    Args:
        method: what made the heat maps.
        mask_tier: where the lung masks come from: drawn, segmented or box.
        pneumonia: over the images that show pneumonia; the main figure.
        lar_interval: 95 % bootstrap interval of `pneumonia.lar` over patient groups; None under two images.
        lar_adjusted_interval: the same for `pneumonia.lar_adjusted`.
        by_outcome: by true and false positives and negatives at probability 0.5.
        degenerate: heat maps without any positive attention, of all images, scored as chance.
    """

    method: str
    mask_tier: str
    pneumonia: AttentionMean
    lar_interval: Interval | None
    lar_adjusted_interval: Interval | None
    by_outcome: dict[Outcome, AttentionMean]
    degenerate: int


def outcome_of(probability: pd.Series[float], label: pd.Series[int]) -> pd.Series[str]:
    """Return tp, fn, fp or tn for each row, at probability 0.5."""
    positive = (probability >= DEFAULT_THRESHOLD).to_numpy()
    truth = (label == 1).to_numpy()
    chosen = np.select([truth & positive, truth, positive], ["tp", "fn", "fp"], default="tn")
    return pd.Series(chosen, index=probability.index, dtype=object)


def attention_with_outcomes(attention: pd.DataFrame, out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Join attention rows with out-of-fold predictions; rows of tune or official images fall away."""
    joined = attention.drop(columns=["label"]).merge(
        out_of_fold[["image_id", "label", "probability"]], on="image_id", how="inner", validate="many_to_one"
    )
    return joined.assign(outcome=outcome_of(joined["probability"], joined["label"]))


def summaries(rows: pd.DataFrame, group: pd.Series[int]) -> tuple[AttentionSummary, ...]:
    """Sum up rows of `attention_with_outcomes` by method and mask tier, the largest set first.

    Args:
        rows: one row an image and method.
        group: patient group by image_id.
    """
    parts = [
        _summary(part.sort_values("image_id"), str(method), str(tier), group)
        for (method, tier), part in rows.groupby(["method", "mask_tier"], sort=True)
    ]
    return tuple(sorted(parts, key=lambda part: (-part.pneumonia.images, part.method, part.mask_tier)))


def scored_as_chance(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a column `degenerate`, and the lung attention of a degenerate map (empty) set to that of chance.

    Left out, the means of two networks would be of different images: those on which each has a map.
    """
    degenerate = rows["lar"].isna()
    lar = rows["lar"].where(~degenerate, rows["lung_area"])
    return rows.assign(degenerate=degenerate, lar=lar, lar_adjusted=rows["lar_adjusted"].where(~degenerate, 0.0))


def _summary(rows: pd.DataFrame, method: str, tier: str, group: pd.Series[int]) -> AttentionSummary:
    rows = scored_as_chance(rows)
    shown = rows[rows["label"] == 1]
    intervals: dict[str, Interval | None] = {"lar": None, "lar_adjusted": None}
    if len(shown) > 1:
        groups = group.loc[shown["image_id"]].to_numpy()
        for column in intervals:
            intervals[column] = mean_interval(shown[column].to_numpy(np.float64), groups)
    return AttentionSummary(
        method=method,
        mask_tier=tier,
        pneumonia=_mean(shown),
        lar_interval=intervals["lar"],
        lar_adjusted_interval=intervals["lar_adjusted"],
        by_outcome={outcome: _mean(rows[rows["outcome"] == outcome]) for outcome in OUTCOMES},
        degenerate=int(rows["degenerate"].sum()),
    )


def _mean(rows: pd.DataFrame) -> AttentionMean:
    return AttentionMean(
        images=len(rows),
        degenerate=int(rows["degenerate"].sum()),
        lar=float(rows["lar"].mean()),
        lar_adjusted=float(rows["lar_adjusted"].mean()),
        chance=float(rows["lung_area"].mean()),
    )
