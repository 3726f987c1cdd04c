from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.index import Index, limit_images
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.errors import DataError, SettingsError
from pneumobench.lungs import segmented as segmented_module
from pneumobench.lungs.boxes import FIXED_BOX
from pneumobench.lungs.crop import image_crop
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX
from pneumobench.lungs.masks import lung_masks
from pneumobench.lungs.quality import BOUNDS_NAME, LungQuality
from pneumobench.lungs.segmented import SegmentedLungs, segmented_lungs


@pytest.fixture(scope="module")
def index(phantoms: Index) -> Index:
    return limit_images(phantoms, 6, seed=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def segmented(index: Index, cache: Path, weights_folder: Path) -> SegmentedLungs:
    return segmented_lungs(index, cache, weights_folder)


def refuse(segmented: SegmentedLungs, rows: set[int]) -> SegmentedLungs:
    """Return the same masks, usable but for some rows."""
    quality = tuple(
        LungQuality(usable=row not in rows, reason="lungs too small" if row in rows else "")
        for row in range(len(segmented.masks))
    )
    return SegmentedLungs(masks=segmented.masks, quality=quality, key="key", weights_sha256=segmented.weights_sha256)


def test_masks_and_verdicts_are_kept_and_not_made_again(
    index: Index,
    cache: Path,
    weights_folder: Path,
    segmented: SegmentedLungs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert segmented.masks.shape == (len(index.table), SEGMENTED_SIDE_PX, SEGMENTED_SIDE_PX)
    assert sum(segmented.refused().values()) + len(segmented.usable_rows()) == len(index.table)

    def never(*arguments: object) -> NDArray[np.bool_]:
        raise AssertionError("segmented again")

    monkeypatch.setattr(segmented_module, "segment_lungs", never)
    again = segmented_lungs(index, cache, weights_folder)
    assert np.array_equal(again.masks, segmented.masks)
    assert again.quality == segmented.quality


def test_other_bounds_make_other_verdicts(
    index: Index, cache: Path, weights_folder: Path, segmented: SegmentedLungs, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(weights_folder, tmp_path / "strict"))
    plain = json.loads((folder / BOUNDS_NAME).read_text())
    plain["bounds"]["area"] = {"from": 0.9, "to": 1.0}
    (folder / BOUNDS_NAME).write_text(json.dumps(plain))
    strict = segmented_lungs(index, cache, folder)
    assert strict.key != segmented.key
    assert len(strict.usable_rows()) == 0
    assert "lungs too small" in strict.refused()


def test_without_weights_nothing_is_guessed(index: Index, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="weights of the lung segmenter are missing"):
        segmented_lungs(index, tmp_path, tmp_path / "empty")


def test_the_tier_segmented_leaves_out_and_counts_what_is_not_usable(
    index: Index, cache: Path, segmented: SegmentedLungs
) -> None:
    masks = lung_masks(index, 32, cache, tier="segmented", segmented=refuse(segmented, {0, 2}))
    assert masks.tier() == "segmented"
    usable = masks.usable_rows()
    assert usable is not None
    assert usable.tolist() == [row for row in range(len(index.table)) if row not in (0, 2)]
    assert masks.metadata() == {"tier": "segmented", "images": len(usable), "left_out": {"lungs too small": 2}}
    with pytest.raises(KeyError):
        masks.of_rows(np.array([2]))  # no box, no drawn mask in its place


def test_where_no_mask_is_usable_no_image_is(index: Index, cache: Path, segmented: SegmentedLungs) -> None:
    nothing = refuse(segmented, set(range(len(index.table))))
    usable = lung_masks(index, 32, cache, tier="segmented", segmented=nothing).usable_rows()
    assert usable is not None
    assert usable.tolist() == []


def test_auto_is_drawn_and_box_is_box_where_masks_are_drawn(index: Index, cache: Path) -> None:
    assert lung_masks(index, 32, cache).tier() == "drawn"
    assert lung_masks(index, 32, cache, tier="box").usable_rows() is None


def test_the_tier_drawn_needs_drawn_masks(index: Index, cache: Path) -> None:
    bare = Index(root=index.root, table=index.table.assign(lung_mask=""))
    with pytest.raises(DataError, match="lung_mask_tier is drawn, and no image has a manual lung mask"):
        lung_masks(bare, 32, cache, tier="drawn")


def test_the_fixed_box_is_no_mask_of_a_cut_image(index: Index, cache: Path) -> None:
    boxes = image_crop("fixed", index, None).boxes
    with pytest.raises(SettingsError, match=r"set data\.lung_mask_tier to segmented"):
        lung_masks(index, 32, cache, tier="box", crop_boxes=boxes)


def test_an_adaptive_crop_holds_the_lungs_and_falls_back_to_the_fixed_one(
    index: Index, cache: Path, segmented: SegmentedLungs
) -> None:
    crop = image_crop("adaptive", index, refuse(segmented, {1}))
    assert crop.boxes is not None
    assert crop.boxes[1] == FIXED_BOX
    assert crop.metadata() == {"kind": "adaptive", "films_by_fixed_crop": 1}
    whole = lung_masks(index, 64, cache, tier="segmented", segmented=refuse(segmented, {1}))
    cut = lung_masks(index, 64, cache, tier="segmented", segmented=refuse(segmented, {1}), crop_boxes=crop.boxes)
    for row in whole.row_of:
        top, bottom, left, right = crop.boxes[row]
        shown = (bottom - top) * (right - left)
        assert shown < 1
        # no lung is lost, so it fills more of the picture
        lung, closer = whole.of_rows(np.array([row])).mean(), cut.of_rows(np.array([row])).mean()
        assert closer == pytest.approx(lung / shown, rel=0.08)


def test_images_and_masks_are_cut_alike(index: Index, cache: Path) -> None:
    """An image that shows its own drawn mask goes the way of images; the mask goes the way of masks."""
    masks_as_images = Index(root=index.root, table=index.table.assign(image_id=index.table["lung_mask"], sha256="mask"))
    boxes = tuple((0.1 + 0.02 * row, 0.95, 0.05, 0.8 + 0.01 * row) for row in range(len(index.table)))
    for crop_boxes in (None, boxes):
        radiographs = cached_images(masks_as_images, 48, cache, crop_boxes)
        masks = lung_masks(index, 48, cache, crop_boxes=crop_boxes).of_rows(np.arange(len(index.table)))
        assert ((radiographs > 127) == masks).mean() > 0.97
        assert len(np.unique(radiographs.reshape(len(radiographs), -1), axis=0)) == len(radiographs)
    assert (cached_images(masks_as_images, 48, cache) != cached_images(masks_as_images, 48, cache, boxes)).mean() > 0.05
