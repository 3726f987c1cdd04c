"""Comparisons of values of a setting: differences, the noise of seeds, and the law of learning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pneumobench.leaderboard.learning_curve import fitted_law, learning_curves
from pneumobench.leaderboard.seed_noise import seed_noise
from pneumobench.metrics.estimates import PatientEstimate
from pneumobench.reporting.columns import NOTHING
from pneumobench.reporting.variant_table import curve_lines
from tests.leaderboard.effects import PATIENTS, effect, shifted


def test_the_noise_of_seeds_is_their_standard_deviation() -> None:
    values = {"a": [0.97, 0.98, 0.99], "b": [0.96, 0.985, 0.965]}
    effects = [
        effect(name, str(seed), shifted(value, seed=1)) for name, of in values.items() for seed, value in enumerate(of)
    ]
    (first, second), (order,) = seed_noise([*effects, effect("once", "0", shifted(0.9))])
    assert [first.architecture, second.architecture] == ["a", "b"]
    assert first.seed_sd == pytest.approx(0.01)
    assert second.seed_sd == pytest.approx(float(np.std(values["b"], ddof=1)))
    assert first.patient_error == pytest.approx(shifted(0.97, seed=1).standard_error)
    assert first.single_run_sd == pytest.approx(np.hypot(first.seed_sd, first.patient_error))
    # of nine pairs, b is before a in (.97, .985), (.98, .985)
    assert (order.turned, order.pairs) == (2, 9)
    assert order.difference == pytest.approx(0.98 - 0.97)
    assert order.patient_error < 0.001 < first.seed_sd
    half = 4.303 * np.hypot(first.seed_sd, second.seed_sd) / np.sqrt(3)  # Student's quantile of 2 degrees of freedom
    assert order.interval.high - order.difference < half
    assert order.interval.low < 0 < order.interval.high


def test_the_interval_of_two_means_holds_the_truth_as_often_as_it_says() -> None:
    """Five seeds a network, and patients that weigh as much as seeds: 400 repetitions."""
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        shared = rng.normal(size=PATIENTS)  # of the patients drawn, the same for all seeds of a network
        effects = []
        for name, truth in (("a", 0.9), ("b", 0.89)):
            influence = rng.normal(size=PATIENTS) * 0.002 * 0.05 + (shared if name == "a" else -shared) * 1e-4
            patients = float(influence.sum())
            for seed in range(5):
                area = PatientEstimate(
                    value=truth + patients + rng.normal() * 0.003, patients=np.arange(PATIENTS),
                    influence=influence - influence.mean(), least_error=1e-4,
                )  # fmt: skip
                effects.append(effect(name, str(seed), area))
        order = seed_noise(effects)[1][0]
        sign = 1 if order.better == "a" else -1
        inside += order.interval.low <= sign * 0.01 <= order.interval.high
    assert 0.92 <= inside / 400 <= 0.98


def test_a_law_of_learning_is_found_again() -> None:
    sizes = {"250": 250.0, "500": 500.0, "1000": 1000.0, "2000": 2000.0, "all": 4000.0}

    def law(images: float) -> float:
        return float(1 - 0.02 * (images / 4000) ** -0.6 - 0.005)

    effects = [effect("a", value, shifted(law(images), seed=int(images))) for value, images in sizes.items()]
    (curve,) = learning_curves([*effects, effect("b", "all", shifted(0.9))], sizes)
    assert curve.architecture == "a"
    assert curve.images == tuple(sizes.values())
    assert curve.exponent == pytest.approx(0.6, rel=0.01)
    assert curve.limit == pytest.approx(0.995, abs=2e-4)
    assert curve.doubled == pytest.approx(law(8000), abs=1e-4)
    assert curve.residual < 1e-4
    assert curve.exponent_interval.low <= 0.6 <= curve.exponent_interval.high
    assert curve.doubled_interval.low < curve.doubled < curve.doubled_interval.high


def test_a_law_that_does_not_hold_says_nothing_of_what_was_not_measured() -> None:
    sizes = {"250": 250.0, "500": 500.0, "1000": 1000.0, "2000": 2000.0, "all": 4000.0}
    areas = dict(zip(sizes, (0.80, 0.94, 0.86, 0.95, 0.93), strict=True))
    (curve,) = learning_curves([effect("a", value, shifted(area)) for value, area in areas.items()], sizes)
    assert not curve.holds
    row = next(line for line in curve_lines([curve]) if line.startswith("| a "))
    assert row.count(NOTHING) == 2
    held = dataclasses.replace(curve, residual=0.0)
    assert NOTHING not in next(line for line in curve_lines([held]) if line.startswith("| a "))


def test_the_closed_form_is_the_least_squares_of_scipy() -> None:
    from scipy.optimize import least_squares

    rng = np.random.default_rng(4)
    relative, error = np.array([0.1, 0.2, 0.5, 0.7, 1.0]), np.array([0.01, 0.008, 0.005, 0.004, 0.003])
    curves = np.array([0.85 + 0.1 * relative ** rng.uniform(0.2, 1) + rng.normal(size=5) * 0.004 for _ in range(20)])
    for auc, (a, b, c) in zip(curves, fitted_law(relative, curves, error), strict=True):
        found = least_squares(
            lambda p, auc=auc: (1 - p[0] * relative ** -p[1] - p[2] - auc) / error, [a + 1e-4, b, c + 1e-4],
            bounds=([0, 0.05, 0], [1, 3, 1]),
        )  # fmt: skip
        mine = float((((1 - a * relative**-b - c - auc) / error) ** 2).sum())
        assert mine <= 2 * found.cost * (1 + 1e-3) + 1e-9
        assert min(a, c) >= 0


def test_three_numbers_of_images_are_too_few_for_a_law() -> None:
    sizes = {"250": 250.0, "500": 500.0, "all": 4000.0}
    assert learning_curves([effect("a", value, shifted(0.9)) for value in sizes], sizes) == ()
