from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from pneumobench.metrics.lung_attention import EPS, lung_attention_ratio

SHAPE = (2, 6, 5)
heats = st_numpy.arrays(np.float32, SHAPE, elements=st.floats(-8, 8, width=32, allow_subnormal=False))
masks = st_numpy.arrays(np.bool_, SHAPE)


def _lungs(share: float = 0.45) -> NDArray[np.bool_]:
    mask = np.zeros((1, 20, 20), np.bool_)
    mask[0].flat[: round(400 * share)] = True
    return mask


@pytest.mark.parametrize("share", [0.1, 0.45, 0.9])
@pytest.mark.parametrize("level", [1e-6, 0.3, 1e6])
def test_a_uniform_map_scores_the_area_of_the_lungs(share: float, level: float) -> None:
    found = lung_attention_ratio(np.full((1, 20, 20), level, np.float32), _lungs(share))
    assert found.ratio[0] == pytest.approx(share, abs=1e-12)
    assert found.lung_area[0] == pytest.approx(share, abs=1e-15)
    assert found.adjusted[0] == pytest.approx(0, abs=1e-12)


def test_all_inside_is_one_and_all_outside_is_nought() -> None:
    rng = np.random.default_rng(0)
    heat, lungs = rng.random((1, 20, 20)), _lungs()
    inside, outside = lung_attention_ratio(heat * lungs, lungs), lung_attention_ratio(heat * ~lungs, lungs)
    assert (inside.ratio[0], inside.adjusted[0]) == (1, 1)
    assert (outside.ratio[0], outside.adjusted[0]) == (0, pytest.approx(-0.45 / 0.55))


def test_hand_worked_batch() -> None:
    heat = np.array([[[1.0, 2.0], [3.0, -9.0]], [[0.0, 4.0], [0.0, 4.0]]])
    lungs = np.array([[[True, False], [False, True]], [[True, True], [True, False]]])
    found = lung_attention_ratio(heat, lungs)
    assert found.ratio.tolist() == pytest.approx([1 / 6, 1 / 2])
    assert found.lung_area.tolist() == [0.5, 0.75]
    assert found.adjusted.tolist() == pytest.approx([(1 / 6 - 0.5) / 0.5, -1.0])
    assert found.degenerate == 0


def test_maps_without_attention_are_nan_and_counted() -> None:
    heat = np.stack([np.zeros((20, 20)), np.full((20, 20), -1.0), np.full((20, 20), EPS / 1000), np.eye(20)])
    found = lung_attention_ratio(heat, np.repeat(_lungs(), 4, axis=0))
    assert np.isnan(found.ratio).tolist() == np.isnan(found.adjusted).tolist() == [True, True, True, False]
    assert found.degenerate == 3
    assert found.lung_area.tolist() == pytest.approx([0.45] * 4)


def test_an_empty_or_full_mask_has_a_ratio_but_nothing_to_correct_for() -> None:
    masks_at_the_ends = np.stack([np.zeros((3, 3), np.bool_), np.ones((3, 3), np.bool_)])
    found = lung_attention_ratio(np.ones((2, 3, 3)), masks_at_the_ends)
    assert found.ratio.tolist() == found.lung_area.tolist() == [0, 1]
    assert np.isnan(found.adjusted).all()
    assert found.degenerate == 0


@settings(max_examples=80, deadline=None)
@given(heats, masks, st.floats(1e-3, 1e3))
def test_scaling_changes_nothing(heat: NDArray[Any], mask: NDArray[np.bool_], factor: float) -> None:
    wide = heat.astype(np.float64)
    wide[np.abs(wide) < 1e-6] = 0  # stays on its side of EPS after scaling
    bare, scaled = lung_attention_ratio(wide, mask), lung_attention_ratio(wide * factor, mask)
    np.testing.assert_allclose(scaled.ratio, bare.ratio, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scaled.adjusted, bare.adjusted, rtol=0, atol=1e-10)


@settings(max_examples=80, deadline=None)
@given(heats, masks)
def test_negative_values_count_as_none_and_the_ratio_is_a_share(heat: NDArray[Any], mask: NDArray[np.bool_]) -> None:
    found, clipped = lung_attention_ratio(heat, mask), lung_attention_ratio(np.maximum(heat, 0), mask)
    np.testing.assert_array_equal(found.ratio, clipped.ratio)
    mirrored = lung_attention_ratio(heat, ~mask)
    for ratio, other, values, lungs in zip(found.ratio, mirrored.ratio, heat, mask, strict=True):
        cells = [(float(value), bool(lung)) for value, lung in zip(values.flat, lungs.flat, strict=True)]
        total = sum(value for value, _ in cells if value > 0)
        if total < EPS:
            assert np.isnan(ratio)
            continue
        assert 0 <= ratio <= 1
        assert ratio == pytest.approx(sum(value for value, lung in cells if lung and value > 0) / total)
        assert ratio + other == pytest.approx(1)


@pytest.mark.parametrize(
    ("heat", "mask", "message"),
    [
        (
            np.ones((4, 4)),
            np.ones((4, 4), bool),
            r"heat has shape \(4, 4\); expected \(images, rows, columns\)",
        ),
        (np.ones((0, 4, 4)), np.ones((0, 4, 4), bool), r"heat has shape \(0, 4, 4\)"),
        (np.ones((1, 4, 4)), np.ones((1, 2, 2), bool), r"lung_mask has shape \(1, 2, 2\), heat \(1, 4, 4\)"),
        (
            np.ones((1, 4, 4)),
            np.full((1, 4, 4), 255, np.uint8),
            "uint8 values; expected booleans, such as mask > 0",
        ),
        (
            np.ones((1, 4, 4), int),
            np.ones((1, 4, 4), bool),
            "heat holds int64 values; expected floating point",
        ),
        (
            np.full((2, 4, 4), np.nan),
            np.ones((2, 4, 4), bool),
            r"positions \[0, 1\] hold values that are not finite",
        ),
    ],
)
def test_malformed_maps_are_refused(heat: Any, mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lung_attention_ratio(heat, mask)
