from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from pneumobench.metrics.discrimination import (
    area_under_roc,
    average_precision,
    roc_curve,
    roc_curve_within_folds,
    within_folds,
)

images = st.lists(st.tuples(st.sampled_from(np.linspace(0, 1, 9).tolist()), st.booleans()), min_size=2).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def _random(seed: int, count: int, levels: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    has_pneumonia = rng.random(count) < 0.7
    has_pneumonia[:2] = [True, False]
    probability = 1 / (1 + np.exp(-rng.normal(size=count) - 2 * has_pneumonia))
    return (probability if levels is None else np.round(probability * levels) / levels), has_pneumonia


@pytest.mark.parametrize("levels", [None, 10, 1])
@pytest.mark.parametrize("count", [2, 57, 5216])
def test_areas_equal_scikit_learn_in_float64(count: int, levels: int | None) -> None:
    probability, has_pneumonia = _random(count, count, levels)
    auc, ap = area_under_roc(probability, has_pneumonia), average_precision(probability, has_pneumonia)
    assert auc == pytest.approx(sklearn_metrics.roc_auc_score(has_pneumonia, probability), abs=1e-13)
    assert ap == pytest.approx(sklearn_metrics.average_precision_score(has_pneumonia, probability), abs=1e-13)


def test_differences_below_float32_are_seen_and_ties_are_ties() -> None:
    rng = np.random.default_rng(3)
    probability = 0.5 + rng.integers(0, 50, 2000) * 1e-12  # one single value in float32
    has_pneumonia = rng.random(2000) < 0.2 + (probability - 0.5) * 1e10
    expected = sklearn_metrics.roc_auc_score(has_pneumonia, probability)
    assert expected > 0.6
    assert area_under_roc(probability, has_pneumonia) == pytest.approx(expected, abs=1e-13)
    assert area_under_roc(probability.astype(np.float32), has_pneumonia) == 0.5


def test_hand_worked_areas() -> None:
    # Six pairs: 0.9 beats all three negatives, 0.4 ties one, beats one, loses to one: 4.5 of 6.
    probability, has_pneumonia = [0.9, 0.4, 0.6, 0.4, 0.1], [1, 1, 0, 0, 0]
    assert area_under_roc(probability, has_pneumonia) == 0.75
    assert average_precision(probability, has_pneumonia) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_perfect_order_is_exactly_one_and_a_constant_exactly_half() -> None:
    for count in (7, 333, 5216):
        probability = np.linspace(0, 1, count)
        assert area_under_roc(probability, probability > 0.3) == 1.0
        assert average_precision(probability, probability > 0.3) == 1.0
        assert area_under_roc(np.full(count, 0.3), probability > 0.3) == 0.5


@pytest.mark.filterwarnings("error")
def test_one_class_is_nan_not_a_number_from_torchmetrics() -> None:
    for labels in ([0, 0, 0], [1, 1, 1]):
        assert math.isnan(area_under_roc([0.1, 0.5, 0.9], labels))
        assert math.isnan(average_precision([0.1, 0.5, 0.9], labels))


@pytest.mark.parametrize("function", [area_under_roc, average_precision, roc_curve])
def test_logits_are_refused(function: Any) -> None:
    with pytest.raises(ValueError, match="Are these logits"):
        function([-1.0, 2.0], [0, 1])


@pytest.mark.parametrize("levels", [None, 10])
def test_curve_equals_scikit_learn(levels: int | None) -> None:
    probability, has_pneumonia = _random(5, 400, levels)
    expected = sklearn_metrics.roc_curve(has_pneumonia, probability, drop_intermediate=False)
    for found, wanted in zip(roc_curve(probability, has_pneumonia), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15)


def test_hand_worked_curve_and_its_first_threshold() -> None:
    false_positive_rate, true_positive_rate, threshold = roc_curve([0.2, 1.0, 0.2, 0.7], [0, 1, 1, 0])
    assert threshold.tolist() == [math.inf, 1.0, 0.7, 0.2]
    assert false_positive_rate.tolist() == [0, 0, 0.5, 1]
    assert true_positive_rate.tolist() == [0, 0.5, 0.5, 1]


@pytest.mark.filterwarnings("ignore:No .* samples in targets")
def test_curve_of_one_class_has_nan_for_the_rate_that_was_not_measured() -> None:
    false_positive_rate, true_positive_rate, _ = roc_curve([0.2, 0.8], [1, 1])
    assert np.isnan(false_positive_rate).all()
    assert true_positive_rate.tolist() == [0, 0.5, 1]


@settings(max_examples=60, deadline=None)
@given(images)
def test_area_is_the_share_of_won_pairs_and_turns_round(rows: list[tuple[float, bool]]) -> None:
    positive = [score for score, label in rows if label]
    negative = [score for score, label in rows if not label]
    won = sum((p > n) + (p == n) / 2 for p in positive for n in negative) / (len(positive) * len(negative))
    scores, labels = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    assert area_under_roc(scores, labels) == pytest.approx(won, abs=1e-14)
    assert area_under_roc(1 - scores, labels) == pytest.approx(1 - won, abs=1e-14)
    assert area_under_roc(scores**3, labels) == area_under_roc(scores, labels)


@settings(max_examples=40, deadline=None)
@given(images, st.randoms())
def test_order_of_images_does_not_matter(rows: list[tuple[float, bool]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    for function in (area_under_roc, average_precision):
        assert function(*map(list, zip(*rows, strict=True))) == function(*map(list, zip(*shuffled, strict=True)))


def _of_folds() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(8)
    fold = rng.integers(0, 4, 400)
    label = rng.random(400) < 0.6
    return np.round(np.clip(rng.normal(0.3 + 0.1 * fold + 0.2 * label, 0.1), 0, 1), 2), label, fold


@pytest.mark.parametrize(
    ("metric", "reference"),
    [(area_under_roc, sklearn_metrics.roc_auc_score), (average_precision, sklearn_metrics.average_precision_score)],
)
def test_within_folds_is_the_mean_of_scikit_learn_by_fold(metric: Any, reference: Any) -> None:
    probability, label, fold = _of_folds()
    expected = sum(np.sum(fold == k) / 400 * reference(label[fold == k], probability[fold == k]) for k in range(4))
    assert within_folds(metric, probability, label, fold) == pytest.approx(expected, abs=1e-13)
    assert within_folds(metric, probability, label, fold * 7 + 2) == pytest.approx(expected, abs=1e-13)
    assert within_folds(metric, probability, label, None) == metric(probability, label)
    assert expected > reference(label, probability) + 0.02  # scales of their own make the pooled value smaller


def test_folds_of_one_class_are_left_out() -> None:
    probability, label, fold = _of_folds()
    kept = (fold != 2) | label
    without = fold != 2
    assert within_folds(area_under_roc, probability[kept], label[kept], fold[kept]) == pytest.approx(
        within_folds(area_under_roc, probability[without], label[without], fold[without])
    )
    assert math.isnan(within_folds(area_under_roc, [0.1, 0.9], [0, 1], [0, 1]))


def test_the_mean_curve_has_the_mean_area_and_the_mean_height() -> None:
    probability, label, fold = _of_folds()
    false_positive, true_positive = roc_curve_within_folds(probability, label, fold)
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
    assert (np.diff(false_positive) >= 0).all()
    assert (np.diff(true_positive) >= -1e-12).all()
    area = np.trapezoid(true_positive, false_positive)
    assert area == pytest.approx(within_folds(area_under_roc, probability, label, fold))
    curves = [roc_curve(probability[fold == k], label[fold == k])[:2] for k in range(4)]
    at = 0.3456789  # a rate at which no curve jumps
    heights = [np.interp(at, *curve) for curve in curves]
    weights = np.bincount(fold)
    assert np.interp(at, false_positive, true_positive) == pytest.approx(np.average(heights, weights=weights))
    assert roc_curve_within_folds([0.1, 0.9], [1, 1], None)[0].size == 0
