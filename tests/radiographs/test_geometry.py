from __future__ import annotations

import numpy as np

from pneumobench.radiographs.geometry import image_to_square, mask_to_square


def test_an_image_is_squeezed_by_averaging_areas() -> None:
    radiograph = np.array([[0, 100, 10, 30], [100, 200, 20, 40]], dtype=np.uint8)
    assert image_to_square(radiograph.repeat(2, axis=0), 2).tolist() == [[50, 20], [150, 30]]


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    radiograph = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)
    assert np.array_equal(image_to_square(radiograph, 9), radiograph)


def test_a_small_image_is_enlarged() -> None:
    larger = image_to_square(np.array([[0, 200]], dtype=np.uint8), 8)
    assert larger.shape == (8, 8)
    assert larger.dtype == np.uint8
    assert np.all(np.diff(larger[0].astype(int)) >= 0)


def test_a_mask_keeps_its_edge_and_its_place() -> None:
    mask = np.zeros((40, 80), dtype=bool)
    mask[10:20, 40:80] = True
    square = mask_to_square(mask, 8)
    assert square.dtype == np.bool_
    expected = np.zeros((8, 8), dtype=bool)
    expected[2:4, 4:8] = True
    assert np.array_equal(square, expected)
