"""Batches are changed as albumentations and OpenCV change one image, change by change, with the same parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import albumentations
import albumentations.augmentations.blur.functional as blur
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pneumobench.radiographs import batch_augmentation, batch_filters
from pneumobench.radiographs.batch_augmentation import BatchAugmentation, Changes
from pneumobench.suite.training import AugmentationSpec
from tests.radiographs.test_augmentation import ALL, NONE

COUNT = 24


def smooth_images(side_px: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    images = [cv2.GaussianBlur(generator.random((side_px, side_px)), (0, 0), side_px / 16) for _ in range(COUNT)]
    levels = np.stack(images)
    return np.asarray(np.round(255 * (levels - levels.min()) / np.ptp(levels)), dtype=np.uint8)


Reference = Callable[[NDArray[np.uint8], Changes, int], Any]


def flipped(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.matrix is not None
    return image[:, ::-1] if changes.matrix[place, 0, 0] < 0 else image


def moved(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    """Warp by OpenCV, as albumentations does it, from the middle of the image."""
    assert changes.matrix is not None
    side, back = image.shape[0], np.eye(3)
    back[:2] = changes.matrix[place].numpy()
    middle = np.array([[1, 0, (side - 1) / 2], [0, 1, (side - 1) / 2], [0, 0, 1]])
    forward = middle @ np.linalg.inv(back) @ np.linalg.inv(middle)
    return cv2.warpAffine(image, forward[:2], (side, side), flags=cv2.INTER_LINEAR)


def toned(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.contrast is not None
    assert changes.brightness is not None
    alpha, beta = float(changes.contrast[place]), 255 * float(changes.brightness[place])
    return albumentations.RandomBrightnessContrast().apply(image, alpha=alpha, beta=beta)


def equalised(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.clahe_clip is not None
    clip = float(changes.clahe_clip[place])
    return image if clip == 0 else albumentations.CLAHE().apply(image, clip_limit=clip)


def bent(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.gamma is not None
    return albumentations.RandomGamma().apply(image, gamma=float(changes.gamma[place]))


def blurred(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.motion is not None
    return albumentations.MotionBlur().apply(image, kernel=changes.motion[place].numpy())


def middle_of(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.median_px is not None
    side = int(changes.median_px[place])
    return image if side == 0 else albumentations.MedianBlur().apply(image, kernel=side)


def holed(image: NDArray[np.uint8], changes: Changes, place: int) -> Any:
    assert changes.holes is not None
    holes = changes.holes[place][:, [1, 0, 3, 2]].numpy()  # albumentations has (left, top, right, bottom)
    return albumentations.CoarseDropout().apply(image.copy(), holes=holes, seed=0)


KINDS: dict[str, tuple[dict[str, float], Reference, float]] = {
    "flip": ({"horizontal_flip": 0.5}, flipped, 0),
    "rotation": ({"rotation_deg": 30.0}, moved, 1),
    "shift": ({"shift": 0.2}, moved, 1),
    "scale": ({"scale": 0.3}, moved, 1),
    "shear": ({"shear_deg": 15.0}, moved, 1),
    "geometry": (
        {"rotation_deg": 10.0, "shift": 0.1, "scale": 0.2, "shear_deg": 8.0, "horizontal_flip": 0.5},
        moved,
        1,
    ),
    "brightness": ({"brightness": 0.3}, toned, 1),
    "contrast": ({"contrast": 0.3}, toned, 1),
    "clahe": ({"clahe": 0.7}, equalised, 0),
    "gamma": ({"gamma": 0.7}, bent, 1),
    "motion blur": ({"motion_blur": 0.7}, blurred, 1),
    "median blur": ({"median_blur": 0.7}, middle_of, 0),
    "dropout": ({"coarse_dropout": 0.7}, holed, 0),
}


@pytest.mark.parametrize("side_px", [37, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_that_of_albumentations_up_to_rounding(kind: str, side_px: int) -> None:
    magnitude, reference, gray_levels = KINDS[kind]
    images = smooth_images(side_px)
    augmentation = BatchAugmentation(dataclasses.replace(NONE, **magnitude), seed=4)  # type: ignore[arg-type]
    changes = augmentation.draw(torch.arange(COUNT), epoch=1, side_px=side_px)
    changed = augmentation.changed(torch.from_numpy(images)[:, None], changes.to(torch.device("cpu")))[:, 0].numpy()
    assert (changed != images).any(axis=(1, 2)).mean() > 0.3, "something happens"
    for place in range(COUNT):
        expected = np.asarray(reference(images[place], changes, place), dtype=int)
        assert np.abs(changed[place].astype(int) - expected).max() <= gray_levels, place


def test_the_whole_geometry_is_that_of_albumentations_with_the_same_magnitudes() -> None:
    """Extreme magnitudes; albumentations draws shears with the other sign, and shifts whole pixels."""
    image = smooth_images(64)[0]
    reference = albumentations.Affine(
        rotate=(20, 20), scale=(1.2, 1.2), shear=(-10, -10), translate_percent=(0.125, 0.125), fill=0, p=1
    )
    expected = reference(image=image)["image"].astype(int)
    spec = dataclasses.replace(NONE, rotation_deg=20.0, scale=0.2, shear_deg=10.0, shift=0.125)
    ends = torch.full((1, 8), 1.0, dtype=torch.float64)
    ends[0, 0] = 0.0
    matrix = batch_augmentation._matrices(spec, torch.ones(1, 1), ends, 64)
    assert matrix is not None
    found = batch_augmentation.warp(torch.from_numpy(image)[None, None].float(), matrix)[0, 0].round().numpy()
    assert np.abs(found - expected).max() <= 1


def test_motion_kernels_are_those_of_albumentations() -> None:
    generator = np.random.default_rng(2)

    class Given:
        def __init__(self, values: NDArray[np.float64]) -> None:
            self.values = list(values)

        def uniform(self, low: float, high: float) -> float:
            assert (low, high) == (-1, 1)
            return float(self.values.pop(0))

    side = generator.choice([3, 5, 7], 300)
    angle, direction = generator.uniform(0, 360, 300), generator.uniform(-1, 1, 300)
    shift = generator.uniform(-1, 1, (300, 2))
    found = batch_filters.motion_kernels(
        torch.from_numpy(side),
        torch.deg2rad(torch.from_numpy(angle)),
        torch.from_numpy(direction),
        torch.from_numpy(shift),
    )
    for place in range(300):
        drawn: Any = Given(shift[place])
        expected = blur.create_motion_kernel(int(side[place]), angle[place], direction[place], True, drawn)
        margin = 3 - side[place] // 2
        inner = np.pad(expected / expected.sum(), margin)
        np.testing.assert_allclose(found[place].numpy(), inner, atol=1e-6)


def test_noise_is_as_strong_as_drawn_and_new_for_each_image_and_epoch() -> None:
    augmentation = BatchAugmentation(dataclasses.replace(NONE, gaussian_noise=1.0), seed=0)
    even = torch.full((6, 1, 128, 128), 128, dtype=torch.uint8)
    seen = []
    for epoch in range(2):
        changes = augmentation.draw(torch.arange(6), epoch=epoch, side_px=128).to(even.device)
        assert changes.noise is not None
        noise = augmentation.changed(even, changes).double() - 128
        np.testing.assert_allclose(noise.std(dim=(1, 2, 3)).numpy(), 255 * changes.noise.numpy(), rtol=0.03)
        assert noise.mean().abs() < 0.5
        seen += list(noise)
    flat = torch.stack(seen).flatten(1)
    correlation = torch.corrcoef(flat) - torch.eye(12)
    assert correlation.abs().max() < 0.05


@pytest.mark.parametrize("spec", [AugmentationSpec(), ALL])
def test_an_image_is_changed_alike_in_every_batch_drawn_together_or_alone(spec: AugmentationSpec) -> None:
    images, rows = torch.from_numpy(smooth_images(32))[:, None], torch.arange(100, 100 + COUNT)
    together = BatchAugmentation(spec, 3, count=200)
    whole = together(images, epoch=5, rows=rows)
    for batch in ([0], [7, 3], list(range(11, COUNT))):
        alone = BatchAugmentation(spec, 3)(images[batch], epoch=5, rows=rows[batch])
        assert torch.equal(alone, whole[batch])
        assert torch.equal(together(images[batch], epoch=5, rows=rows[batch]), whole[batch])
    assert not torch.equal(together(images, epoch=6, rows=rows), whole)


def test_masks_follow_the_geometry_of_their_images() -> None:
    spec = dataclasses.replace(NONE, horizontal_flip=0.5, rotation_deg=25.0, shift=0.1, brightness=0.3)
    augmentation = BatchAugmentation(spec, seed=1)
    masks = torch.zeros(COUNT, 1, 64, 64, dtype=torch.bool)
    masks[:, :, 10:30, 20:34] = True
    changes = augmentation.draw(torch.arange(COUNT), epoch=0, side_px=64)
    followed = augmentation.masks(masks, changes)
    white = BatchAugmentation(dataclasses.replace(spec, brightness=0.0), seed=1)(
        masks.to(torch.uint8) * 255, epoch=0, rows=torch.arange(COUNT)
    )
    assert ((white > 127) != followed).float().mean() < 0.01
    assert not torch.equal(followed, masks)
