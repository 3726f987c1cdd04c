from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pneumobench.metrics.adjustment import adjusted_area_estimate, equal_strata, matched_pairs
from pneumobench.metrics.estimates import area_estimate

Floats = NDArray[np.float64]


def synthetic(seed: int, *, count: int = 600, signal: float = 0.0) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return scores that follow a fact, and by `signal` the label too; labels, which go with the fact; the fact."""
    rng = np.random.default_rng(seed)
    fact = rng.normal(size=count)
    label = (rng.random(count) < 1 / (1 + np.exp(-2 * fact))).astype(np.int64)
    score = fact + signal * label + 0.2 * rng.normal(size=count)
    return 1 / (1 + np.exp(-score)), label, fact


def by_hand(score: Floats, label: NDArray[np.int64], cell: NDArray[np.int64]) -> float:
    """Return the adjusted area by comparing every image with pneumonia with every normal one of its cell."""
    won = []
    for one in np.flatnonzero(label == 1):
        normal = score[(label == 0) & (cell == cell[one])]
        if normal.size:
            won.append(((normal < score[one]) + 0.5 * (normal == score[one])).mean())
    return float(np.mean(won))


def test_the_adjusted_area_is_that_of_all_comparisons_within_fold_and_stratum() -> None:
    rng = np.random.default_rng(0)
    score, label, fact = synthetic(1)
    score = score.round(1)  # ties
    fold, stratum = rng.integers(0, 3, label.size), equal_strata(fact, count=30)
    found = adjusted_area_estimate(score, label, np.arange(label.size), stratum, fold)
    assert found.estimate.value == pytest.approx(by_hand(score, label, fold * 100 + stratum))
    cells = {(f, s) for f, s, y in zip(fold, stratum, label, strict=True) if y == 0}
    ill = [(f, s) for f, s, y in zip(fold, stratum, label, strict=True) if y == 1]
    assert found.compared == pytest.approx(np.mean([cell in cells for cell in ill]))
    assert found.compared < 1


def test_one_stratum_is_no_adjustment() -> None:
    score, label, _ = synthetic(2)
    patient = np.arange(label.size) // 3
    found = adjusted_area_estimate(score, label, patient, np.zeros(label.size, int))
    plain = area_estimate(score, label, patient)
    assert found.estimate.value == pytest.approx(roc_auc_score(label, score))
    assert found.estimate.standard_error == pytest.approx(plain.standard_error)
    assert found.compared == 1


def test_a_score_that_follows_a_fact_alone_is_left_with_nothing_and_one_that_knows_more_is_not() -> None:
    for signal, expected in ((0.0, 0.5), (2.0, 0.99)):
        score, label, fact = synthetic(3, count=4000, signal=signal)
        fold = np.arange(label.size) % 5
        patient = np.arange(label.size)
        assert roc_auc_score(label, score) > 0.8
        adjusted = adjusted_area_estimate(score, label, patient, equal_strata(fact, count=40), fold).estimate
        assert adjusted.value == pytest.approx(expected, abs=0.05)
        rows = matched_pairs(fact[:, None], label, fold).ravel()
        matched = area_estimate(score[rows], label[rows], patient[rows], fold[rows])
        assert matched.value == pytest.approx(expected, abs=0.05)
        low, high = matched.area_interval().low, matched.area_interval().high
        assert (low <= 0.5 <= high) == (signal == 0)


def test_the_error_is_that_of_patients_drawn_again() -> None:
    rng = np.random.default_rng(4)
    score, label, fact = synthetic(5, count=900, signal=1.0)
    patient = np.arange(900) // 3
    stratum = equal_strata(fact, count=5)
    found = adjusted_area_estimate(score, label, patient, stratum).estimate
    drawn = []
    for _ in range(400):
        chosen = rng.integers(0, 300, 300)
        rows = (chosen[:, None] * 3 + np.arange(3)).ravel()
        drawn.append(adjusted_area_estimate(score[rows], label[rows], rows, stratum[rows]).estimate.value)
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.12)
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)


def test_strata_of_one_class_leave_nothing_to_compare() -> None:
    found = adjusted_area_estimate([0.2, 0.3, 0.8, 0.9], [0, 0, 1, 1], list("abcd"), [0, 0, 1, 1])
    assert np.isnan(found.estimate.value)
    assert np.isnan(found.estimate.area_interval().low)
    assert found.compared == 0
    perfect = adjusted_area_estimate([0.2, 0.3, 0.8, 0.9] * 4, [0, 0, 1, 1] * 4, np.arange(16), [0, 0, 0, 1] * 4)
    assert perfect.estimate.value == 1
    assert perfect.compared == 0.5
    assert 0.2 < perfect.estimate.area_interval().low < 1


def test_pairs_are_as_many_and_as_close_as_can_be() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        values, label = rng.normal(size=(8, 2)), np.array([0, 0, 0, 0, 1, 1, 1, 1])
        found = matched_pairs(values, label, caliper_sd=0.8)
        z = values / values.std(axis=0)
        best = (0, 0.0)
        for order in itertools.permutations(range(4)):  # of the normal images, in which one may stay alone
            apart = np.abs(z[4:] - z[list(order)])
            inside = (apart <= 0.8).all(axis=1)
            best = max(best, (int(inside.sum()), -float(apart[inside].mean(axis=1).sum())))
        apart = np.abs(z[found[:, 0]] - z[found[:, 1]])
        assert (len(found), -float(apart.mean(axis=1).sum())) == pytest.approx(best)
        assert (apart <= 0.8).all()
        assert (label[found] == [1, 0]).all()
        assert len(set(found.ravel())) == found.size


def test_pairs_are_of_one_fold_and_know_all_covariates() -> None:
    values = np.array([[1.0], [1.0], [1.0], [1.0], [np.nan], [5.0]])
    label, fold = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 1, 1, 0, 0, 0])
    assert matched_pairs(values, label, fold).tolist() == [[3, 0], [1, 2]]
    assert matched_pairs(np.full((6, 1), np.nan), label).size == 0


def test_equal_strata_are_of_equal_size_and_keep_ties_together() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=100)
    strata = equal_strata(values, count=5)
    assert np.bincount(strata).tolist() == [20] * 5
    assert values[strata == 0].max() < values[strata == 1].min()
    assert set(equal_strata(np.ones(10), count=5)) == {0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matched_pairs([1.0, 2.0], [0, 1]), r"shape \(2,\); expected \(images, covariates\)"),
        (lambda: matched_pairs([[1.0], [2.0]], [0, 1], caliper_sd=0), "caliper_sd is 0; expected more than 0"),
        (lambda: matched_pairs([[1.0], [2.0]], [0, 1, 1]), "covariates"),
        (lambda: equal_strata([1.0], count=0), "count is 0; expected at least 1"),
        (lambda: equal_strata([np.nan], count=2), "NaN or infinity"),
        (lambda: adjusted_area_estimate([0.1, 0.2], [0, 1], ["a", "b"], [0]), "strata"),
    ],
)
def test_malformed_input_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
