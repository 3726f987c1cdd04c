from __future__ import annotations

import numpy as np

from pneumobench.radiographs.geometry import film_to_square, mask_to_square


def test_a_film_is_squeezed_by_averaging_areas() -> None:
    film = np.array([[0, 100, 10, 30], [100, 200, 20, 40]], dtype=np.uint8)
    assert film_to_square(film.repeat(2, axis=0), 2).tolist() == [[50, 20], [150, 30]]


def test_a_film_of_the_right_size_stays_as_it_is() -> None:
    film = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)
    assert np.array_equal(film_to_square(film, 9), film)


def test_a_small_film_is_enlarged() -> None:
    larger = film_to_square(np.array([[0, 200]], dtype=np.uint8), 8)
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
