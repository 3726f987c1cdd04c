from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from pneumobench.lungs import masked_regions
from pneumobench.lungs.masked_regions import BLUR, MASKED_REGIONS, TRAINED_REGIONS, masked
from pneumobench.lungs.region_names import REGIONS


def on_arrays(blank: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., NDArray[np.uint8]]:
    return lambda radiographs, lungs: blank(torch.from_numpy(radiographs), torch.from_numpy(lungs)).numpy()


lungs_blurred, only_lungs = on_arrays(masked_regions.lungs_blurred), on_arrays(masked_regions.only_lungs)
without_borders, without_lungs = on_arrays(masked_regions.without_borders), on_arrays(masked_regions.without_lungs)

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


def test_blurring_is_that_of_scipy() -> None:
    sigma_px = BLUR * RADIOGRAPHS.shape[-1]
    expected = gaussian_filter(RADIOGRAPHS.astype(np.float64), (0, sigma_px, sigma_px), mode="reflect", truncate=4)
    difference = lungs_blurred(RADIOGRAPHS, LUNGS)[LUNGS].astype(float) - expected[LUNGS]
    assert np.abs(difference).max() <= 0.51  # one rounding to whole gray levels


def test_borders_go_and_the_middle_stays() -> None:
    ablation = without_borders(RADIOGRAPHS, LUNGS)
    assert (ablation[:, 4:-4, 4:-4] == RADIOGRAPHS[:, 4:-4, 4:-4]).all()
    assert len(np.unique(ablation[0, :4])) == 1


def test_a_mask_that_covers_the_whole_image_is_no_error() -> None:
    whole = np.ones_like(LUNGS)
    for blank in MASKED_REGIONS.values():
        assert on_arrays(blank)(RADIOGRAPHS, whole).shape == RADIOGRAPHS.shape
        assert on_arrays(blank)(RADIOGRAPHS, ~whole).dtype == np.uint8
    assert (without_lungs(RADIOGRAPHS, whole)[0] == round(RADIOGRAPHS[0].mean())).all()


@pytest.mark.parametrize("fill", ["mean", "inpainted"])
def test_a_fill_carries_nothing_of_what_it_replaces(fill: str) -> None:
    other = torch.from_numpy(np.where(LUNGS, 255 - RADIOGRAPHS, RADIOGRAPHS).astype(np.uint8))
    films, lungs = torch.from_numpy(RADIOGRAPHS), torch.from_numpy(LUNGS)
    found = masked(films, lungs, fill)
    assert torch.equal(found, masked(other, lungs, fill))
    assert torch.equal(found[~lungs], films[~lungs])
    assert not torch.equal(masked(films, lungs, "blur"), masked(other, lungs, "blur")), "which hands brightness on"


def test_inpainting_goes_on_with_gray_levels_and_grain_of_what_is_left() -> None:
    ramp = np.tile(np.linspace(60, 180, 40), (1, 40, 1)) + np.random.default_rng(1).normal(0, 8, (1, 40, 40))
    films, hole = torch.from_numpy(ramp.round().astype(np.uint8)), torch.zeros((1, 40, 40), dtype=torch.bool)
    hole[:, 16:24, 4:12], hole[:, 16:24, 28:36] = True, True
    found = masked(films, hole, "inpainted").float()
    dark, bright = found[0, 16:24, 4:12], found[0, 16:24, 28:36]
    assert abs(float(dark.mean()) - float(films[0, 16:24, 4:12].float().mean())) < 12
    assert abs(float(bright.mean()) - float(films[0, 16:24, 28:36].float().mean())) < 12
    assert 4 < float(dark.std()) < 16
    assert torch.equal(found, masked(films, hole, "inpainted").float()), "the same noise every time"


def test_names_that_are_trained_and_shown_mask_the_same_way() -> None:
    assert tuple(MASKED_REGIONS) == REGIONS
    assert set(REGIONS) - set(TRAINED_REGIONS) == {"lungs_blurred", "without_borders"}
    for name in set(REGIONS) & set(TRAINED_REGIONS):
        assert MASKED_REGIONS[name] == TRAINED_REGIONS[name]
