from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.radiographs.augmentation import Augmentation
from pneumobench.suite.training import AugmentationSpec

NONE = AugmentationSpec(horizontal_flip=0, rotation_deg=0, shift=0, scale=0, shear_deg=0, brightness=0, contrast=0)


@pytest.fixture
def film() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(20, 200, (24, 24), dtype=np.uint8)


def test_the_change_depends_on_seed_epoch_and_image_only(film: NDArray[np.uint8]) -> None:
    first, second = Augmentation(AugmentationSpec(), seed=3), Augmentation(AugmentationSpec(), seed=3)
    np.random.seed(1)  # the global state must not matter
    forward = {(e, i): first(film, epoch=e, image=i) for e in range(2) for i in range(3)}
    np.random.seed(2)
    backward = {(e, i): second(film, epoch=e, image=i) for e in (1, 0) for i in (2, 0, 1)}
    for key, changed in forward.items():
        assert np.array_equal(changed, backward[key])
        assert np.array_equal(changed, first(film, epoch=key[0], image=key[1])), "and not on what came before"


def test_epoch_image_and_seed_each_change_the_film(film: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(AugmentationSpec(), seed=3)
    films = [augmentation(film, epoch=0, image=0), augmentation(film, epoch=1, image=0)]
    films += [augmentation(film, epoch=0, image=1), Augmentation(AugmentationSpec(), seed=4)(film, epoch=0, image=0)]
    assert len({changed.tobytes() for changed in films}) == 4


def test_without_magnitudes_the_film_comes_back(film: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(NONE, seed=0)
    for epoch in range(5):
        assert np.array_equal(augmentation(film, epoch=epoch, image=0), film)


def test_the_result_is_a_uint8_film_and_the_input_is_untouched(film: NDArray[np.uint8]) -> None:
    before = film.copy()
    changed = Augmentation(AugmentationSpec(), seed=0)(film, epoch=0, image=0)
    assert changed.shape == film.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(film, before)


def changed_by(**magnitude: float) -> list[NDArray[np.uint8]]:
    """Return one film, marked in a corner, changed in forty epochs by one kind of change only."""
    import dataclasses

    film = np.full((20, 20), 100, dtype=np.uint8)
    film[2:5, 2:5] = 200
    augmentation = Augmentation(dataclasses.replace(NONE, **magnitude), seed=1)
    return [augmentation(film, epoch=epoch, image=0) for epoch in range(40)]


def test_a_flip_mirrors_left_and_right_about_as_often_as_asked() -> None:
    films = changed_by(horizontal_flip=0.25)
    mirrored = [film for film in films if film[3, 16] == 200]
    assert 3 <= len(mirrored) <= 18
    assert all(np.array_equal(film[:, ::-1], films[0]) or np.array_equal(film, films[0]) for film in films)


@pytest.mark.parametrize("kind", ["rotation_deg", "shift", "scale", "shear_deg"])
def test_geometry_changes_go_both_ways_and_keep_the_gray_levels(kind: str) -> None:
    films = changed_by(**{kind: {"rotation_deg": 20.0, "shift": 0.1, "scale": 0.3, "shear_deg": 20.0}[kind]})
    assert len({film.tobytes() for film in films}) > 5
    assert max(int(film.max()) for film in films) <= 200


def test_a_shift_stays_within_its_magnitude() -> None:
    for film in changed_by(shift=0.1):
        rows, columns = np.nonzero(film > 150)
        assert abs(rows.mean() - 3) <= 2.5
        assert abs(columns.mean() - 3) <= 2.5


def test_brightness_is_a_share_of_full_scale() -> None:
    levels = np.array([int(film[10, 10]) for film in changed_by(brightness=0.1)])
    assert levels.min() < 95
    assert levels.max() > 105
    assert np.abs(levels - 100).max() <= 26  # 0.1 of 255
