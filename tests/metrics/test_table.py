"""Every line of the table of metrics against an independent implementation, by hand and at its edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import odds_ratio
from sklearn import metrics as sklearn_metrics

from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.table import (
    CALIBRATION_METRICS,
    COUNT_METRICS,
    METRICS,
    PRINTED_METRICS,
    PROBABILITY_METRICS,
    RANK_METRICS,
)

counts = st.builds(Confusion, **{name: st.integers(0, 5000) for name in ("tp", "fn", "fp", "tn")})

# from truth, decision and weight of each image to a value
REFERENCES: dict[str, Callable[..., float]] = {
    "accuracy": sklearn_metrics.accuracy_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "specificity": lambda *arrays, **weight: sklearn_metrics.recall_score(*arrays, **weight, pos_label=0),
    "f1": sklearn_metrics.f1_score,
    "mcc": sklearn_metrics.matthews_corrcoef,
    "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
    "npv": lambda *arrays, **weight: sklearn_metrics.precision_score(*arrays, **weight, pos_label=0),
    "diagnostic_odds_ratio": lambda *_, sample_weight: (
        odds_ratio(np.reshape(sample_weight, (2, 2)), kind="sample").statistic
    ),
    "f1_normal": lambda *arrays, **weight: sklearn_metrics.f1_score(*arrays, **weight, pos_label=0),
    "macro_f1": lambda *arrays, **weight: sklearn_metrics.f1_score(*arrays, **weight, average="macro"),
}
# at TP 6, FN 2, FP 1, TN 3
HAND_WORKED = {
    "accuracy": 9 / 12,
    "precision": 6 / 7,
    "recall": 6 / 8,
    "specificity": 3 / 4,
    "f1": 12 / 15,
    "mcc": (18 - 2) / math.sqrt(7 * 8 * 4 * 5),
    "balanced_accuracy": 0.75,
    "npv": 3 / 5,
    "diagnostic_odds_ratio": (6 / 2) / (1 / 3),
    "f1_normal": 6 / 9,
    "macro_f1": (12 / 15 + 6 / 9) / 2,
}


def test_every_metric_of_decisions_has_a_reference() -> None:
    assert set(REFERENCES) == set(HAND_WORKED) == set(PRINTED_METRICS)


@settings(max_examples=100, deadline=None)
@given(counts.filter(lambda c: min(c.tp, c.fn, c.fp, c.tn) > 0))
def test_metrics_equal_an_independent_implementation(confusion: Confusion) -> None:
    weight = [confusion.tp, confusion.fn, confusion.fp, confusion.tn]
    truth, decision = [1, 1, 0, 0], [1, 0, 1, 0]
    for name, reference in REFERENCES.items():
        expected = reference(truth, decision, sample_weight=weight)
        assert confusion.value(name) == pytest.approx(expected, rel=1e-9, abs=1e-12), name


def test_hand_worked_metrics() -> None:
    found = Confusion(tp=6, fn=2, fp=1, tn=3)
    assert {name: found.value(name) for name in HAND_WORKED} == pytest.approx(HAND_WORKED)
    assert found.values() == {name: found.value(name) for name in COUNT_METRICS}


def test_metrics_equal_torchmetrics() -> None:
    import torch
    import torchmetrics.functional.classification as reference

    from pneumobench.metrics.confusion import confusion_at

    rng = np.random.default_rng(4)
    probability, has_pneumonia = rng.random(300).astype(np.float32), rng.random(300) < 0.6
    found = confusion_at(probability, has_pneumonia, threshold=0.5)
    references: dict[str, Any] = {
        "accuracy": reference.binary_accuracy,
        "precision": reference.binary_precision,
        "recall": reference.binary_recall,
        "specificity": reference.binary_specificity,
        "f1": reference.binary_f1_score,
        "mcc": reference.binary_matthews_corrcoef,
    }
    for name, function in references.items():
        expected = float(function(torch.from_numpy(probability), torch.from_numpy(has_pneumonia).long()))
        assert found.value(name) == pytest.approx(expected, abs=1e-6), name


def test_what_was_not_measured_is_nan_and_a_constant_decision_is_chance() -> None:
    everybody = Confusion(tp=7, fn=0, fp=3, tn=0).values()
    assert (everybody["mcc"], everybody["balanced_accuracy"], everybody["specificity"]) == (0.0, 0.5, 0.0)
    nobody = Confusion(tp=0, fn=7, fp=0, tn=3).values()
    assert (nobody["mcc"], nobody["f1"], nobody["recall"]) == (0.0, 0.0, 0.0)
    assert math.isnan(nobody["precision"])
    only_normal = Confusion(tp=0, fn=0, fp=0, tn=4).values()
    assert {"precision", "recall", "f1", "mcc", "balanced_accuracy"} <= {
        name for name, value in only_normal.items() if math.isnan(value)
    }
    assert (only_normal["accuracy"], only_normal["specificity"]) == (1.0, 1.0)
    assert all(math.isnan(value) for value in Confusion(tp=0, fn=0, fp=0, tn=0).values().values())


def test_an_odds_ratio_without_an_error_of_a_kind_is_not_measured_and_calls_of_one_kind_have_no_npv() -> None:
    for perfect in (Confusion(tp=5, fn=0, fp=1, tn=4), Confusion(tp=5, fn=1, fp=0, tn=4)):
        assert math.isnan(perfect.value("diagnostic_odds_ratio")), "not infinite"
    assert Confusion(tp=0, fn=5, fp=1, tn=4).value("diagnostic_odds_ratio") == 0
    assert Confusion(tp=4, fn=4, fp=3, tn=3).value("diagnostic_odds_ratio") == 1, "chance"
    assert math.isnan(Confusion(tp=5, fn=0, fp=3, tn=0).value("npv"))
    assert Confusion(tp=0, fn=5, fp=0, tn=3).value("npv") == 3 / 8


@given(counts)
def test_metrics_stay_in_their_range_and_are_never_infinite(confusion: Confusion) -> None:
    for name, metric in PRINTED_METRICS.items():
        value = confusion.value(name)
        assert math.isnan(value) or (math.isfinite(value) and metric.low <= value <= metric.high), name
    perfect = Confusion(tp=confusion.tp + 1, fn=0, fp=0, tn=confusion.tn + 1)
    bounded = [name for name, metric in COUNT_METRICS.items() if math.isfinite(metric.high)]
    assert {perfect.value(name) for name in bounded} == {1.0}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40))
def test_metrics_of_probabilities_stay_in_their_range(rows: list[tuple[float, bool]]) -> None:
    probability, label = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    for name, metric in PROBABILITY_METRICS.items():
        value = metric.function(probability, label)
        assert math.isnan(value) or metric.low <= value <= metric.high, name


def test_only_calibration_is_changed_by_a_temperature() -> None:
    rng = np.random.default_rng(3)
    probability, label = rng.random(200), rng.random(200) < 0.5
    for name, metric in RANK_METRICS.items():
        assert metric.function(probability, label) == metric.function(probability**3, label), name
    for name, metric in CALIBRATION_METRICS.items():
        assert metric.function(probability, label) != metric.function(probability**3, label), name


def test_every_line_of_the_table_is_whole() -> None:
    assert list(METRICS) == [*RANK_METRICS, *COUNT_METRICS, *CALIBRATION_METRICS]
    for name, metric in {**METRICS, **PRINTED_METRICS}.items():
        assert metric.name == name
        assert metric.heading
        assert metric.meaning
        assert not metric.meaning.endswith(".")
        assert metric.low < metric.high
    headings = [metric.heading for metric in METRICS.values()]
    assert len(set(headings)) == len(headings)


def test_an_unknown_metric_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="recal"):
        Confusion(tp=1, fn=1, fp=1, tn=1).value("recal")
