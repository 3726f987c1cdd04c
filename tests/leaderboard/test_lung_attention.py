from __future__ import annotations

import math

import pandas as pd
import pytest

from pneumobench.leaderboard.lung_attention import attention_with_outcomes, outcome_of, summaries


def _attention(rows: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "mask_tier", "lung_area", "lar"])
    return table.assign(
        fold=0,
        label=-1,
        method="gradcam",
        lar_adjusted=(table["lar"] - table["lung_area"]) / (1 - table["lung_area"]),
    )


OUT_OF_FOLD = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d", "e"],
        "label": [1, 1, 0, 0, 1],
        "probability": [0.9, 0.2, 0.7, 0.1, 0.5],
    }
)
GROUP = pd.Series([0, 1, 2, 3, 4], index=["a", "b", "c", "d", "e"])


def test_outcomes_at_one_half_count_a_probability_of_one_half_as_positive() -> None:
    assert outcome_of(OUT_OF_FOLD["probability"], OUT_OF_FOLD["label"]).tolist() == ["tp", "fn", "fp", "tn", "tp"]


def test_means_by_hand() -> None:
    rows = [
        ("a", "box", 0.5, 0.75),
        ("b", "box", 0.5, 0.25),
        ("c", "box", 0.5, 1.0),
        ("e", "box", 0.5, math.nan),
        ("elsewhere", "box", 0.5, 0.1),
    ]
    (found,) = summaries(attention_with_outcomes(_attention(rows), OUT_OF_FOLD), GROUP)
    # pneumonia images: a (found), b (missed), and e (found), whose map is degenerate: as chance; c is a false alarm
    assert (found.pneumonia.images, found.pneumonia.degenerate) == (3, 1)
    assert found.pneumonia.lar == pytest.approx((0.75 + 0.25 + 0.5) / 3)
    assert found.pneumonia.chance == pytest.approx(0.5)
    assert found.pneumonia.lar_adjusted == pytest.approx(0.0)
    assert found.by_outcome["tp"].lar_adjusted == pytest.approx(0.5 / 2)
    assert found.by_outcome["fn"].lar_adjusted == pytest.approx(-0.5)
    assert found.by_outcome["fp"].lar_adjusted == pytest.approx(1.0)
    assert found.by_outcome["tn"].images == 0
    assert math.isnan(found.by_outcome["tn"].lar)
    assert found.degenerate == 1
    assert found.lar_interval is not None
    assert 0.25 <= found.lar_interval.low <= 0.5 <= found.lar_interval.high <= 0.75


def test_mask_tiers_are_never_mixed() -> None:
    rows = [("a", "drawn", 0.3, 0.9), ("b", "drawn", 0.3, 0.7), ("e", "box", 0.45, 0.1)]
    first, second = summaries(attention_with_outcomes(_attention(rows), OUT_OF_FOLD), GROUP)
    assert (first.mask_tier, first.pneumonia.images) == ("drawn", 2)
    assert first.pneumonia.lar == pytest.approx(0.8)
    assert (second.mask_tier, second.pneumonia.images) == ("box", 1)
    assert second.lar_interval is None  # one image has no spread


def test_two_networks_are_averaged_over_the_same_images_whatever_maps_they_have() -> None:
    """Left out, the second one would be judged by its single map and look better for having none elsewhere."""
    whole = [(name, "drawn", 0.3, 0.6) for name in ("a", "b", "e")]
    hardly = [("a", "drawn", 0.3, 0.9), ("b", "drawn", 0.3, math.nan), ("e", "drawn", 0.3, math.nan)]
    first, second = (
        summaries(attention_with_outcomes(_attention(rows), OUT_OF_FOLD), GROUP)[0] for rows in (whole, hardly)
    )
    assert first.pneumonia.images == second.pneumonia.images == 3
    assert second.pneumonia.lar == pytest.approx((0.9 + 0.3 + 0.3) / 3)
    assert second.pneumonia.lar_adjusted < first.pneumonia.lar_adjusted
