from __future__ import annotations

import dataclasses
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from pneumobench.metrics.comparison import (
    AucComparison,
    AucDifference,
    differences_from,
    holm,
    paired_auc_differences,
    top_group,
)
from pneumobench.metrics.estimates import PatientEstimate, area_estimate
from pneumobench.metrics.intervals import patient_weights


def _models(
    noises: dict[str, float], *, patients: int = 150, seed: int = 0
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Probabilities of models that see the same signal under more or less noise; two images a patient."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), 2)
    has_pneumonia = np.repeat(rng.random(patients) < 0.6, 2)
    signal = 1.5 * has_pneumonia + rng.normal(size=groups.size)
    logits = {name: signal + rng.normal(0, noise, groups.size) for name, noise in noises.items()}
    return {name: 1 / (1 + np.exp(-logit)) for name, logit in logits.items()}, has_pneumonia, groups


def _areas(
    noises: dict[str, float], *, patients: int = 150, seed: int = 0, folds: int = 3
) -> dict[str, PatientEstimate]:
    probabilities, has_pneumonia, groups = _models(noises, patients=patients, seed=seed)
    return {name: area_estimate(p, has_pneumonia, groups, groups % folds) for name, p in probabilities.items()}


def test_differences_are_those_of_the_estimates_and_areas_those_of_scikit_learn_within_folds() -> None:
    noises = {"blurred": 1.0, "sharp": 0.3, "middling": 0.4}
    probabilities, has_pneumonia, groups = _models(noises)
    areas = _areas(noises)
    found = paired_auc_differences(areas)
    fold = groups % 3
    expected = {
        name: np.mean([roc_auc_score(has_pneumonia[fold == k], p[fold == k]) for k in range(3)])  # of equal size
        for name, p in probabilities.items()
    }
    assert found.area_under_roc == pytest.approx(expected)
    ranked = sorted(expected, key=lambda name: -expected[name])
    assert list(found.area_under_roc) == ranked
    assert [(pair.better, pair.worse) for pair in found.differences] == list(combinations(ranked, 2))
    for pair in found.differences:
        error = areas[pair.better].influence - areas[pair.worse].influence
        spread = math.sqrt(150 / 149 * float(error @ error))
        freedom = 2 * 150 / (np.mean(error**4) / np.mean(error**2) ** 2 - 1)
        reach = stats.t.ppf(0.975, freedom) * spread
        assert pair.difference == pytest.approx(expected[pair.better] - expected[pair.worse], abs=1e-12)
        assert [pair.low, pair.high] == pytest.approx([pair.difference - reach, pair.difference + reach])
        assert pair.p_value == pytest.approx(2 * stats.t.sf(pair.difference / spread, freedom))
    assert [pair.p_holm for pair in found.differences] == holm([pair.p_value for pair in found.differences])


def test_a_test_by_patient_agrees_with_a_bootstrap_of_patients() -> None:
    areas = _areas({"a": 0.5, "b": 0.9}, patients=400, folds=1)
    probabilities, has_pneumonia, groups = _models({"a": 0.5, "b": 0.9}, patients=400)
    drawn = []
    for weights in np.concatenate(list(patient_weights(groups, resamples=200, seed=0))):
        first, second = (roc_auc_score(has_pneumonia, p, sample_weight=weights) for p in probabilities.values())
        drawn.append(first - second)
    (pair,) = paired_auc_differences(areas).differences
    assert (pair.high - pair.low) / (2 * 1.96) == pytest.approx(np.std(drawn), rel=0.2)


def test_a_clear_difference_is_found_and_equal_models_stay_together() -> None:
    areas = _areas({"a": 0.1, "b": 3.0})
    areas["a_again"] = areas["a"]
    found = paired_auc_differences(areas)
    pairs = {(pair.better, pair.worse): pair for pair in found.differences}
    assert pairs["a", "b"].p_value < 1e-6
    assert pairs["a", "b"].p_holm == pytest.approx(3 * pairs["a", "b"].p_value)
    assert pairs["a", "b"].low > 0
    same = pairs["a", "a_again"]
    assert (same.difference, same.low, same.high, same.p_value, same.p_holm) == (0, 0, 0, 1, 1)
    assert top_group(found) == ["a", "a_again"]


def test_false_alarms_keep_to_their_level() -> None:
    alarms = 0
    for seed in range(300):
        areas = _areas({"a": 1.0, "b": 1.0}, patients=80, seed=seed)
        alarms += paired_auc_differences(areas).differences[0].p_value < 0.05
    assert 3 <= alarms <= 27  # 5 % of 300 is 15; three standard deviations are 12


def test_order_of_names_and_of_images_changes_nothing() -> None:
    noises = {"a": 0.5, "b": 0.6, "c": 2.0}
    found = paired_auc_differences(_areas(noises))
    assert paired_auc_differences(dict(reversed(_areas(noises).items()))) == found
    probabilities, has_pneumonia, groups = _models(noises)
    order = np.random.default_rng(0).permutation(groups.size)
    shuffled = {
        name: area_estimate(p[order], has_pneumonia[order], groups[order], groups[order] % 3)
        for name, p in probabilities.items()
    }
    for pair, other in zip(paired_auc_differences(shuffled).differences, found.differences, strict=True):
        assert dataclasses.astuple(pair) == pytest.approx(dataclasses.astuple(other))


def test_folds_with_scales_of_their_own_do_not_change_who_is_first() -> None:
    """The better network has five scales; over the pooled images it falls behind the worse one."""
    probabilities, has_pneumonia, groups = _models({"better": 0.3, "worse": 0.9}, patients=600)
    fold = groups % 5
    probabilities["better"] = (probabilities["better"] + 0.8 * fold) / 5
    pooled = {name: roc_auc_score(has_pneumonia, p) for name, p in probabilities.items()}
    assert pooled["better"] < pooled["worse"] - 0.02
    areas = {name: area_estimate(p, has_pneumonia, groups, fold) for name, p in probabilities.items()}
    found = paired_auc_differences(areas)
    assert list(found.area_under_roc) == ["better", "worse"]
    assert found.differences[0].p_value < 0.001


def test_differences_from_one_are_corrected_among_themselves() -> None:
    areas = _areas({"control": 0.8, "a": 0.1, "b": 0.85, "c": 3.0})
    found = differences_from("control", areas)
    assert list(found) == ["a", "b", "c"]
    pairs = {(p.better, p.worse): p for p in paired_auc_differences(areas).differences}
    expected = [pairs["a", "control"], found["b"], pairs["control", "c"]]
    assert [pair.p_holm for pair in found.values()] == holm([pair.p_value for pair in expected])
    assert (found["a"].better, found["c"].better) == ("a", "control")
    assert found["a"].p_holm < pairs["a", "control"].p_holm  # three tests, not six


def test_one_architecture_is_its_own_top_group() -> None:
    found = paired_auc_differences(_areas({"alone": 0.5}))
    assert found.differences == ()
    assert top_group(found) == ["alone"]


def _pair(better: str, worse: str, p_holm: float) -> AucDifference:
    return AucDifference(
        better=better, worse=worse, difference=0.1, low=0.0, high=0.2, p_value=p_holm / 6, p_holm=p_holm
    )


def test_top_group_is_measured_against_the_best_only() -> None:
    comparison = AucComparison(
        area_under_roc={"best": 0.9, "near": 0.89, "border": 0.88, "far": 0.7},
        differences=(
            _pair("best", "near", 0.4),
            _pair("best", "border", 0.05),
            _pair("best", "far", 0.0499),
            _pair("near", "border", 0.01),
            _pair("near", "far", 0.3),
            _pair("border", "far", 0.3),
        ),
    )
    assert top_group(comparison) == ["best", "near", "border"]


def test_hand_worked_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_rejects_what_the_step_down_rule_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= adjusted <= 1 for p, adjusted in zip(p_values, corrected, strict=True))
    rejected: set[int] = set()
    ordered = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for place, index in enumerate(ordered):
        if (len(p_values) - place) * p_values[index] >= 0.05:
            break
        rejected.add(index)
    assert {index for index, adjusted in enumerate(corrected) if adjusted < 0.05} == rejected


def test_malformed_comparisons_are_refused() -> None:
    with pytest.raises(ValueError, match="no architecture to compare"):
        paired_auc_differences({})
    probabilities, has_pneumonia, groups = _models({"a": 0.5, "b": 0.6})
    areas = {name: area_estimate(p, has_pneumonia, groups) for name, p in probabilities.items()}
    one_class = area_estimate(probabilities["b"], np.ones_like(has_pneumonia), groups)
    with pytest.raises(ValueError, match="architecture b: no fold has images of both classes"):
        paired_auc_differences({"a": areas["a"], "b": one_class})
    with pytest.raises(ValueError, match="all images are of one patient"):
        paired_auc_differences({"a": area_estimate(probabilities["a"], has_pneumonia, np.zeros_like(groups))})
