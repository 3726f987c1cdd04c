"""Images without a lung mask of the tier are left out where lungs are needed, and counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs import segmented as segmented_module
from pneumobench.lungs.required import only_with_lungs
from pneumobench.lungs.segmented import segmented_lungs
from pneumobench.suite.spec import DataSpec
from tests.leaderboard.fake_run import make_index


def _some_drawn() -> Index:
    index = make_index()
    drawn = np.where(np.arange(len(index.table)) % 10 < 7, "mask.png", "")
    return Index(root=index.root, table=index.table.assign(lung_mask=drawn), notes=("before",))


def test_all_images_stay_where_no_lungs_are_needed(tmp_path: Path) -> None:
    index = _some_drawn()
    assert only_with_lungs(index, DataSpec(), tmp_path) is index
    assert only_with_lungs(index, DataSpec(lung_mask_tier="box", require_lung_mask=True), tmp_path) is index


@pytest.mark.parametrize("data", [DataSpec(region="only_lungs"), DataSpec(require_lung_mask=True)])
def test_images_without_a_drawn_mask_are_left_out_and_counted_by_class(data: DataSpec, tmp_path: Path) -> None:
    index = _some_drawn()
    kept = only_with_lungs(index, data, tmp_path)
    without = index.table[index.table["lung_mask"] == ""]
    assert set(kept.table["image_id"]) == set(index.table["image_id"]) - set(without["image_id"])
    assert kept.table.index.tolist() == list(range(len(kept.table)))
    normal, ill = (int((without["label"] == label).sum()) for label in (0, 1))
    assert normal > 0 < ill
    assert kept.notes == (
        "before",
        f"left out: 45 images of 150 without a drawn lung mask ({normal} normal, {ill} pneumonia)",
    )
    assert only_with_lungs(kept, data, tmp_path) is kept


def test_no_drawn_mask_at_all_is_said_with_what_to_do(tmp_path: Path) -> None:
    data = DataSpec(region="only_lungs", lung_mask_tier="drawn")
    with pytest.raises(DataError, match=r"no image has a drawn lung mask, .* data\.lung_masks"):
        only_with_lungs(make_index(), data, tmp_path)


def test_implausible_segmented_masks_are_left_out(
    weights_folder: Path, phantoms: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmented_module, "WEIGHTS_FOLDER", weights_folder)
    bare = dataclasses.replace(phantoms, table=phantoms.table.assign(lung_mask=""))
    found = segmented_lungs(bare, tmp_path)
    usable = found.usable_rows()
    assert len(usable), "the fixture finds some lungs"
    kept = only_with_lungs(bare, DataSpec(region="without_lungs"), tmp_path)
    assert kept.table["image_id"].tolist() == bare.table["image_id"].iloc[usable].tolist()
