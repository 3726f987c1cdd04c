from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

from pneumobench.metrics import intervals
from pneumobench.metrics.decision_intervals import confusion_metric_intervals
from pneumobench.metrics.intervals import (
    bootstrap_interval,
    mean_interval,
    patient_weights,
    percentile_interval,
)
from pneumobench.metrics.table import COUNT_METRICS


def _radiographs(patients: int = 60, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Probabilities with ties, labels and patient names; several images a patient, all of one class."""
    rng = np.random.default_rng(seed)
    radiographs = rng.integers(1, 6, patients)
    sick = rng.random(patients) < 0.6
    patient = np.repeat(np.arange(patients), radiographs)
    logit = np.repeat(rng.normal(size=patients) + 1.5 * sick, radiographs) + rng.normal(0, 0.3, radiographs.sum())
    names = np.array([f"person{number}" for number in range(patients)])
    return np.round(1 / (1 + np.exp(-logit)), 2), sick[patient], names[patient]


def _all_weights(groups: Any, resamples: int, seed: int) -> NDArray[Any]:
    return np.concatenate(list(patient_weights(groups, resamples=resamples, seed=seed)))


def test_all_images_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are() -> None:
    _, _, groups = _radiographs()
    weights = _all_weights(groups, 300, 7)
    assert weights.shape == (300, groups.size)
    names, first = np.unique(groups, return_index=True)
    per_patient = weights[:, first]
    assert (per_patient.sum(axis=1) == names.size).all()
    np.testing.assert_array_equal(weights, per_patient[:, np.searchsorted(names, groups)])


def test_patients_are_drawn_evenly() -> None:
    weights = _all_weights(np.arange(50), 4000, 1)
    # Each patient is drawn Binomial(50, 1/50) times: mean 1, variance 0.98; bounds of five standard errors.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 * math.sqrt(0.98 / 4000))
    assert weights.var() == pytest.approx(0.98, abs=0.03)
    correlation = np.corrcoef(weights.T)[np.triu_indices(50, 1)].mean()
    assert correlation == pytest.approx(-1 / 49, abs=0.003)


def test_weights_are_those_of_an_explicit_draw_from_the_raw_bits() -> None:
    bits = np.random.PCG64(np.random.SeedSequence(5))
    expected = []
    for _ in range(4):
        drawn = Counter(int((int(raw) >> 11) / 2**53 * 3) for raw in bits.random_raw(3))
        expected.append([drawn[0], drawn[1], drawn[0], drawn[2]])
    assert _all_weights(["a", "b", "a", "c"], 4, 5).tolist() == expected


def test_weights_do_not_depend_on_the_chunks_and_do_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, groups = _radiographs()
    whole = _all_weights(groups, 50, 3)
    monkeypatch.setattr(intervals, "CHUNK_VALUES", 7 * groups.size)
    chunks = list(patient_weights(groups, resamples=50, seed=3))
    assert [len(chunk) for chunk in chunks] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    assert not np.array_equal(_all_weights(groups, 50, 4), whole)


def test_memory_of_a_chunk_is_bounded() -> None:
    groups = np.arange(5216) // 2
    chunk = next(patient_weights(groups, resamples=2000, seed=0))
    assert chunk.size <= intervals.CHUNK_VALUES


def test_confusion_intervals_equal_explicit_resampling() -> None:
    probability, has_pneumonia, groups = _radiographs()
    called = probability >= 0.6
    found = confusion_metric_intervals(called, has_pneumonia, groups, resamples=80, seed=9)
    explicit: dict[str, list[float]] = {"balanced_accuracy": [], "mcc": []}
    for times in _all_weights(groups, 80, 9):
        rows = np.repeat(np.arange(groups.size), times)
        truth, decision = has_pneumonia[rows], called[rows]
        explicit["balanced_accuracy"].append(float(balanced_accuracy_score(truth, decision)))
        explicit["mcc"].append(float(matthews_corrcoef(truth, decision)))
    for name, values in explicit.items():
        expected = np.quantile(values, [0.025, 0.975])
        np.testing.assert_allclose([found[name].low, found[name].high], expected, atol=1e-12)
    assert list(found) == list(COUNT_METRICS)


def test_mean_interval_leaves_nan_out() -> None:
    values = np.array([0.1, np.nan, 0.4, 0.8, 0.6])
    groups = np.array(["a", "a", "b", "c", "c"])
    measured = ~np.isnan(values)
    weights = _all_weights(groups[measured], 300, 4)
    means = [np.repeat(values[measured], times).mean() for times in weights]
    found = mean_interval(values, groups, resamples=300, seed=4)
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.025, 0.975]), atol=1e-12)


def test_intervals_by_patient_are_wider_than_by_image_and_cover_the_truth() -> None:
    covered = by_image_covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(40), 8)
        values = rng.normal(size=40)[patient] + rng.normal(0, 0.1, patient.size)  # the true mean is 0
        clustered = mean_interval(values, patient, resamples=200, seed=seed)
        by_radiograph = mean_interval(values, np.arange(patient.size), resamples=200, seed=seed)
        covered += clustered.low <= 0 <= clustered.high
        by_image_covered += by_radiograph.low <= 0 <= by_radiograph.high
    assert 178 <= covered <= 200  # 95 % of 200 is 190, less the known shortfall of 40 patients
    assert by_image_covered < 130  # this test can tell the wrong interval from the right one


def test_one_patient_has_no_interval() -> None:
    assert math.isnan(mean_interval([0.5], ["a"], resamples=10).high)
    assert mean_interval([np.nan, np.nan], [1, 2], resamples=10).undefined_resamples == 10
    assert mean_interval([], [], resamples=10).undefined_resamples == 10
    of_confusion = confusion_metric_intervals([0, 1], [0, 1], [3, 3], resamples=10)
    assert all(math.isnan(interval.low) for interval in of_confusion.values())


def test_resamples_of_one_class_are_left_out_and_counted() -> None:
    found = confusion_metric_intervals([0, 1], [0, 1], ["a", "b"], resamples=1000)["balanced_accuracy"]
    assert (found.low, found.high) == (1, 1)
    assert found.undefined_resamples == pytest.approx(500, abs=60)  # both draws the same patient: half


def test_hand_worked_percentiles_and_level() -> None:
    values = np.arange(101.0)
    found = percentile_interval(values, level=0.9)
    assert (found.low, found.high) == pytest.approx((5, 95))
    wide = bootstrap_interval(lambda w: w @ np.arange(9.0), np.arange(9), resamples=500, level=0.99)
    narrow = bootstrap_interval(lambda w: w @ np.arange(9.0), np.arange(9), resamples=500, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resamples": 0}, "resamples is 0; expected at least 1"),
        ({"groups": [1, 2]}, "lengths differ: predicted_positive 3, has_pneumonia 3, groups 2"),
        ({"groups": [1.5, 2.5, 3.5]}, "groups holds float64 values"),
        ({"seed": -1}, "non-negative"),
    ],
)
def test_malformed_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"predicted_positive": [0, 0, 1], "has_pneumonia": [0, 1, 1], "groups": [1, 2, 3]}
    with pytest.raises(ValueError, match=message):
        confusion_metric_intervals(**(usual | arguments))


def test_more_malformed_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level is 95; expected a share in \(0, 1\)"):
        percentile_interval(np.ones(3), level=95)
    with pytest.raises(ValueError, match=r"values have shape \(2,\), groups \(3,\)"):
        mean_interval([0.1, 0.2], [1, 2, 3])
    with pytest.raises(ValueError, match="values hold infinity"):
        mean_interval([0.1, math.inf], [1, 2])
    with pytest.raises(ValueError, match=r"predicted_positive holds 0\.7; expected only 0 and 1"):
        confusion_metric_intervals([0.7, 1.0], [0, 1], [1, 2])
    with pytest.raises(ValueError, match="lengths differ: predicted_positive 2, has_pneumonia 2, groups 3"):
        confusion_metric_intervals([0, 1], [0, 1], [1, 2, 3])
