from __future__ import annotations

import numpy as np

from pneumobench.lungs.masked_regions import MASKED_REGIONS, lungs_blurred, only_lungs, without_borders, without_lungs

RADIOGRAPHS = np.random.default_rng(0).integers(0, 200, (3, 40, 40)).astype(np.uint8)
LUNGS = np.zeros((3, 40, 40), dtype=bool)
LUNGS[:, 10:30, 5:18] = LUNGS[:, 10:30, 22:35] = True


def test_lungs_take_the_mean_of_the_rest_and_the_rest_stays() -> None:
    ablation = without_lungs(RADIOGRAPHS, LUNGS)
    for radiograph, lungs, found in zip(RADIOGRAPHS, LUNGS, ablation, strict=True):
        assert set(found[lungs]) == {round(float(radiograph[~lungs].mean()))}
        assert (found[~lungs] == radiograph[~lungs]).all()


def test_only_the_lungs_stay() -> None:
    ablation = only_lungs(RADIOGRAPHS, LUNGS)
    for radiograph, lungs, found in zip(RADIOGRAPHS, LUNGS, ablation, strict=True):
        assert set(found[~lungs]) == {round(float(radiograph[lungs].mean()))}
        assert (found[lungs] == radiograph[lungs]).all()


def test_what_was_in_the_lungs_cannot_be_recovered() -> None:
    other = np.where(LUNGS, 255 - RADIOGRAPHS, RADIOGRAPHS).astype(np.uint8)
    assert (without_lungs(RADIOGRAPHS, LUNGS) == without_lungs(other, LUNGS)).all()


def test_blurred_lungs_keep_brightness_and_lose_structure() -> None:
    blurred = lungs_blurred(RADIOGRAPHS, LUNGS)
    assert (blurred[~LUNGS] == RADIOGRAPHS[~LUNGS]).all()
    assert blurred[LUNGS].std() < 0.1 * RADIOGRAPHS[LUNGS].std()
    assert abs(float(blurred[LUNGS].mean()) - float(RADIOGRAPHS[LUNGS].mean())) < 5


def test_borders_go_and_the_middle_stays() -> None:
    ablation = without_borders(RADIOGRAPHS, LUNGS)
    assert (ablation[:, 4:-4, 4:-4] == RADIOGRAPHS[:, 4:-4, 4:-4]).all()
    assert len(np.unique(ablation[0, :4])) == 1


def test_a_mask_that_covers_the_whole_image_is_no_error() -> None:
    whole = np.ones_like(LUNGS)
    for blank in MASKED_REGIONS.values():
        assert blank(RADIOGRAPHS, whole).shape == RADIOGRAPHS.shape
        assert blank(RADIOGRAPHS, ~whole).dtype == np.uint8
