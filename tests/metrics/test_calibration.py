from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from pneumobench.metrics.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    apply_temperature,
    brier_score,
    calibration_slope_intercept,
    expected_calibration_error,
    fit_temperature,
)


def _drawn(count: int, *, scale: float = 1.0, shift: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels drawn from true logits; the logits handed over are `scale * true + shift`."""
    rng = np.random.default_rng(11)
    true = rng.normal(0.7, 2, count)
    return scale * true + shift, rng.random(count) < expit(true)


def _log_loss(logit: NDArray[Any], has_pneumonia: NDArray[Any], temperature: float) -> float:
    return float(np.mean(np.logaddexp(0, np.where(has_pneumonia, -1, 1) * logit / temperature)))


def test_brier_equals_scikit_learn_and_hand_worked() -> None:
    logit, has_pneumonia = _drawn(400)
    expected = sklearn_metrics.brier_score_loss(has_pneumonia, expit(logit))
    assert brier_score(expit(logit), has_pneumonia) == pytest.approx(expected, abs=1e-14)
    assert brier_score([0.9, 0.2, 0.5], [1, 0, 0]) == pytest.approx((0.01 + 0.04 + 0.25) / 3)
    assert brier_score([1.0, 0.0], [1, 0]) == 0
    assert brier_score([0.5], [1]) == 0.25


def test_calibration_error_equals_an_independent_loop() -> None:
    logit, has_pneumonia = _drawn(600, scale=2)
    probability = expit(logit)
    order = np.argsort(probability)
    expected = 0.0
    for part in np.array_split(order, 15):
        expected += len(part) / 600 * abs(probability[part].mean() - has_pneumonia[part].mean())
    assert expected > 0.03
    assert expected_calibration_error(probability, has_pneumonia) == pytest.approx(expected, abs=1e-13)


def test_hand_worked_calibration_error() -> None:
    probability, has_pneumonia = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9], [0, 1, 0, 1, 1, 1]
    # Three bins of two: means 0.2, 0.6, 0.85 against shares 0.5, 0.5, 1.
    expected = (0.3 + 0.1 + 0.15) / 3
    assert expected_calibration_error(probability, has_pneumonia, bins=3) == pytest.approx(expected)
    # The three tied images share the bin of their middle rank: gaps -0.9 and 3 * 0.5, in two bins.
    assert expected_calibration_error([0.1, 0.5, 0.5, 0.5], [1, 0, 0, 0], bins=2) == pytest.approx(2.4 / 4)


def test_calibration_error_of_constants_certainties_and_single_images() -> None:
    assert expected_calibration_error([0.75] * 4, [1, 1, 1, 0]) == pytest.approx(0)
    assert expected_calibration_error([0.25] * 4, [1, 1, 1, 0]) == pytest.approx(0.5)
    assert expected_calibration_error([1.0, 1.0, 0.0], [1, 1, 0]) == 0
    assert expected_calibration_error([1.0], [0]) == 1
    with pytest.raises(ValueError, match="bins is 0; expected at least 1"):
        expected_calibration_error([0.5], [1], bins=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1), st.randoms())
def test_calibration_error_does_not_depend_on_the_order_of_tied_images(
    rows: list[tuple[float, bool]], random: Any
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    values = [
        expected_calibration_error([score for score, _ in some], [label for _, label in some], bins=4)
        for some in (rows, shuffled)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    assert 0 <= values[0] <= 1


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_slope_equals_logistic_regression_of_scikit_learn(scale: float) -> None:
    logit, has_pneumonia = _drawn(500, scale=1.7)
    reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(logit[:, None], has_pneumonia)
    slope, _ = calibration_slope_intercept(scale * logit, has_pneumonia)
    assert slope * scale == pytest.approx(float(reference.coef_[0, 0]), rel=1e-5)


def test_slope_and_intercept_recover_what_the_labels_were_drawn_from() -> None:
    slope, intercept = calibration_slope_intercept(*_drawn(100_000))
    assert slope == pytest.approx(1, abs=0.03)
    assert intercept == pytest.approx(0, abs=0.03)
    slope, _ = calibration_slope_intercept(*_drawn(100_000, scale=2.5))
    assert slope == pytest.approx(0.4, abs=0.02)
    slope, intercept = calibration_slope_intercept(*_drawn(100_000, shift=1.5))
    assert slope == pytest.approx(1, abs=0.03)
    assert intercept == pytest.approx(-1.5, abs=0.03)


def test_hand_worked_intercept() -> None:
    # All logits 0, three of four with pneumonia: the shift is the logit of 3/4; no slope fits best.
    slope, intercept = calibration_slope_intercept([0.0] * 4, [1, 1, 1, 0])
    assert intercept == pytest.approx(math.log(3))
    assert math.isnan(slope)
    logit, has_pneumonia = _drawn(50)
    _, intercept = calibration_slope_intercept(logit, has_pneumonia)
    assert np.mean(expit(logit + intercept)) == pytest.approx(np.mean(has_pneumonia), abs=1e-10)


def test_extreme_logits_do_not_break_the_intercept() -> None:
    _, intercept = calibration_slope_intercept([-700.0, 0.0, 0.0, 700.0], [0, 1, 0, 1])
    assert intercept == pytest.approx(0, abs=1e-9)


def test_separated_classes_have_no_slope_and_one_class_has_neither() -> None:
    for labels in ([0, 0, 1, 1], [1, 1, 0, 0]):
        slope, intercept = calibration_slope_intercept([-2.0, -1.0, 1.0, 3.0], labels)
        assert math.isnan(slope)
        assert math.isfinite(intercept)
    assert all(math.isnan(value) for value in calibration_slope_intercept([1.0, 2.0], [1, 1]))
    assert calibration_slope_intercept([-2.0, 1.1, 1.0, 3.0], [0, 0, 1, 1])[0] > 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_undoes_overconfidence(temperature: float) -> None:
    logit, has_pneumonia = _drawn(100_000, scale=temperature)
    assert fit_temperature(logit, has_pneumonia) == pytest.approx(temperature, rel=0.02)


def test_hand_worked_temperature() -> None:
    # Three of four right at logit 2: sigmoid(2 / T) must be 3/4, so T = 2 / log 3.
    logit, has_pneumonia = [2.0, 2.0, 2.0, 2.0, -2.0], [1, 1, 0, 1, 0]
    assert fit_temperature(logit, has_pneumonia) == pytest.approx(2 / math.log(4), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=2, max_size=30))
def test_no_other_temperature_fits_better(rows: list[tuple[float, bool]]) -> None:
    logit, has_pneumonia = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    if has_pneumonia.all() or not has_pneumonia.any():
        return
    found = fit_temperature(logit, has_pneumonia)
    assert LOWEST_TEMPERATURE <= found <= HIGHEST_TEMPERATURE
    if np.all(np.where(has_pneumonia, logit, -logit) >= 0):
        assert found == 1
        return
    grid = np.geomspace(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE, 200)
    best_on_grid = min(_log_loss(logit, has_pneumonia, temperature) for temperature in grid)
    assert _log_loss(logit, has_pneumonia, found) <= best_on_grid + 1e-9


def test_separable_and_hopeless_tune_parts() -> None:
    assert fit_temperature([-3.0, -0.1, 0.2, 900.0], [0, 0, 1, 1]) == 1.0
    assert fit_temperature([0.0, 0.0], [0, 1]) == 1.0
    assert fit_temperature([3.0, -3.0], [0, 1]) == HIGHEST_TEMPERATURE
    assert fit_temperature([1e-3] * 999 + [1e-3, -1e-3], [1] * 999 + [0, 0]) == LOWEST_TEMPERATURE
    with pytest.raises(ValueError, match="fitting a temperature needs both classes"):
        fit_temperature([1.0, 2.0], [1, 1])
    with pytest.raises(ValueError, match="logit holds 1 values that are not finite"):
        fit_temperature([1.0, math.inf], [1, 0])


def test_scaled_probabilities() -> None:
    logit = np.array([-1000.0, -1.0, 0.0, 4.0])
    np.testing.assert_array_equal(apply_temperature(logit, 1.0), expit(logit))
    assert apply_temperature(logit, 2.0).tolist() == pytest.approx([0, expit(-0.5), 0.5, expit(2.0)])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_impossible_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number, as fit_temperature gives"):
        apply_temperature([1.0], temperature)
