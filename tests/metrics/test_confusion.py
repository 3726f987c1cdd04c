from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from pneumobench.metrics.confusion import (
    Confusion,
    confusion_at,
    confusion_of,
)
from pneumobench.metrics.thresholds import (
    MAIN_RULE,
    MISS_COST,
    THRESHOLD_RULES,
    threshold_best,
    threshold_for_cost,
    threshold_for_sensitivity,
    threshold_for_specificity,
    threshold_youden,
)

images = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def test_threshold_itself_is_positive() -> None:
    found = confusion_at([0.5, np.nextafter(0.5, 0), 0.5, 0.9, 0.1], [1, 1, 0, 0, 0], threshold=0.5)
    assert found == Confusion(tp=1, fn=1, fp=2, tn=1)


def test_confusion_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    probability, has_pneumonia = np.round(rng.random(500), 2), rng.random(500) < 0.7
    for threshold in (0.0, 0.25, 0.5, 1.0, 1.5):
        matrix = sklearn_metrics.confusion_matrix(has_pneumonia, probability >= threshold, labels=[0, 1])
        found = confusion_at(probability, has_pneumonia, threshold=threshold)
        assert [found.tn, found.fp, found.fn, found.tp] == matrix.ravel().tolist()


def test_confusions_of_folds_add_up() -> None:
    rng = np.random.default_rng(2)
    probability, has_pneumonia = rng.random(90), rng.random(90) < 0.5
    parts = [confusion_at(probability[k::3], has_pneumonia[k::3], threshold=0.4) for k in range(3)]
    assert parts[0] + parts[1] + parts[2] == confusion_at(probability, has_pneumonia, threshold=0.4)


def test_bad_thresholds_and_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold is nan"):
        confusion_at([0.5], [1], threshold=math.nan)
    with pytest.raises(ValueError, match=r"found a negative one in Confusion\(tp=1, fn=-1"):
        Confusion(tp=1, fn=-1, fp=0, tn=0)


def test_decisions_already_taken_give_the_same_counts() -> None:
    probability, has_pneumonia = np.array([0.1, 0.5, 0.9, 0.4]), [0, 1, 0, 1]
    assert confusion_of(probability >= 0.5, has_pneumonia) == confusion_at(probability, has_pneumonia, threshold=0.5)
    with pytest.raises(ValueError, match="predicted_positive 2, has_pneumonia 3"):
        confusion_of([1, 0], [1, 0, 0])


def test_counts_are_told_as_papers_print_them() -> None:
    found = Confusion(tp=388, fn=2, fp=94, tn=140)
    assert (str(found), found.images, found.pneumonia) == ("TP 388, FN 2, FP 94, TN 140", 624, 390)


def _youden(probability: Any, has_pneumonia: Any, threshold: float) -> float:
    found = confusion_at(probability, has_pneumonia, threshold=threshold)
    return found.value("recall") + found.value("specificity") - 1


def test_hand_worked_youden_threshold() -> None:
    # Above 0.25: sensitivity 1, specificity 2/3. Above 0.5: 2/3 and 1. A tie: the more sensitive one wins.
    probability, has_pneumonia = [0.1, 0.2, 0.4, 0.3, 0.6, 0.8], [0, 0, 0, 1, 1, 1]
    assert threshold_youden(probability, has_pneumonia) == pytest.approx(0.25)


@settings(max_examples=100, deadline=None)
@given(images)
def test_youden_threshold_is_the_best_of_all(rows: list[tuple[float, bool]]) -> None:
    probability, has_pneumonia = [score for score, _ in rows], [label for _, label in rows]
    false_positive, true_positive, _ = sklearn_metrics.roc_curve(has_pneumonia, probability)
    threshold = threshold_youden(probability, has_pneumonia)
    best = float(np.max(true_positive - false_positive))
    assert _youden(probability, has_pneumonia, threshold) == pytest.approx(best, abs=1e-12)
    assert 0 <= threshold <= 1


def test_threshold_lies_midway_so_that_rounding_moves_nobody() -> None:
    probability, has_pneumonia = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 0, 1, 1])
    for shift in (-1e-6, 0.0, 1e-6):
        assert threshold_youden(probability + shift, has_pneumonia) == pytest.approx(0.5, abs=2e-6)


def test_neighbouring_floats_are_still_separated() -> None:
    low = 0.3
    for _ in range(4):  # half a step rounds down for every other pair
        high = float(np.nextafter(low, 1))
        assert _youden([low, high], [0, 1], threshold_youden([low, high], [0, 1])) == 1
        low = high


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_constant_model_calls_everybody_positive(value: float) -> None:
    threshold = threshold_youden([value] * 3, [0, 1, 1])
    assert confusion_at([value] * 3, [0, 1, 1], threshold=threshold) == Confusion(tp=2, fn=0, fp=1, tn=0)


def test_a_model_worse_than_chance_calls_everybody_positive() -> None:
    assert threshold_youden([0.2, 0.8], [1, 0]) == pytest.approx(0.1)


def test_hand_worked_threshold_for_specificity() -> None:
    negatives = np.arange(20) / 40  # 0 ... 0.475: 19 of 20 are 95 %
    probability, has_pneumonia = np.concatenate([negatives, [0.46, 0.9]]), [0] * 20 + [1, 1]
    threshold = threshold_for_specificity(probability, has_pneumonia)
    assert threshold == pytest.approx((0.45 + 0.46) / 2)
    assert confusion_at(probability, has_pneumonia, threshold=threshold) == Confusion(tp=2, fn=0, fp=1, tn=19)


def test_hand_worked_threshold_for_sensitivity() -> None:
    positives = 1 - np.arange(20) / 40
    probability, has_pneumonia = np.concatenate([positives, [0.535, 0.1]]), [1] * 20 + [0, 0]
    threshold = threshold_for_sensitivity(probability, has_pneumonia)
    assert threshold == pytest.approx((0.535 + 0.55) / 2)
    assert confusion_at(probability, has_pneumonia, threshold=threshold) == Confusion(tp=19, fn=1, fp=0, tn=2)


@settings(max_examples=100, deadline=None)
@given(images, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_thresholds_keep_their_promise_and_give_away_nothing(rows: list[tuple[float, bool]], at_least: float) -> None:
    probability, has_pneumonia = [score for score, _ in rows], [label for _, label in rows]
    false_positive, true_positive, _ = sklearn_metrics.roc_curve(has_pneumonia, probability, drop_intermediate=False)
    specific = confusion_at(
        probability,
        has_pneumonia,
        threshold=threshold_for_specificity(probability, has_pneumonia, at_least=at_least),
    )
    permitted = np.round(1 - false_positive, 12) >= at_least
    assert specific.value("specificity") >= at_least
    assert specific.value("recall") == pytest.approx(true_positive[permitted].max())
    sensitive = confusion_at(
        probability,
        has_pneumonia,
        threshold=threshold_for_sensitivity(probability, has_pneumonia, at_least=at_least),
    )
    assert sensitive.value("recall") >= at_least
    permitted = true_positive >= at_least
    assert sensitive.value("specificity") == pytest.approx(1 - false_positive[permitted].min())


def test_saturated_negatives_leave_only_calling_nobody_positive() -> None:
    for probability in ([1.0, 1.0, 0.3], [0.9, 0.9, 0.3], [np.nextafter(1, 0)] * 3):
        threshold = threshold_for_specificity(probability, [0, 0, 1])
        assert confusion_at(probability, [0, 0, 1], threshold=threshold) == Confusion(tp=0, fn=1, fp=0, tn=2)


@pytest.mark.parametrize("choose", [threshold_youden, threshold_for_specificity, threshold_for_sensitivity])
def test_a_tune_part_of_one_class_is_refused(choose: Any) -> None:
    with pytest.raises(ValueError, match="choosing a threshold needs both classes"):
        choose([0.1, 0.9], [1, 1])


@pytest.mark.parametrize("choose", [threshold_for_specificity, threshold_for_sensitivity])
@pytest.mark.parametrize("at_least", [0.0, 95.0, math.nan])
def test_shares_out_of_range_are_refused(choose: Any, at_least: float) -> None:
    with pytest.raises(ValueError, match=r"expected a share in \(0, 1\], such as 0.95"):
        choose([0.1, 0.9], [0, 1], at_least=at_least)


@given(st.data())
def test_thresholds_of_a_metric_or_a_cost_are_the_best_there_are(data: st.DataObject) -> None:
    count = data.draw(st.integers(4, 25))
    probability = np.array(
        data.draw(st.lists(st.sampled_from(np.linspace(0, 1, 9).tolist()), min_size=count, max_size=count))
    )
    label = np.arange(count) % 3 == 0
    every = [-0.1, *((np.unique(probability)[:-1] + np.unique(probability)[1:]) / 2), 1.1]
    for metric in ("f1", "mcc"):
        best = threshold_best(probability, label, metric=metric)
        values = [confusion_at(probability, label, threshold=t).value(metric) for t in every]
        reached = confusion_at(probability, label, threshold=best).value(metric)
        assert reached == pytest.approx(np.nanmax(values))
    for miss_cost in (0.5, 1, 5):
        costs = [miss_cost * c.fn + c.fp for c in (confusion_at(probability, label, threshold=t) for t in every)]
        chosen = confusion_at(probability, label, threshold=threshold_for_cost(probability, label, miss_cost=miss_cost))
        assert miss_cost * chosen.fn + chosen.fp == min(costs)


def test_a_cost_has_to_be_a_cost() -> None:
    with pytest.raises(ValueError, match="miss_cost is 0"):
        threshold_for_cost([0.1, 0.9], [0, 1], miss_cost=0)


def test_a_threshold_is_chosen_by_a_metric_that_decisions_have() -> None:
    with pytest.raises(ValueError, match="metric is 'auc'; expected one of a confusion matrix: accuracy, precision"):
        threshold_best([0.1, 0.9], [0, 1], metric="auc")


def test_every_rule_has_words_and_chooses_a_threshold() -> None:
    probability, label = np.linspace(0, 1, 21), np.arange(21) % 3 > 0
    assert next(iter(THRESHOLD_RULES)) == MAIN_RULE
    for name, rule in THRESHOLD_RULES.items():
        assert (rule.name, bool(rule.words)) == (name, True)
        assert 0 <= rule.choose(probability, label) <= 1
    assert THRESHOLD_RULES["cost"].words == f"a miss costs {MISS_COST} false alarms"
