"""Curves within folds: their areas are the numbers of the leaderboard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from pneumobench.metrics.calibration import expected_calibration_error, reliability_bins
from pneumobench.metrics.curves import precision_recall_band, precision_recall_within_folds, roc_band
from pneumobench.metrics.discrimination import average_precision, roc_curve_within_folds, within_folds
from pneumobench.metrics.intervals import patient_weights
from pneumobench.metrics.validation import Booleans, Floats, Integers


def images(count: int = 200, *, seed: int = 0, digits: int = 2) -> tuple[Floats, Booleans, Integers, Integers]:
    """Return probabilities with ties, labels, folds and patients."""
    rng = np.random.default_rng(seed)
    label = rng.random(count) < 0.6
    probability = np.round(1 / (1 + np.exp(-(2 * label - 1 + 1.5 * rng.normal(size=count)))), digits)
    return probability, label, np.arange(count) // 3 % 4, np.arange(count) // 3


@given(st.integers(2, 60), st.integers(0, 1000), st.integers(0, 3))
def test_the_area_under_precision_and_recall_is_average_precision(count: int, seed: int, digits: int) -> None:
    probability, label, folds, _ = images(count, seed=seed, digits=digits)
    recall, precision = precision_recall_within_folds(probability, label, folds)
    expected = within_folds(average_precision, probability, label, folds)
    if np.isnan(expected):
        assert recall.size == 0
        return
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(expected, abs=1e-9)
    assert (np.diff(recall) >= 0).all()
    assert (recall[0], recall[-1]) == (0, 1)


def test_one_fold_is_the_curve_of_scikit_learn() -> None:
    probability, label, _, _ = images()
    recall, precision = precision_recall_within_folds(probability, label, None)
    theirs_precision, theirs_recall, _ = precision_recall_curve(label, probability)
    best = {r: max(p for p, other in zip(theirs_precision, theirs_recall, strict=True) if other == r) for r in
            np.unique(theirs_recall) if r > 0}  # fmt: skip
    assert recall[1::2] == pytest.approx(list(best))
    assert precision[1::2] == pytest.approx(list(best.values()))


def test_a_curve_by_hand_of_two_folds() -> None:
    probability, label = [0.9, 0.1, 0.8, 0.9, 0.7, 0.6], [1, 0, 1, 0, 1, 0]
    recall, precision = precision_recall_within_folds(probability, label, [0, 0, 1, 1, 1, 1])
    # fold 0: precision 1 at every recall; fold 1: 1/2 up to a recall of 1/2, then 2/3; twice as many images
    assert recall.tolist() == [0, 0.5, 0.5, 1]
    assert precision == pytest.approx([(1 + 2 * 1 / 2) / 3] * 2 + [(1 + 2 * 2 / 3) / 3] * 2)


def test_bands_are_percentiles_of_curves_of_drawn_images() -> None:
    probability, label, folds, patients = images(90)
    at = np.array([0.105, 0.305, 0.705])
    weights = np.concatenate(list(patient_weights(patients, resamples=40, seed=3)))
    heights: dict[str, list[Floats]] = {"roc": [], "pr": []}
    for times in weights:  # an independent way: the images stand in the sample as often as they were drawn
        drawn = np.repeat(np.arange(90), times)
        false, true = roc_curve_within_folds(probability[drawn], label[drawn], folds[drawn])
        heights["roc"].append(np.interp(at, false, true))
        recall, precision = precision_recall_within_folds(probability[drawn], label[drawn], folds[drawn])
        heights["pr"].append(precision[np.searchsorted(recall, at)])
    for name, band in (("roc", roc_band), ("pr", precision_recall_band)):
        found = band(probability, label, folds, patients, at, resamples=40, seed=3)
        low, high = np.quantile(heights[name], [0.025, 0.975], axis=0)
        assert found.low == pytest.approx(low)
        assert found.high == pytest.approx(high)


def test_without_both_classes_there_is_no_curve_and_no_band() -> None:
    assert precision_recall_within_folds([0.1, 0.2], [1, 1], None)[0].size == 0
    assert np.isnan(roc_band([0.1, 0.2], [1, 1], None, [0, 1], np.array([0.5])).low).all()


@given(st.integers(1, 80), st.integers(0, 1000), st.integers(1, 20))
def test_the_bins_of_the_diagram_are_those_of_the_error(count: int, seed: int, bins: int) -> None:
    probability, label, _, _ = images(count, seed=seed)
    found = reliability_bins(probability, label, bins=bins)
    assert found.images.sum() == count
    gap = np.abs(found.probability - found.share)
    error = expected_calibration_error(probability, label, bins=bins)
    assert np.average(gap, weights=found.images) == pytest.approx(error, abs=1e-12)
