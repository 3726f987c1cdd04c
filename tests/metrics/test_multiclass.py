from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pneumobench.metrics import multiclass


def random_case(seed: int, images: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    number = np.concatenate([[0, 1, 2], rng.integers(0, 3, images - 3)])
    logit = rng.normal(size=(images, 3)) + 1.5 * np.eye(3)[number]
    return np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True), number


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_equal_scikit_learn(seed: int) -> None:
    probability, number = random_case(seed)
    called = probability.argmax(axis=1)
    confusion = multiclass.confusion_matrix(probability, number)
    assert confusion.tolist() == metrics.confusion_matrix(number, called, labels=[0, 1, 2]).tolist()
    recall = metrics.recall_score(number, called, average=None, labels=[0, 1, 2])
    assert multiclass.recall_by_class(confusion) == pytest.approx(recall)
    precision = metrics.precision_score(number, called, average=None, labels=[0, 1, 2], zero_division=np.nan)
    assert multiclass.precision_by_class(confusion) == pytest.approx(precision, nan_ok=True)
    f1 = metrics.f1_score(number, called, average=None, labels=[0, 1, 2])
    assert multiclass.f1_by_class(confusion) == pytest.approx(f1)
    assert multiclass.multiclass_accuracy(confusion) == pytest.approx(metrics.accuracy_score(number, called))
    assert multiclass.multiclass_mcc(confusion) == pytest.approx(metrics.matthews_corrcoef(number, called))
    macro = metrics.roc_auc_score(number, probability, multi_class="ovr", average="macro")
    assert multiclass.area_by_class(probability, number).mean() == pytest.approx(macro, abs=1e-12)


def test_a_hand_worked_matrix() -> None:
    confusion = np.array([[8, 1, 1], [0, 3, 2], [0, 2, 3]])
    assert multiclass.recall_by_class(confusion).tolist() == [0.8, 0.6, 0.6]
    assert multiclass.precision_by_class(confusion) == pytest.approx([1.0, 0.5, 0.5])
    assert multiclass.multiclass_accuracy(confusion) == 0.7
    # 20 images: covariance 14 * 20 - (10 * 8 + 5 * 6 + 5 * 6) = 140, spreads 400 - 136 and 400 - 150
    assert multiclass.multiclass_mcc(confusion) == pytest.approx(140 / math.sqrt(264 * 250))


def test_what_does_not_exist_is_nan() -> None:
    confusion = multiclass.confusion_matrix([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], [0, 1])
    assert math.isnan(multiclass.recall_by_class(confusion)[2])
    assert math.isnan(multiclass.precision_by_class(confusion)[1])
    assert multiclass.multiclass_mcc(confusion) == 0
    assert math.isnan(multiclass.area_by_class([[0.6, 0.3, 0.1], [0.5, 0.3, 0.2]], [0, 1])[2])


@pytest.mark.parametrize(
    ("probability", "number", "words"),
    [
        ([[0.5, 0.5]], [0, 1], "expected"),
        ([[0.5, 0.6]], [0], "sum to 1"),
        ([[1.5, -0.5]], [0], "outside"),
        ([[0.5, 0.5]], [2], "whole numbers from 0 to 1"),
        ([[0.5, 0.5]], [0.5], "whole numbers"),
        ([], [], "expected"),
    ],
)
def test_malformed_arrays_are_refused(probability: Any, number: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        multiclass.confusion_matrix(probability, number)
