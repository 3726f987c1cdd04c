"""Intervals of shares: Wilson's for independent images, wider for alike ones, and never empty at 0 or 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from pneumobench.metrics.decision_intervals import confusion_metric_intervals, share_interval


@pytest.mark.parametrize("found", [0, 3, 17, 20])
def test_one_image_a_patient_has_the_interval_of_scipy(found: int) -> None:
    hits = np.arange(20) < found
    expected = binomtest(found, 20).proportion_ci(method="wilson")
    interval = share_interval(hits, np.arange(20))
    # of independent images the design effect is n / (n - 1), from which it differs by nothing but that
    assert interval.low == pytest.approx(expected.low, abs=0.012)
    assert interval.high == pytest.approx(expected.high, abs=0.012)
    assert (interval.low == 0) == (found == 0)
    assert (interval.high == 1) == (found == 20)


def test_alike_images_of_a_patient_count_as_one() -> None:
    patient = np.repeat(np.arange(30), 4)
    hits = patient % 5 != 0
    alike, single = share_interval(hits, patient), share_interval(hits[::4], np.arange(30))
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high), abs=1e-9)
    as_images = share_interval(hits, np.arange(hits.size))
    assert alike.low < as_images.low
    perfect = share_interval(np.ones(120), patient)
    assert perfect.low == pytest.approx(share_interval(np.ones(30), np.arange(30)).low)


def test_a_bootstrap_holds_a_share_near_1_too_seldom_and_this_does_not() -> None:
    """A small piece of benchmark/statistics/share_coverage.py: a recall of .99 with 100 patients."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        sizes = rng.integers(1, 4, 100)
        patient = np.repeat(np.arange(100), sizes)
        hits = rng.random(patient.size) < 0.99
        interval = share_interval(hits, patient)
        held += interval.low <= 0.99 <= interval.high
    assert held >= 0.92 * 300


def test_each_share_is_of_its_own_images() -> None:
    called, label = np.array([1, 1, 1, 0, 0, 0, 0, 1]), np.array([1, 1, 1, 1, 0, 0, 0, 0])
    patient = np.arange(8)
    found = confusion_metric_intervals(called, label, patient, resamples=50)
    expected = {
        "recall": called[label == 1], "specificity": 1 - called[label == 0], "precision": label[called == 1],
        "npv": 1 - label[called == 0], "accuracy": called == label,
    }  # fmt: skip
    for name, hits in expected.items():
        assert found[name] == share_interval(hits, np.arange(len(hits)))
    nobody = confusion_metric_intervals(np.zeros(4), np.array([0, 1, 0, 1]), np.arange(4), resamples=10)
    assert math.isnan(nobody["precision"].low)
    assert math.isnan(share_interval([1, 1], ["a", "a"]).low)
