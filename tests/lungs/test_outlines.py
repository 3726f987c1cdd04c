"""Whose lungs are masked: another patient's without regard to class, and one region that no test image shaped."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.masks import LungMasks
from pneumobench.lungs.outlines import NOBODY, fixed_region, fold_outlines, other_rows, refuse_lonely
from pneumobench.lungs.region_names import FIXED_SHARE
from tests.leaderboard.fake_run import make_index

SIDE = 8
INDEX = make_index()
COUNT = len(INDEX.table)
NAMES, GROUP = INDEX.table["image_id"].tolist(), INDEX.table["group"].to_numpy()
RNG = np.random.default_rng(0)
# each pixel is lung in another share of the images
LUNGS = (RNG.random((COUNT, SIDE, SIDE)) < np.linspace(0, 0.5, SIDE * SIDE).reshape(SIDE, SIDE) ** 3).astype(np.uint8)


def masks_of(lungs: NDArray[np.uint8], rows: list[int] | None = None) -> LungMasks:
    return LungMasks(
        kind="drawn", masks=lungs, row_of={row: row for row in (rows or range(len(lungs)))}, box=fixed_lung_box(SIDE)
    )


def split(index: Index, seed: int = 3, count: int = 5) -> Folds:
    inside = index.table[index.table["split"] == "train"]
    fold = dict(zip(inside["image_id"], (inside["group"] % count).tolist(), strict=True))
    official = tuple(index.table.loc[index.table["split"] == "test", "image_id"])
    return Folds(
        count=count, seed=seed, index_hash="", tune_fraction=0.1, test_fold=fold, tune=((),) * count,
        official_test=official,
    )  # fmt: skip


FOLDS = split(INDEX)
OTHER = other_rows(INDEX, FOLDS, masks_of(LUNGS))


def test_an_outline_is_never_that_of_the_patient_and_stays_in_its_part_of_every_fold() -> None:
    assert (OTHER != NOBODY).all()
    assert (GROUP[OTHER] != GROUP).all()
    part = np.array([FOLDS.test_fold.get(name, -5) for name in NAMES])
    assert (part[OTHER] == part).all(), "no test image meets a training image, in no fold"


def test_every_outline_is_used_about_once() -> None:
    used = np.bincount(OTHER, minlength=COUNT)
    assert used.max() <= 3, "of three images of a patient that follow each other the next patient serves all"
    assert (used > 0).mean() > 0.8


def test_outlines_depend_on_seed_and_names_and_not_on_class_or_order() -> None:
    assert (other_rows(INDEX, FOLDS, masks_of(LUNGS)) == OTHER).all()
    turned = Index(root=INDEX.root, table=INDEX.table.assign(label=1 - INDEX.table["label"], subtype="x"))
    assert (other_rows(turned, FOLDS, masks_of(LUNGS)) == OTHER).all()
    assert (other_rows(INDEX, dataclasses.replace(FOLDS, seed=4), masks_of(LUNGS)) != OTHER).mean() > 0.8
    order = RNG.permutation(COUNT)
    moved = Index(root=INDEX.root, table=INDEX.table.iloc[order].reset_index(drop=True))
    found = other_rows(moved, FOLDS, masks_of(LUNGS))
    assert [NAMES[order[row]] for row in found] == [NAMES[row] for row in OTHER[order]]


def test_the_outline_of_another_says_nothing_of_the_class() -> None:
    label = INDEX.table["label"].to_numpy()
    many = [other_rows(INDEX, dataclasses.replace(FOLDS, seed=seed), masks_of(LUNGS)) for seed in range(60)]
    agree = np.mean([(label[other] == label).mean() for other in many])
    part = np.array([FOLDS.test_fold.get(name, -5) for name in NAMES])
    others = [(part == part[row]) & (GROUP[row] != GROUP) for row in range(COUNT)]
    drawn_evenly = np.mean([(label[other] == label[row]).mean() for row, other in enumerate(others)])
    assert agree == pytest.approx(drawn_evenly, abs=0.02)


def test_images_without_a_mask_give_and_get_no_outline() -> None:
    rows = list(range(10, COUNT))
    found = other_rows(INDEX, FOLDS, masks_of(LUNGS, rows))
    assert (found[:10] == NOBODY).all()
    assert not np.isin(np.arange(10), found).any()


def test_a_part_of_one_patient_has_nobody_to_exchange_with() -> None:
    alone = Index(root=INDEX.root, table=INDEX.table.assign(group=np.where(INDEX.table["group"] == 0, 0, 1)))
    folds = dataclasses.replace(FOLDS, test_fold={name: int(group) for name, group in zip(NAMES, GROUP, strict=True)})
    outlines = fold_outlines(INDEX, dataclasses.replace(folds, official_test=()), masks_of(LUNGS), np.arange(COUNT))
    assert (outlines.other == NOBODY).all()
    assert outlines.forms() == ("own", "fixed")
    with pytest.raises(DataError, match=r"can get the outline of no other patient: .* use fewer folds"):
        refuse_lonely(outlines, alone, range(COUNT))


def test_the_fixed_region_is_the_smallest_that_holds_the_share() -> None:
    lungs = np.zeros((40, 3, 3), dtype=np.uint8)
    for place, count in enumerate((40, 40, 40, 40, 39, 1, 0, 0, 0)):
        lungs[:count].reshape(count, 9)[:, place] = 1
    masks = LungMasks(kind="drawn", masks=lungs, row_of={row: row for row in range(40)}, box=fixed_lung_box(3))
    region = fixed_region(masks, np.arange(40))
    assert region is not None
    pixels = lungs.sum(axis=0).ravel()
    best = min(
        len(chosen)
        for size in range(10)
        for chosen in itertools.combinations(range(9), size)
        if pixels[list(chosen)].sum() >= FIXED_SHARE * pixels.sum()
    )
    assert region.sum() == best == 5
    assert lungs[:, region].sum() >= FIXED_SHARE * lungs.sum()


def test_the_fixed_region_is_that_of_the_training_part_alone() -> None:
    train = np.arange(0, 60)
    region = fixed_region(masks_of(LUNGS), train)
    other = LUNGS.copy()
    other[60:] = 1 - other[60:]
    again, of_all = fixed_region(masks_of(other), train), fixed_region(masks_of(other), np.arange(COUNT))
    assert region is not None
    assert again is not None
    assert of_all is not None
    assert np.array_equal(region, again)
    assert not np.array_equal(region, of_all)
    assert fixed_region(masks_of(LUNGS, rows=[100]), train) is None


def test_all_images_get_the_same_fixed_region_and_their_own_or_another_outline() -> None:
    outlines = fold_outlines(INDEX, FOLDS, masks_of(LUNGS), np.arange(60))
    rows = np.array([3, 70, 149])
    assert outlines.forms() == ("own", "other", "fixed")
    fixed = outlines.of_rows(rows, "fixed")
    assert (fixed == fixed[0]).all()
    assert np.array_equal(outlines.of_rows(rows, "own"), LUNGS[rows] > 0)
    assert np.array_equal(outlines.of_rows(rows, "other"), LUNGS[OTHER[rows]] > 0)
    assert not np.array_equal(outlines.of_rows(rows, "other"), outlines.of_rows(rows, "own"))


def test_the_box_has_one_form() -> None:
    box = LungMasks(kind="box", masks=np.zeros((0, SIDE, SIDE), np.uint8), row_of={}, box=fixed_lung_box(SIDE))
    assert fold_outlines(INDEX, FOLDS, box, np.arange(60)).forms() == ("own",)


def test_groups_and_labels_of_the_fixture_are_as_the_tests_need_them() -> None:
    assert pd.Series(GROUP).value_counts().max() == 3
    assert INDEX.table["label"].mean() == pytest.approx(2 / 3, abs=0.05)
