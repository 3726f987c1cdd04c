from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from pneumobench.metrics.estimates import LEAST_P, PatientEstimate, area_estimate, mean_estimate


def _scored(patients: int = 60, seed: int = 0, shift: float = 1.5) -> tuple[NDArray[Any], ...]:
    """Probabilities with ties, labels, patients and folds; several images a patient, all of one class and fold."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
    sick = rng.random(patients) < 0.6
    logit = rng.normal(size=patients)[patient] + shift * sick[patient] + rng.normal(0, 0.5, patient.size)
    fold = rng.integers(0, 3, patients)
    names = np.array([f"person{number:03d}" for number in range(patients)])
    return np.round(1 / (1 + np.exp(-logit)), 2), sick[patient], names[patient], fold[patient]


def _by_loops(probability: Any, label: Any, patient: Any, fold: Any) -> tuple[float, dict[str, float]]:
    """Return area within folds and the influence of each patient, pair by pair."""
    value, influence = 0.0, dict.fromkeys(sorted(set(patient.tolist())), 0.0)
    for number in set(fold.tolist()):
        rows = [row for row in range(len(label)) if fold[row] == number]
        ill, well = [row for row in rows if label[row]], [row for row in rows if not label[row]]
        won = {
            (i, j): (probability[i] > probability[j]) + (probability[i] == probability[j]) / 2
            for i in ill
            for j in well
        }
        area, weight = sum(won.values()) / len(won), len(rows) / len(label)
        value += weight * area
        for i in ill:
            influence[patient[i]] += weight * (sum(won[i, j] for j in well) / len(well) - area) / len(ill)
        for j in well:
            influence[patient[j]] += weight * (sum(won[i, j] for i in ill) / len(ill) - area) / len(well)
    return value, influence


def test_area_and_influences_equal_those_of_explicit_pairs() -> None:
    probability, label, patient, fold = _scored()
    found = area_estimate(probability, label, patient, fold)
    value, influence = _by_loops(probability, label, patient, fold)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.patients.tolist() == list(influence)
    np.testing.assert_allclose(found.influence, list(influence.values()), atol=1e-15)
    count = len(influence)
    assert found.standard_error == pytest.approx(
        math.sqrt(sum(each**2 for each in influence.values()) * count / (count - 1))
    )


def test_error_is_that_of_patients_left_out_one_by_one() -> None:
    probability, label, patient, fold = _scored(150)
    folds = sorted(set(fold.tolist()))
    share = {number: np.mean(fold == number) for number in folds}

    def area(kept: Any) -> float:
        return float(
            sum(share[n] * roc_auc_score(label[kept & (fold == n)], probability[kept & (fold == n)]) for n in folds)
        )

    names = np.unique(patient)
    left_out = np.array([area(patient != name) for name in names])
    jackknife = math.sqrt((len(names) - 1) / len(names) * np.sum((left_out - left_out.mean()) ** 2))
    assert area_estimate(probability, label, patient, fold).standard_error == pytest.approx(jackknife, rel=0.05)


def test_interval_is_symmetric_on_the_logit_scale() -> None:
    found = area_estimate(*_scored())
    half = stats.norm.ppf(0.975) * found.standard_error / (found.value * (1 - found.value))
    odds = math.log(found.value / (1 - found.value))
    interval = found.area_interval()
    expected = [1 / (1 + math.exp(-(odds - half))), 1 / (1 + math.exp(-(odds + half)))]
    assert [interval.low, interval.high] == pytest.approx(expected)


def test_images_of_a_patient_are_taken_together() -> None:
    probability, label, patient, fold = _scored()
    by_patient = area_estimate(probability, label, patient, fold)
    by_image = area_estimate(probability, label, np.arange(label.size), fold)
    assert by_image.value == by_patient.value
    assert by_patient.standard_error > 1.3 * by_image.standard_error


def test_the_scale_of_a_fold_changes_nothing() -> None:
    probability, label, patient, fold = _scored()
    moved = (probability + 2 * fold) / 10  # every image of fold 2 now scores above every image of fold 0
    first, second = (area_estimate(scores, label, patient, fold) for scores in (probability, moved))
    assert first.value == second.value
    np.testing.assert_array_equal(first.influence, second.influence)
    assert abs(roc_auc_score(label, moved) - roc_auc_score(label, probability)) > 0.05  # what pooling would make of it


def test_a_perfect_area_has_newcombes_interval_and_a_chance_one_a_point() -> None:
    label = np.array([0, 0, 0, 1, 1, 1, 1])
    perfect = area_estimate(label * 0.8, label, np.arange(7))
    interval = perfect.area_interval()
    assert interval.high == 1
    low, z = interval.low, stats.norm.ppf(0.975)
    # Newcombe 2006, method 5: with 4 and 3 patients
    spread = (1 - low) / (2 - low) + low / (1 + low)
    assert (1 - low) ** 2 == pytest.approx(z**2 * low * (1 - low) * (1 + 2.5 * spread) / 12, rel=1e-6)
    upside_down = area_estimate(0.8 - label * 0.8, label, np.arange(7)).area_interval()
    assert (upside_down.low, upside_down.high) == pytest.approx((0, 1 - low))
    more = np.tile(label, 20)
    assert area_estimate(more * 0.8, more, np.arange(140)).area_interval().low > 0.95
    same_patients = area_estimate(more * 0.8, more, np.tile(np.arange(7), 20)).area_interval()
    assert same_patients.low == pytest.approx(low)  # 20 images of a patient are one patient
    constant = area_estimate(np.full(7, 0.4), label, np.arange(7)).area_interval()
    assert (constant.low, constant.high) == (0.5, 0.5)


def test_what_is_not_defined_is_nan() -> None:
    no_fold = area_estimate([0.1, 0.4, 0.8], [0, 0, 1], ["a", "b", "c"], [0, 0, 1])
    assert math.isnan(no_fold.value)
    assert math.isnan(no_fold.area_interval().low)
    assert math.isnan(no_fold.p_value())
    one_patient = area_estimate([0.1, 0.4, 0.8], [0, 0, 1], ["a", "a", "a"])
    assert one_patient.value == 1
    assert math.isnan(one_patient.area_interval().low)


def test_a_fold_of_one_class_is_left_out_of_the_mean() -> None:
    probability, label, patient, fold = _scored()
    kept = (fold != 1) | label
    found = area_estimate(probability[kept], label[kept], patient[kept], fold[kept])
    without = fold != 1
    expected = area_estimate(probability[without], label[without], patient[without], fold[without])
    assert found.value == pytest.approx(expected.value)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.02)


def test_differences_pair_the_patients_that_both_have() -> None:
    probability, label, patient, fold = _scored()
    other = np.clip(probability + np.random.default_rng(1).normal(0, 0.05, label.size), 0, 1)
    first, second = (area_estimate(scores, label, patient, fold) for scores in (probability, other))
    difference = first.minus(second)
    assert difference.value == first.value - second.value
    np.testing.assert_array_equal(difference.influence, first.influence - second.influence)
    assert difference.standard_error < 0.5 * math.hypot(first.standard_error, second.standard_error)
    strangers = area_estimate(other, label, np.char.add("other ", patient), fold)
    apart = first.minus(strangers)
    assert apart.patients.size == 2 * first.patients.size
    assert apart.standard_error == pytest.approx(math.hypot(first.standard_error, strangers.standard_error), rel=0.02)
    half = patient < "person030"
    part = area_estimate(other[half], label[half], patient[half], fold[half])
    assert first.minus(part).patients.tolist() == first.patients.tolist()
    kurtosis = np.mean(difference.influence**4) / np.mean(difference.influence**2) ** 2
    assert difference.degrees_of_freedom == pytest.approx(2 * difference.patients.size / (kurtosis - 1))
    interval = difference.difference_interval()
    reach = stats.t.ppf(0.975, difference.degrees_of_freedom) * difference.standard_error
    assert [interval.low, interval.high] == pytest.approx([difference.value - reach, difference.value + reach])
    expected = 2 * stats.t.sf(abs(difference.value) / difference.standard_error, difference.degrees_of_freedom)
    assert difference.p_value() == pytest.approx(expected)


def test_p_values_of_nothing_and_of_everything() -> None:
    label = np.repeat([0, 1], 50)
    perfect = area_estimate(label * 0.8, label, np.arange(100))
    chance = area_estimate(np.full(100, 0.5), label, np.arange(100))
    assert perfect.minus(perfect).p_value() == 1
    assert perfect.minus(chance).p_value() == LEAST_P  # neither has an influence, and still they differ
    assert perfect.minus(chance).difference_interval().low < 0.5


def test_mean_of_areas() -> None:
    probability, label, patient, fold = _scored()
    areas = [area_estimate(scores, label, patient, fold) for scores in (probability, probability**2, 1 - probability)]
    found = mean_estimate(areas)
    assert found.value == pytest.approx(np.mean([area.value for area in areas]))
    np.testing.assert_allclose(found.influence, np.mean([area.influence for area in areas], axis=0))
    with pytest.raises(ValueError, match="all of the same patients"):
        mean_estimate([areas[0], area_estimate(probability[1:], label[1:], np.arange(label.size - 1))])
    with pytest.raises(ValueError, match="at least one"):
        mean_estimate([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": [1, 2]}, "lengths differ: probability 3, groups 2"),
        ({"groups": [1.5, 2.5, 3.5]}, "groups holds float64 values"),
        ({"probability": [0.1, 2.0, 0.3]}, "Are these logits"),
        ({"folds": [0, 1]}, r"folds holds int64 values of shape \(2,\); expected one whole number for each of 3"),
        ({"folds": [0.5, 1.0, 1.0]}, "folds holds float64 values"),
    ],
)
def test_malformed_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"probability": [0.1, 0.2, 0.3], "has_pneumonia": [0, 1, 1], "groups": [1, 2, 3]}
    with pytest.raises(ValueError, match=message):
        area_estimate(**(usual | arguments))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 0.6, 1.0]), st.booleans(), st.integers(0, 5), st.integers(0, 2)),
        min_size=1,
    )
)
def test_intervals_hold_the_area_and_stay_in_the_unit_interval(rows: list[tuple[float, bool, int, int]]) -> None:
    found = area_estimate(*(np.array(column) for column in zip(*rows, strict=True)))
    interval = found.area_interval()
    if math.isnan(found.value) or found.patients.size < 2:
        assert math.isnan(interval.low)
    else:
        assert 0 <= interval.low <= found.value + 1e-12
        assert found.value - 1e-12 <= interval.high <= 1
        assert found.influence.sum() == pytest.approx(0, abs=1e-12)
        assert found.degrees_of_freedom > 2


def test_intervals_cover_where_percentiles_of_a_bootstrap_do_not() -> None:
    """A small piece of benchmark/statistics/interval_coverage.py: true area .994, 200 patients."""
    shift, held = stats.norm.ppf(0.994) * math.sqrt(2), 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        label = np.arange(200) % 2
        probability = stats.norm.cdf((rng.normal(size=200) + shift * label) / 5)
        interval = area_estimate(probability, label, np.arange(200), np.arange(200) // 2 % 5).area_interval()
        held += interval.low <= 0.994 <= interval.high
    assert held >= 0.93 * 400  # percentiles hold about .87


def test_an_estimate_is_what_it_was_given() -> None:
    one = PatientEstimate(value=0.2, patients=np.array([1, 2]), influence=np.array([0.1, -0.1]), least_error=0.0)
    assert one.standard_error == pytest.approx(math.sqrt(0.02 * 2))
    assert one.degrees_of_freedom == math.inf  # both of one size: as certain as can be
    assert one.p_value() == pytest.approx(2 * stats.norm.sf(0.2 / 0.2))
