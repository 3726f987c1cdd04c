from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.radiographs.augmentation import Augmentation
from pneumobench.suite.training import AugmentationSpec

NONE = AugmentationSpec(horizontal_flip=0, rotation_deg=0, shift=0, scale=0, shear_deg=0, brightness=0, contrast=0)


@pytest.fixture
def radiograph() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(20, 200, (24, 24), dtype=np.uint8)


def test_the_change_depends_on_seed_epoch_and_image_only(radiograph: NDArray[np.uint8]) -> None:
    first, second = Augmentation(AugmentationSpec(), seed=3), Augmentation(AugmentationSpec(), seed=3)
    np.random.seed(1)  # the global state must not matter
    forward = {(e, i): first(radiograph, epoch=e, image=i) for e in range(2) for i in range(3)}
    np.random.seed(2)
    backward = {(e, i): second(radiograph, epoch=e, image=i) for e in (1, 0) for i in (2, 0, 1)}
    for key, changed in forward.items():
        assert np.array_equal(changed, backward[key])
        assert np.array_equal(changed, first(radiograph, epoch=key[0], image=key[1])), "and not on what came before"


def test_epoch_image_and_seed_each_change_the_image(radiograph: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(AugmentationSpec(), seed=3)
    radiographs = [augmentation(radiograph, epoch=0, image=0), augmentation(radiograph, epoch=1, image=0)]
    radiographs += [
        augmentation(radiograph, epoch=0, image=1),
        Augmentation(AugmentationSpec(), seed=4)(radiograph, epoch=0, image=0),
    ]
    assert len({changed.tobytes() for changed in radiographs}) == 4


def test_without_magnitudes_the_image_comes_back(radiograph: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(NONE, seed=0)
    for epoch in range(5):
        assert np.array_equal(augmentation(radiograph, epoch=epoch, image=0), radiograph)


def test_the_result_is_a_uint8_image_and_the_input_is_untouched(radiograph: NDArray[np.uint8]) -> None:
    before = radiograph.copy()
    changed = Augmentation(AugmentationSpec(), seed=0)(radiograph, epoch=0, image=0)
    assert changed.shape == radiograph.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(radiograph, before)


def changed_by(**magnitude: float) -> list[NDArray[np.uint8]]:
    """Return one image, marked in a corner, changed in forty epochs by one kind of change only."""
    import dataclasses

    radiograph = np.full((20, 20), 100, dtype=np.uint8)
    radiograph[2:5, 2:5] = 200
    augmentation = Augmentation(dataclasses.replace(NONE, **magnitude), seed=1)
    return [augmentation(radiograph, epoch=epoch, image=0) for epoch in range(40)]


def test_a_flip_mirrors_left_and_right_about_as_often_as_asked() -> None:
    radiographs = changed_by(horizontal_flip=0.25)
    mirrored = [radiograph for radiograph in radiographs if radiograph[3, 16] == 200]
    assert 3 <= len(mirrored) <= 18
    assert all(
        np.array_equal(radiograph[:, ::-1], radiographs[0]) or np.array_equal(radiograph, radiographs[0])
        for radiograph in radiographs
    )


@pytest.mark.parametrize("kind", ["rotation_deg", "shift", "scale", "shear_deg"])
def test_geometry_changes_go_both_ways_and_keep_the_gray_levels(kind: str) -> None:
    radiographs = changed_by(**{kind: {"rotation_deg": 20.0, "shift": 0.1, "scale": 0.3, "shear_deg": 20.0}[kind]})
    assert len({radiograph.tobytes() for radiograph in radiographs}) > 5
    assert max(int(radiograph.max()) for radiograph in radiographs) <= 200


def test_a_shift_stays_within_its_magnitude() -> None:
    for radiograph in changed_by(shift=0.1):
        rows, columns = np.nonzero(radiograph > 150)
        assert abs(rows.mean() - 3) <= 2.5
        assert abs(columns.mean() - 3) <= 2.5


def test_brightness_is_a_share_of_full_scale() -> None:
    levels = np.array([int(radiograph[10, 10]) for radiograph in changed_by(brightness=0.1)])
    assert levels.min() < 95
    assert levels.max() > 105
    assert np.abs(levels - 100).max() <= 26  # 0.1 of 255
