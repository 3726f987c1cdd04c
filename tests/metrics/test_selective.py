from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from pneumobench.metrics.selective import (
    area_under_risk_coverage,
    confidence,
    confidence_at_coverage,
    entropy_in_bits,
    risk_coverage,
)


def test_a_hand_worked_case() -> None:
    # confidence .99 right, .9 right, .6 wrong, .55 wrong
    coverage, risk = risk_coverage([0.99, 0.9, 0.4, 0.55], [1, 1, 1, 0])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert area_under_risk_coverage([0.99, 0.9, 0.4, 0.55], [1, 1, 1, 0]) == pytest.approx(5 / 24)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_the_last_risk_is_the_error_and_ties_have_no_order(images: list[tuple[float, bool]]) -> None:
    probability, label = (np.array(part) for part in zip(*images, strict=True))
    _, risk = risk_coverage(probability, label)
    assert risk[-1] == pytest.approx(np.mean((probability >= 0.5) != label))
    order = np.random.default_rng(0).permutation(len(images))
    assert risk_coverage(probability[order], label[order])[1] == pytest.approx(risk)


def test_ties_are_the_mean_over_all_orders() -> None:
    probability, label = np.array([0.9, 0.9, 0.9, 0.6]), np.array([1, 0, 1, 1])
    rng, found = np.random.default_rng(1), []
    for _ in range(4000):
        order = rng.permutation(4)
        jittered = probability - 1e-6 * np.argsort(order)
        found.append(risk_coverage(jittered, label)[1])
    assert np.mean(found, axis=0) == pytest.approx(risk_coverage(probability, label)[1], abs=0.03)


def test_malformed_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="probability"):
        risk_coverage([1.2], [1])


@given(
    st.lists(st.floats(0, 1).map(lambda p: round(p, 3)), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 1.0]),
)
def test_at_least_the_declared_share_reaches_the_confidence(probability: list[float], coverage: float) -> None:
    least, found = confidence_at_coverage(probability, coverage), confidence(probability)
    decided = int((found >= least).sum())
    assert decided >= coverage * len(probability) - 1e-9
    # one confidence less would do with fewer images: those that just reach it are needed
    lowest = found[found >= least].min()
    assert int((found > lowest).sum()) < coverage * len(probability)
    assert 0.5 <= least <= lowest


def test_entropy_is_that_of_scipy() -> None:
    probability = np.linspace(0, 1, 21)
    expected = entropy(np.stack([probability, 1 - probability]), base=2)
    assert entropy_in_bits(probability) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("coverage", [0.0, -1.0, 1.1, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="expected a share in"):
        confidence_at_coverage([0.2], coverage)


def test_no_image_has_no_confidence() -> None:
    with pytest.raises(ValueError, match="no image"):
        confidence_at_coverage([], 0.9)
