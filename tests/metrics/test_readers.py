"""Means over readers, paired changes and agreement: by hand, against others' code, and at their edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from pneumobench.metrics.estimates import PatientEstimate, area_estimate, mean_estimate, share_estimate
from pneumobench.metrics.readers import (
    Measured,
    mean_change_over_readers,
    mean_kappa,
    mean_over_readers,
    paired_share_change,
)

Decisions = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(Decisions)
def test_kappa_is_that_of_scikit_learn(decisions: list[tuple[bool, bool]]) -> None:
    first, second = (list(one) for one in zip(*decisions, strict=True))
    found = mean_kappa([(first, second)], resamples=10).value
    if len({*first, *second}) == 1:
        assert math.isnan(found), "agreement on one class alone is no more than chance"
    else:
        assert found == pytest.approx(cohen_kappa_score(first, second))


def test_the_mean_kappa_is_over_pairs_and_its_interval_over_images() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    a, b, c = (truth ^ (rng.random(60) < share) for share in (0.1, 0.2, 0.3))
    found = mean_kappa([(a, b), (a, c), (b, c)])
    assert found.value == pytest.approx(np.mean([cohen_kappa_score(*pair) for pair in ((a, b), (a, c), (b, c))]))
    assert found.interval.low < found.value < found.interval.high
    one_by_one = [cohen_kappa_score(a[rows], b[rows]) for rows in rng.integers(0, 60, (500, 60))]
    alone = mean_kappa([(a, b)])
    assert (alone.interval.low, alone.interval.high) == pytest.approx(
        tuple(np.quantile(one_by_one, [0.025, 0.975])), abs=0.05
    )
    alike = mean_kappa([(truth, truth)])
    assert alike.value == 1
    assert math.isnan(alike.interval.low), "it does not vary"
    all_ill = mean_kappa([(truth, np.ones(60, np.int64))])
    assert all_ill.value == 0
    assert math.isnan(all_ill.interval.low), "whoever calls all the same agrees as by chance, whatever the images"
    with pytest.raises(ValueError, match="at least one"):
        mean_kappa([])


def changes(rng: np.random.Generator, readers: int, images: int) -> list[PatientEstimate]:
    """Return the change of the AUC of each reader, all of the same images, some of which are hard for everybody."""
    label, hard = np.arange(images) % 2, rng.normal(size=images)
    ratings = 1 / (1 + np.exp(-(label + hard + rng.normal(size=(2, readers, images)))))
    without, helped = ([area_estimate(one, label, range(images)) for one in part] for part in ratings)
    return [after.minus(before) for before, after in zip(without, helped, strict=True)]


def test_a_change_is_that_of_obuchowski_and_rockette() -> None:
    """Against their own terms: mean squares of a table of two readings by readers, and three covariances."""
    rng = np.random.default_rng(3)
    readers, images, label = 4, 60, np.arange(60) % 2
    skill = np.array([[0.2, 1.0, 1.8, 2.6], [2.0, 1.0, 1.0, 1.0]])
    ratings = skill[..., None] * (label + rng.normal(size=images)) + rng.normal(size=(2, readers, images))
    table = [[area_estimate(1 / (1 + np.exp(-one)), label, range(images)) for one in part] for part in ratings]
    area = np.array([[one.value for one in part] for part in table])
    rest = area - area.mean(0) - area.mean(1, keepdims=True) + area.mean()
    ms_tr = float((rest**2).sum()) / (readers - 1)  # of reading by reader
    influence = np.array([[one.influence for one in part] for part in table])
    covariance = np.einsum("ijp,klp->ijkl", influence, influence) * images / (images - 1)
    other = ~np.eye(readers, dtype=bool)
    cov2 = np.mean([covariance[i, :, i, :][other].mean() for i in (0, 1)])  # one reading, two readers
    cov3 = covariance[0, :, 1, :][other].mean()  # two readings, two readers
    error = ms_tr + readers * max(cov2 - cov3, 0)
    freedom = error**2 / (ms_tr**2 / (readers - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(2 / readers * error)

    found = mean_change_over_readers([after.minus(before) for before, after in zip(*table, strict=True)])
    assert found.value == pytest.approx(area[1].mean() - area[0].mean())
    assert (found.interval.low, found.interval.high) == pytest.approx((found.value - half, found.value + half))


def test_the_mean_of_two_readers_by_hand() -> None:
    # reader 1 gains two of four images, reader 2 none of them but the second
    differences = [np.array([1, 1, 0, 0]), np.array([0, 1, 0, 0])]
    estimates = [
        PatientEstimate(value=float(d.mean()), patients=np.arange(4), influence=(d - d.mean()) / 4, least_error=0.0)
        for d in differences
    ]
    spread = (0.5 - 0.25) ** 2 / 2  # 1/32
    shared = (0.5 * -0.25 + 0.5 * 0.75 + -0.5 * -0.25 + -0.5 * -0.25) / 16 * 4 / 3  # 1/24
    total = spread + 2 * shared
    half = stats.t.ppf(0.975, (total / spread) ** 2) * math.sqrt(total / 2)
    change = mean_change_over_readers(estimates)
    assert change.value == 0.375
    assert change.interval.low == pytest.approx(0.375 - half)
    assert change.interval.high == pytest.approx(min(0.375 + half, 1))
    mean = mean_over_readers(estimates)
    ends = [1 / (1 + math.exp(-math.log(0.375 / 0.625) - sign * half / (0.375 * 0.625))) for sign in (-1, 1)]
    assert (mean.interval.low, mean.interval.high) == pytest.approx(ends)


@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([6, 12, 40]))
def test_a_mean_is_never_known_better_than_that_of_these_very_readers(seed: int, readers: int, images: int) -> None:
    estimates = changes(np.random.default_rng(seed), readers, images)
    found = mean_change_over_readers(estimates)
    these = mean_estimate(estimates)
    error = these.standard_error  # other patients, the same readers
    if np.abs(these.influence).max() > 1e-6:
        assert found.interval.high >= min(found.value + 1.95996 * error, 1)
        assert found.interval.low <= max(found.value - 1.95996 * error, -1)


def test_readers_who_answer_alike_are_as_one_with_the_images_alone() -> None:
    one = share_estimate([1, 0, 1, 1, 0, 1, 1, 0, 0, 1], range(10))
    found = mean_change_over_readers([one, one, one])
    half = 1.959963984540054 * one.standard_error
    assert (found.interval.low, found.interval.high) == pytest.approx((0.6 - half, 0.6 + half))


@pytest.mark.parametrize("mean", [mean_over_readers, mean_change_over_readers])
def test_where_nothing_varies_there_is_no_interval(mean: Callable[[list[PatientEstimate]], Measured]) -> None:
    always = share_estimate([1, 1, 1, 1], range(4))
    found = mean([always, always])
    assert found.value == 1
    assert math.isnan(found.interval.low)
    with pytest.raises(ValueError, match="at least two"):
        mean([always])
    with pytest.raises(ValueError, match="other patients"):
        mean([always, share_estimate([1, 0, 1], range(3))])


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
