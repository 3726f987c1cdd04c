"""The recipe does what it says, whoever executes it, and both executors do the same to an image."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pneumobench.radiographs.augmentation import augmentation
from pneumobench.suite.training import AugmentationSpec

NONE = AugmentationSpec(horizontal_flip=0, rotation_deg=0, shift=0, scale=0, shear_deg=0, brightness=0, contrast=0)
ALL = AugmentationSpec(
    clahe=0.5, gamma=0.5, gaussian_noise=0.5, motion_blur=0.5, median_blur=0.5, coarse_dropout=0.5
)  # fmt: skip
Executor = Literal["batched", "albumentations"]


@pytest.fixture(params=["batched", "albumentations"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return request.param  # type: ignore[no-any-return]


class One:
    """A recipe put to one image at a time."""

    def __init__(self, spec: AugmentationSpec, executor: Executor, *, seed: int) -> None:
        self.changes = augmentation(dataclasses.replace(spec, executor=executor), seed)

    def __call__(self, radiograph: NDArray[np.uint8], *, epoch: int, image: int) -> NDArray[np.uint8]:
        changed = self.changes(torch.from_numpy(radiograph)[None, None], epoch=epoch, rows=torch.tensor([image]))
        return np.asarray(changed[0, 0].numpy())


@pytest.fixture
def radiograph() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(20, 200, (24, 24), dtype=np.uint8)


def test_the_change_depends_on_seed_epoch_and_image_only(radiograph: NDArray[np.uint8], executor: Executor) -> None:
    first, second = One(ALL, executor, seed=3), One(ALL, executor, seed=3)
    np.random.seed(1)  # the global state must not matter
    forward = {(e, i): first(radiograph, epoch=e, image=i) for e in range(2) for i in range(3)}
    np.random.seed(2)
    backward = {(e, i): second(radiograph, epoch=e, image=i) for e in (1, 0) for i in (2, 0, 1)}
    for key, changed in forward.items():
        assert np.array_equal(changed, backward[key])
        assert np.array_equal(changed, first(radiograph, epoch=key[0], image=key[1])), "and not on what came before"


def test_epoch_image_and_seed_each_change_the_image(radiograph: NDArray[np.uint8], executor: Executor) -> None:
    change = One(AugmentationSpec(), executor, seed=3)
    radiographs = [change(radiograph, epoch=0, image=0), change(radiograph, epoch=1, image=0)]
    radiographs += [
        change(radiograph, epoch=0, image=1),
        One(AugmentationSpec(), executor, seed=4)(radiograph, epoch=0, image=0),
    ]
    assert len({changed.tobytes() for changed in radiographs}) == 4


def test_without_magnitudes_the_image_comes_back(radiograph: NDArray[np.uint8], executor: Executor) -> None:
    change = One(NONE, executor, seed=0)
    for epoch in range(5):
        assert np.array_equal(change(radiograph, epoch=epoch, image=0), radiograph)


@pytest.mark.parametrize("spec", [NONE, AugmentationSpec(), ALL])
def test_the_result_is_a_uint8_image_and_the_input_is_untouched(
    radiograph: NDArray[np.uint8], executor: Executor, spec: AugmentationSpec
) -> None:
    before = radiograph.copy()
    changed = One(spec, executor, seed=0)(radiograph, epoch=0, image=0)
    assert changed.shape == radiograph.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(radiograph, before)


def changed_by(executor: Executor, **magnitude: float) -> list[NDArray[np.uint8]]:
    """Return one image, marked in a corner, changed in forty epochs by one kind of change only."""
    radiograph = np.full((20, 20), 100, dtype=np.uint8)
    radiograph[2:5, 2:5] = 200
    change = One(dataclasses.replace(NONE, **magnitude), executor, seed=1)  # type: ignore[arg-type]
    return [change(radiograph, epoch=epoch, image=0) for epoch in range(40)]


def test_a_flip_mirrors_left_and_right_about_as_often_as_asked(executor: Executor) -> None:
    radiographs = changed_by(executor, horizontal_flip=0.25)
    mirrored = [radiograph for radiograph in radiographs if radiograph[3, 16] == 200]
    assert 3 <= len(mirrored) <= 18
    assert all(
        np.array_equal(radiograph[:, ::-1], radiographs[0]) or np.array_equal(radiograph, radiographs[0])
        for radiograph in radiographs
    )


@pytest.mark.parametrize("kind", ["rotation_deg", "shift", "scale", "shear_deg"])
def test_geometry_changes_go_both_ways_and_keep_the_gray_levels(kind: str, executor: Executor) -> None:
    radiographs = changed_by(
        executor, **{kind: {"rotation_deg": 20.0, "shift": 0.1, "scale": 0.3, "shear_deg": 20.0}[kind]}
    )
    assert len({radiograph.tobytes() for radiograph in radiographs}) > 5
    assert max(int(radiograph.max()) for radiograph in radiographs) <= 200


def test_a_shift_stays_within_its_magnitude(executor: Executor) -> None:
    for radiograph in changed_by(executor, shift=0.1):
        rows, columns = np.nonzero(radiograph > 150)
        assert abs(rows.mean() - 3) <= 2.5
        assert abs(columns.mean() - 3) <= 2.5


def test_brightness_is_a_share_of_full_scale(executor: Executor) -> None:
    levels = np.array([int(radiograph[10, 10]) for radiograph in changed_by(executor, brightness=0.1)])
    assert levels.min() < 95
    assert levels.max() > 105
    assert np.abs(levels - 100).max() <= 26  # 0.1 of 255
