"""Noise, photographs and turned images are called unlike a run's images; images of the run's own kind are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from pneumobench.datasets.index import Index
from pneumobench.lungs.familiarity import (
    COMPARED_MAX,
    Familiarity,
    detail,
    familiarity,
    strange_words,
    thumbnail,
)
from tests.lungs.conftest import drawn_images

Picture = NDArray[np.uint8]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def radiographs(phantoms: Index) -> Picture:
    return np.asarray(drawn_images(phantoms, "train").radiographs)


@pytest.fixture(scope="module")
def usual(radiographs: Picture) -> Familiarity:
    return familiarity(radiographs[::2], seed=0)


def noise(side_px: int) -> Picture:
    return np.random.default_rng(1).integers(0, 256, (side_px, side_px), dtype=np.uint8)


def photograph(side_px: int) -> Picture:
    camera: Picture = data.camera()  # type: ignore[no-untyped-call]
    return np.asarray(cv2.resize(camera, (side_px, side_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def test_other_images_of_the_same_kind_are_familiar(radiographs: Picture, usual: Familiarity) -> None:
    strange = [words for radiograph in radiographs[1::2] if (words := strange_words(radiograph, usual))]
    assert len(strange) <= 0.1 * len(radiographs[1::2]), strange


@pytest.mark.parametrize("change", [noise, photograph, lambda side: np.full((side, side), 80, np.uint8)])
def test_what_is_no_radiograph_is_far_from_the_training_images(
    change: type[Picture], radiographs: Picture, usual: Familiarity
) -> None:
    words = strange_words(change(radiographs.shape[1]), usual)
    assert words
    assert words[0].startswith("far from the training images: its layout correlates")


def test_a_turned_image_and_a_noisy_one_are_strange_each_in_its_own_way(
    radiographs: Picture, usual: Familiarity
) -> None:
    one = radiographs[1]
    assert "layout" in strange_words(np.rot90(one).copy(), usual)[0]
    noisy = np.clip(one + RNG.normal(0, 60, one.shape), 0, 255).astype(np.uint8)
    assert "much more fine detail" in strange_words(noisy, usual)[-1]


def test_brightness_and_contrast_do_not_count(radiographs: Picture) -> None:
    one = radiographs[0]
    darker = (one * 0.5 + 20).astype(np.uint8)
    assert float(thumbnail(one) @ thumbnail(darker)) == pytest.approx(1, abs=0.01)
    assert detail(darker) == pytest.approx(detail(one), rel=0.1)
    assert detail(np.zeros((8, 8), np.uint8)) == 0


def test_a_large_run_is_sampled_and_the_sample_is_that_of_its_seed() -> None:
    many = RNG.integers(0, 256, (COMPARED_MAX + 5, 16, 16), dtype=np.uint8)
    first, second = familiarity(many, seed=1), familiarity(many, seed=1)
    assert len(first.thumbnails) == COMPARED_MAX
    assert np.array_equal(first.thumbnails, second.thumbnails)
