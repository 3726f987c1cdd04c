"""What another way of showing external images changes, and what facts say of the label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumobench.leaderboard.external import inverted
from pneumobench.leaderboard.external_variants import (
    FactScore,
    SetFact,
    model_fact,
    set_fact,
    strata_score,
    variant_scores,
)
from pneumobench.metrics.estimates import area_estimate
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.external_table import external_auc
from pneumobench.suite.external_variants import AS_IS

COUNT = 400
LABEL = np.arange(COUNT) % 2
GROUP = pd.Series(np.arange(COUNT) // 2, index=[f"{number:03}.png" for number in range(COUNT)])


def predictions(probability: np.ndarray) -> pd.DataFrame:
    """Return what two networks say of all images; the second says the same less surely."""
    parts = [
        pd.DataFrame(
            {"image_id": GROUP.index, "label": LABEL, "fold": fold, "probability": probability * scale, "logit": 0.0}
        )
        for fold, scale in ((0, 1.0), (1, 0.9))
    ]
    return pd.concat(parts).assign(architecture="a")


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.3, 0.49999, True), (0.3, 0.5, False), (0.6, 0.7, False), (np.nan, np.nan, False)]
)
def test_inverted_is_below_chance_as_a_whole(low: float, high: float, expected: bool) -> None:
    interval = Interval(low=low, high=high)
    assert inverted(interval) is expected
    assert external_auc(0.4, interval).endswith("inverted") is expected


def test_a_variant_is_compared_on_the_same_patients() -> None:
    rng = np.random.default_rng(0)
    plain = np.clip(0.5 + 0.1 * (1 - 2 * LABEL) + rng.normal(0, 0.1, COUNT), 0.01, 0.99)
    better = np.clip(plain + 0.15 * LABEL, 0.01, 0.99)
    as_is, matched = variant_scores({AS_IS: predictions(plain), "histogram_matched": predictions(better)}, GROUP)
    assert as_is.difference is None
    assert as_is.auc == pytest.approx(roc_auc_score(LABEL, plain))
    assert inverted(as_is.auc_interval)
    assert matched.difference == pytest.approx(matched.auc - as_is.auc)
    assert matched.difference_interval is not None
    first, second = (area_estimate(one, LABEL, GROUP.to_numpy()) for one in (plain, better))
    assert matched.difference_interval == second.minus(first).difference_interval()
    apart = np.hypot(first.standard_error, second.standard_error)
    assert matched.difference_interval.high - matched.difference_interval.low < 2 * 1.96 * apart, "paired"
    assert matched.p_holm is not None
    assert matched.p_holm < 0.001


def test_holm_counts_every_comparison_of_the_table() -> None:
    rng = np.random.default_rng(1)
    plain = rng.uniform(0.01, 0.99, COUNT)
    found = variant_scores(
        {AS_IS: predictions(plain), **{name: predictions(np.clip(plain + 0.02 * LABEL, 0, 1)) for name in "xy"}}, GROUP
    )
    alone = variant_scores({AS_IS: predictions(plain), "x": predictions(np.clip(plain + 0.02 * LABEL, 0, 1))}, GROUP)
    assert found[1].p_holm == pytest.approx(min(1.0, 2 * (alone[1].p_holm or 0.0)))


def test_a_fact_says_which_class_has_the_higher_value() -> None:
    gray = np.where(LABEL == 1, 90.0, 110.0) + np.random.default_rng(2).normal(0, 10, COUNT)
    found = set_fact(gray, LABEL == 1, GROUP.to_numpy())
    assert found.pneumonia < found.normal
    assert found.auc == pytest.approx(roc_auc_score(LABEL, gray))
    assert found.auc < 0.2
    same, other = (
        FactScore(name="g", own=found, external=found),
        SetFact(normal=0, pneumonia=1, auc=0.8, auc_interval=Interval(low=0.7, high=0.9)),
    )
    assert same.direction == "same"
    assert FactScore(name="g", own=found, external=other).direction == "opposite"
    unclear = SetFact(normal=0, pneumonia=0, auc=0.5, auc_interval=Interval(low=0.4, high=0.6))
    assert FactScore(name="g", own=found, external=unclear).direction == "unclear"
    assert np.isnan(model_fact([gray / 200], LABEL == 1, GROUP.to_numpy()).normal)
    assert model_fact([gray / 200], LABEL == 1, GROUP.to_numpy()).auc == pytest.approx(found.auc)


def test_a_score_that_is_a_fact_says_nothing_among_images_alike_in_it() -> None:
    rng = np.random.default_rng(3)
    gray = np.where(LABEL == 1, 0.45, 0.55) + rng.normal(0, 0.1, COUNT)
    scored = predictions(np.clip(gray + rng.normal(0, 0.02, COUNT), 0.01, 0.99))
    values = pd.Series(gray, index=GROUP.index).sample(frac=1, random_state=0)  # the order of images means nothing
    found = strata_score("a", "mean_gray", scored, values, GROUP)
    assert roc_auc_score(LABEL, gray) < 0.3
    assert 0.4 < found.auc < 0.6
    noise = pd.Series(rng.uniform(size=COUNT), index=GROUP.index)
    assert strata_score("a", "noise", scored, noise, GROUP).auc < 0.35, "a fact that has nothing to do with it"
