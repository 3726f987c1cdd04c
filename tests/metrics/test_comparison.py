from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pneumobench.metrics.comparison import (
    AucComparison,
    AucDifference,
    holm,
    paired_auc_differences,
    resamples_for,
    top_group,
)
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


def test_differences_and_p_values_equal_explicit_resampling() -> None:
    probabilities, has_pneumonia, groups = _models({"blurred": 1.0, "sharp": 0.3, "middling": 0.4})
    found = paired_auc_differences(probabilities, has_pneumonia, groups, resamples=200, seed=6)
    weights = np.concatenate(list(patient_weights(groups, resamples=200, seed=6)))
    rows = [np.repeat(np.arange(groups.size), times) for times in weights]
    areas = {name: roc_auc_score(has_pneumonia, scores) for name, scores in probabilities.items()}
    assert found.area_under_roc == pytest.approx(areas)
    ranked = sorted(areas, key=lambda name: -areas[name])
    assert list(found.area_under_roc) == ranked
    assert [(pair.better, pair.worse) for pair in found.differences] == list(combinations(ranked, 2))
    for pair in found.differences:
        drawn = np.array(
            [
                roc_auc_score(has_pneumonia[row], probabilities[pair.better][row])
                - roc_auc_score(has_pneumonia[row], probabilities[pair.worse][row])
                for row in rows
            ]
        )
        assert pair.difference == pytest.approx(areas[pair.better] - areas[pair.worse], abs=1e-13)
        np.testing.assert_allclose([pair.low, pair.high], np.quantile(drawn, [0.025, 0.975]), atol=1e-12)
        tail = min(int(np.sum(drawn <= 1e-12)), int(np.sum(drawn >= -1e-12)))
        assert pair.p_value == pytest.approx(min(1, 2 * (1 + tail) / 201))


def test_a_clear_difference_is_found_and_equal_models_stay_together() -> None:
    probabilities, has_pneumonia, groups = _models({"a": 0.1, "b": 3.0})
    probabilities["a_again"] = probabilities["a"].copy()
    found = paired_auc_differences(probabilities, has_pneumonia, groups)
    pairs = {(pair.better, pair.worse): pair for pair in found.differences}
    assert pairs["a", "b"].p_value == pytest.approx(2 / 2001)
    assert pairs["a", "b"].p_holm == pytest.approx(6 / 2001)
    assert pairs["a", "b"].low > 0
    same = pairs["a", "a_again"]
    assert (same.difference, same.low, same.high, same.p_value, same.p_holm) == (0, 0, 0, 1, 1)
    assert top_group(found) == ["a", "a_again"]


def test_false_alarms_keep_to_their_level() -> None:
    alarms = 0
    for seed in range(150):
        probabilities, has_pneumonia, groups = _models({"a": 1.0, "b": 1.0}, patients=80, seed=seed)
        found = paired_auc_differences(probabilities, has_pneumonia, groups, resamples=300, seed=seed)
        alarms += found.differences[0].p_value < 0.05
    assert 1 <= alarms <= 17  # 5 % of 150 is 7.5; three standard deviations are 8


def test_order_of_names_and_of_images_changes_nothing() -> None:
    probabilities, has_pneumonia, groups = _models({"a": 0.5, "b": 0.6, "c": 2.0})
    found = paired_auc_differences(probabilities, has_pneumonia, groups, seed=1)
    turned = dict(reversed(probabilities.items()))
    assert paired_auc_differences(turned, has_pneumonia, groups, seed=1) == found
    order = np.random.default_rng(0).permutation(groups.size)
    shuffled = {name: scores[order] for name, scores in probabilities.items()}
    assert paired_auc_differences(shuffled, has_pneumonia[order], groups[order], seed=1) == found


def test_one_architecture_is_its_own_top_group() -> None:
    probabilities, has_pneumonia, groups = _models({"alone": 0.5})
    found = paired_auc_differences(probabilities, has_pneumonia, groups)
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


@pytest.mark.parametrize("architectures", [1, 2, 7, 8, 12, 30])
def test_resamples_leave_significance_within_reach(architectures: int) -> None:
    resamples = resamples_for(architectures)
    assert resamples >= 2000
    assert 2 / (1 + resamples) * math.comb(architectures, 2) <= 0.025 * (1 + 1e-12)


def test_malformed_comparisons_are_refused() -> None:
    probabilities, has_pneumonia, groups = _models({"a": 0.5, "b": 0.6})
    with pytest.raises(ValueError, match="no architecture to compare"):
        paired_auc_differences({}, has_pneumonia, groups)
    with pytest.raises(ValueError, match="comparing architectures needs both classes"):
        paired_auc_differences(probabilities, np.ones_like(has_pneumonia), groups)
    with pytest.raises(ValueError, match="all images are of one patient"):
        paired_auc_differences(probabilities, has_pneumonia, np.zeros_like(groups))
    with pytest.raises(ValueError, match="lengths differ: has_pneumonia 300, groups 299"):
        paired_auc_differences(probabilities, has_pneumonia, groups[1:])
    with pytest.raises(ValueError, match="architecture b: lengths differ: probability 299, has_pneumonia 300"):
        paired_auc_differences(probabilities | {"b": probabilities["b"][1:]}, has_pneumonia, groups)
    many = {f"model{number}": probabilities["a"] for number in range(12)}
    with pytest.raises(ValueError, match=r"2000 resamples cannot show a difference among 66 pairs; .* 5279"):
        paired_auc_differences(many, has_pneumonia, groups, resamples=2000)
