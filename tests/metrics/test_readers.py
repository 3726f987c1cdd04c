"""Means over readers, paired changes and agreement: by hand, against others' code, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from pneumobench.metrics.estimates import PatientEstimate, share_estimate
from pneumobench.metrics.readers import cohen_kappa, mean_kappa, mean_over_readers, paired_share_change

Decisions = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(Decisions)
def test_kappa_is_that_of_scikit_learn(decisions: list[tuple[bool, bool]]) -> None:
    first, second = (list(one) for one in zip(*decisions, strict=True))
    found = cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert math.isnan(found), "agreement on one class alone is no more than chance"
    else:
        assert found == pytest.approx(cohen_kappa_score(first, second))


def test_the_mean_kappa_is_over_pairs_and_its_interval_over_images() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    a, b, c = (truth ^ (rng.random(60) < share) for share in (0.1, 0.2, 0.3))
    found = mean_kappa([(a, b), (a, c), (b, c)])
    assert found.value == pytest.approx(np.mean([cohen_kappa(a, b), cohen_kappa(a, c), cohen_kappa(b, c)]))
    assert found.interval.low < found.value < found.interval.high
    one_by_one = [cohen_kappa_score(a[rows], b[rows]) for rows in rng.integers(0, 60, (500, 60))]
    alone = mean_kappa([(a, b)])
    assert (alone.interval.low, alone.interval.high) == pytest.approx(
        tuple(np.quantile(one_by_one, [0.025, 0.975])), abs=0.05
    )
    alike = mean_kappa([(truth, truth)])
    assert (alike.value, alike.interval.low, alike.interval.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="at least one"):
        mean_kappa([])


def test_the_mean_of_two_readers_by_hand() -> None:
    # reader 1 gains two of four images, reader 2 the second alone
    differences = [np.array([1, 1, 0, 0]), np.array([0, 1, 0, 0])]
    estimates = [
        PatientEstimate(value=float(d.mean()), patients=np.arange(4), influence=(d - d.mean()) / 4, least_error=0.0)
        for d in differences
    ]
    found = mean_over_readers(estimates, low=-1.0)
    spread = (0.5 - 0.25) ** 2 / 2  # 1/32
    shared = (0.5 * -0.25 + 0.5 * 0.75 + -0.5 * -0.25 + -0.5 * -0.25) / 16 * 4 / 3  # 1/24
    total = spread + 2 * shared
    freedom = (total / spread) ** 2
    half = stats.t.ppf(0.975, freedom) * math.sqrt(total / 2)
    assert found.value == 0.375
    assert found.interval.low == pytest.approx(0.375 - half)
    assert found.interval.high == pytest.approx(min(0.375 + half, 1))


def test_readers_who_answer_alike_are_as_one_with_the_images_alone() -> None:
    flags = [1, 0, 1, 1, 0, 1, 1, 0, 0, 1]
    one = share_estimate(flags, range(10))
    found = mean_over_readers([one, one, one])
    half = 1.959963984540054 * one.standard_error
    assert (found.interval.low, found.interval.high) == pytest.approx((0.6 - half, 0.6 + half))


def test_where_nothing_varies_there_is_no_interval() -> None:
    always = share_estimate([1, 1, 1, 1], range(4))
    found = mean_over_readers([always, always])
    assert found.value == 1
    assert math.isnan(found.interval.low)
    with pytest.raises(ValueError, match="at least two"):
        mean_over_readers([always])
    with pytest.raises(ValueError, match="other patients"):
        mean_over_readers([always, share_estimate([1, 0, 1], range(3))])


def test_the_interval_for_other_readers_and_patients_holds_the_truth() -> None:
    rng = np.random.default_rng(1)
    held, studies, readers, images, gain = 0, 300, 4, 40, 0.1
    for _ in range(studies):
        skill = rng.normal(0.7, 0.05, readers)
        effect = rng.normal(gain, 0.05, readers)
        hard = rng.normal(0, 0.1, images)
        before, after = (
            rng.random((readers, images)) < np.clip(share[:, None] + hard, 0, 1) for share in (skill, skill + effect)
        )
        estimates = [
            share_estimate(b, range(images)).minus(share_estimate(a, range(images)))
            for a, b in zip(before, after, strict=True)
        ]
        found = mean_over_readers(estimates, low=-1.0)
        held += found.interval.low <= gain <= found.interval.high
    assert 0.92 <= held / studies <= 1.0


def test_a_change_without_any_changed_answer_has_an_interval() -> None:
    found = paired_share_change([1] * 20, [1] * 20)
    assert found.value == 0
    assert found.interval.low == -found.interval.high
    assert 0.1 < found.interval.high < 0.2, "one image of each kind is added to the 20"
    assert paired_share_change([0, 0], [1, 1]).interval.high <= 1


@pytest.mark.parametrize("images", [15, 40])
def test_the_interval_of_a_change_holds_the_truth(images: int) -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(600):
        kind = rng.choice(4, size=images, p=[0.6, 0.15, 0.05, 0.2])  # right twice, gained, lost, wrong twice
        found = paired_share_change(np.isin(kind, (0, 2)), np.isin(kind, (0, 1)))
        held += found.interval.low <= 0.1 <= found.interval.high
    assert held / 600 >= 0.93, "of few images it is wide"
