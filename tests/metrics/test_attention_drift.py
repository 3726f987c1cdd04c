from __future__ import annotations

import numpy as np
import pytest

from pneumobench.metrics.attention_drift import attention_drift, body_mask


def _radiograph() -> np.ndarray:
    """A body with two dark lungs, air at both sides and a bright letter in the air."""
    radiograph = np.zeros((100, 100), dtype=np.uint8)
    radiograph[:, 20:80] = 180
    radiograph[20:80, 28:45] = radiograph[20:80, 55:72] = 10
    radiograph[2:8, 2:8] = 250
    return radiograph


def test_the_body_includes_the_lungs_and_neither_air_nor_letters() -> None:
    body = body_mask(_radiograph())
    assert body[50, 35]
    assert body[50, 60]
    assert not body[50, 5]
    assert not body[4, 4]


def test_a_uniform_map_scores_the_areas() -> None:
    drift = attention_drift(np.ones((1, 100, 100)), _radiograph()[None])
    assert drift.corners[0] == pytest.approx(0.16)
    assert drift.borders[0] == pytest.approx(0.36)
    assert drift.outside_body[0] == pytest.approx(0.40)


@pytest.mark.parametrize(
    ("row", "column", "expected"), [(4, 4, (1, 1, 1)), (50, 35, (0, 0, 0)), (2, 50, (0, 1, 0)), (50, 15, (0, 0, 1))]
)
def test_a_single_hot_pixel_counts_where_it_is(row: int, column: int, expected: tuple[int, int, int]) -> None:
    heat = np.full((1, 100, 100), -1.0)
    heat[0, row, column] = 3.0
    drift = attention_drift(heat, _radiograph()[None])
    assert (drift.corners[0], drift.borders[0], drift.outside_body[0]) == expected


def test_a_map_without_positive_attention_has_no_share() -> None:
    assert np.isnan(attention_drift(np.full((1, 100, 100), -1.0), _radiograph()[None]).borders[0])


def test_an_image_without_contrast_is_all_body() -> None:
    assert body_mask(np.full((20, 20), 7, dtype=np.uint8)).all()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        attention_drift(np.ones((1, 10, 10)), np.zeros((1, 20, 20), dtype=np.uint8))
