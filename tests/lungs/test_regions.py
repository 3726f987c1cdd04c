"""What networks are shown that are trained on a region of images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pneumobench.datasets.folds import Folds
from pneumobench.errors import DataError, SettingsError
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.masked_regions import TRAINED_REGIONS
from pneumobench.lungs.masks import LungMasks
from pneumobench.lungs.outlines import NOBODY, Outlines, fold_outlines
from pneumobench.lungs.regions import RegionImages
from pneumobench.radiographs.batch_augmentation import BatchAugmentation
from pneumobench.suite.regions import Region
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.training import AugmentationSpec
from tests.leaderboard.fake_run import make_index
from tests.lungs.test_outlines import split

SIDE = 32
INDEX = make_index()
COUNT = len(INDEX.table)
RNG = np.random.default_rng(1)
FILMS = RNG.integers(0, 256, (COUNT, SIDE, SIDE)).astype(np.uint8)
LUNGS = np.zeros((COUNT, SIDE, SIDE), dtype=np.uint8)
for _row in range(COUNT):
    _top, _left = RNG.integers(4, 12, 2)
    LUNGS[_row, _top : _top + 14, _left : _left + 8] = 1
MASKS = LungMasks(kind="drawn", masks=LUNGS, row_of={row: row for row in range(COUNT)}, box=fixed_lung_box(SIDE))
TRAIN = np.arange(0, 80)
FOLDS: Folds = split(INDEX)
OUTLINES = fold_outlines(INDEX, FOLDS, MASKS, TRAIN)
REGIONS: tuple[Region, ...] = tuple(region for region in get_args(Region) if region != "whole")


def made(
    region: Region, cache: Path, films: NDArray[np.uint8] = FILMS, outlines: Outlines = OUTLINES
) -> NDArray[np.uint8]:
    return RegionImages(region=region, radiographs=films, index=INDEX, cache_folder=cache).of_fold(outlines)


def test_every_region_but_the_whole_image_is_made() -> None:
    assert tuple(TRAINED_REGIONS) == REGIONS


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_is_made_once_and_the_same_again(region: Region, tmp_path: Path) -> None:
    first = made(region, tmp_path)
    assert first.shape == FILMS.shape
    assert first.dtype == np.uint8
    files = sorted(tmp_path.iterdir())
    assert np.array_equal(made(region, tmp_path), first)
    assert sorted(tmp_path.iterdir()) == files
    assert np.array_equal(made(region, tmp_path / "anew"), first)


@pytest.mark.parametrize("region", REGIONS)
def test_other_images_or_outlines_are_not_taken_for_these(region: Region, tmp_path: Path) -> None:
    made(region, tmp_path)
    known = len(list(tmp_path.iterdir()))
    made(region, tmp_path, films=255 - FILMS)
    changed = dataclasses.replace(MASKS, masks=np.roll(LUNGS, 2, axis=1))
    made(region, tmp_path, outlines=fold_outlines(INDEX, FOLDS, changed, TRAIN))
    assert len(list(tmp_path.iterdir())) == 3 * known


def test_mask_only_carries_no_gray_value(tmp_path: Path) -> None:
    first, second = made("mask_only", tmp_path), made("mask_only", tmp_path, films=RNG.permutation(255 - FILMS))
    assert np.array_equal(first, second)
    assert np.array_equal(first, 255 * LUNGS)


@pytest.mark.parametrize(
    ("region", "taken"),
    [
        ("without_lungs", OUTLINES.of_rows(np.arange(COUNT), "own")),
        ("without_lungs_other_outline", OUTLINES.of_rows(np.arange(COUNT), "other")),
        ("only_lungs", ~OUTLINES.of_rows(np.arange(COUNT), "own")),
        ("only_lungs_other_outline", ~OUTLINES.of_rows(np.arange(COUNT), "other")),
        ("fixed_region_removed", OUTLINES.of_rows(np.arange(COUNT), "fixed")),
    ],
)
def test_nothing_of_what_is_masked_is_left(region: Region, taken: NDArray[np.bool_], tmp_path: Path) -> None:
    first = made(region, tmp_path)
    hidden = np.where(taken, 255 - FILMS, FILMS).astype(np.uint8)
    assert np.array_equal(made(region, tmp_path, films=hidden), first)
    assert np.array_equal(first[~taken], FILMS[~taken])
    assert all(len(np.unique(one[hole])) == 1 for one, hole in zip(first, taken, strict=True))


def test_fixed_region_and_another_outline_show_nothing_of_the_own_outline(tmp_path: Path) -> None:
    flat = np.full_like(FILMS, 100)
    flat[:, 0] = 30  # so that a hole has an edge
    regions: tuple[Region, ...] = ("fixed_region_removed", "without_lungs_other_outline")
    for region in regions:
        shown = made(region, tmp_path, films=flat)
        row = 5
        elsewhere = LUNGS.copy()
        elsewhere[row] = np.roll(LUNGS[row], 9, axis=1)
        masks = dataclasses.replace(MASKS, masks=elsewhere)
        outlines = Outlines(masks=masks, other=OUTLINES.other, fixed=OUTLINES.fixed)
        again = made(region, tmp_path, films=flat, outlines=outlines)
        assert np.array_equal(shown[row], again[row]), region


def test_a_mask_moves_with_its_image(tmp_path: Path) -> None:
    change = BatchAugmentation(AugmentationSpec(horizontal_flip=0.5, rotation_deg=20, shift=0.1, scale=0.2), seed=1)
    rows = torch.arange(16)
    changes = change.draw(rows, epoch=0, side_px=SIDE)
    shown = change.changed(torch.from_numpy(made("mask_only", tmp_path)[:16].copy())[:, None], changes)
    moved = change.masks(torch.from_numpy(LUNGS[:16] > 0)[:, None], changes)
    assert ((shown > 127) == moved).float().mean() > 0.99
    assert not torch.equal(shown[:, 0], torch.from_numpy(255 * LUNGS[:16]))


def test_an_image_that_can_get_no_other_outline_is_named(tmp_path: Path) -> None:
    lonely = Outlines(masks=MASKS, other=np.full(COUNT, NOBODY), fixed=OUTLINES.fixed)
    with pytest.raises(DataError, match=r"NORMAL/.*png can get the outline of no other patient"):
        made("only_lungs_other_outline", tmp_path, outlines=lonely)
    assert len(made("only_lungs", tmp_path, outlines=lonely)) == COUNT


def test_the_box_is_nobodys_lungs() -> None:
    with pytest.raises(SettingsError, match=r"lung_mask_tier is box with data\.region mask_only: .* set it to auto"):
        Suite(data=DataSpec(region="mask_only", lung_mask_tier="box"))
    with pytest.raises(SettingsError, match=r"data\.region .*did you mean only_lungs"):
        DataSpec(region="only_lung")  # type: ignore[arg-type]
