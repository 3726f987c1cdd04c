"""Facts of an image without its content, on images whose facts are known."""

from __future__ import annotations

import numpy as np
import pytest

from pneumobench.radiographs.gray_facts import GRAY_FACTS, gray_facts
from pneumobench.radiographs.gray_levels import code_counts, histograms_matched


def test_facts_of_an_image_that_was_made_for_them() -> None:
    image = np.full((20, 20), 100, dtype=np.uint8)
    image[:4] = 0  # a black border at the top, and one to the right
    image[:, 15:] = 5
    image[10, 3] = 0  # black inside is no border
    found = {name: float(values[0]) for name, values in gray_facts(image[None]).items()}
    assert set(found) == set(GRAY_FACTS)
    assert found["black_border"] == pytest.approx(1 - 16 * 15 / 400)
    assert found["black_share"] == pytest.approx((image < 16).mean())
    assert found["mean_gray"] == pytest.approx(image.mean())
    assert found["middle_gray"] == pytest.approx(image[5:15, 5:15].mean())
    assert found["dark_end"] == 0
    assert found["bright_end"] == 100


def test_detail_is_lost_by_smoothing_and_black_images_have_no_border_left() -> None:
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (1, 32, 32)).astype(np.uint8)
    smooth = rough.reshape(1, 16, 2, 16, 2).mean(axis=(2, 4)).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    assert gray_facts(smooth)["detail"][0] < gray_facts(rough)["detail"][0] / 2
    assert gray_facts(np.zeros((1, 8, 8), dtype=np.uint8))["black_border"][0] == 1


def test_matched_images_have_the_histogram_and_their_own_order() -> None:
    rng = np.random.default_rng(1)
    bright, dark = (np.clip(rng.normal(mean, 20, (3, 64, 64)), 0, 255).astype(np.uint8) for mean in (180, 70))
    counts = code_counts(dark)
    found = histograms_matched(bright, counts)
    assert found.shape == bright.shape
    assert found.dtype == np.uint8
    for one, before in zip(found, bright, strict=True):
        assert abs(float(one.mean()) - float(dark.mean())) < 1
        assert abs(float(one.std()) - float(dark.std())) < 1
        order = np.argsort(before.ravel(), kind="stable")
        assert (np.diff(one.ravel()[order].astype(int)) >= 0).all(), "darker pixels stay darker"
    again = histograms_matched(found, counts)
    assert np.abs(again.astype(int) - found).max() <= 2, "an image that has the histogram stays as it is"
