"""What a run makes of the suite's keys `data.lung_mask_tier` and `data.crop`, before anything is trained."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from rich.console import Console

from pneumobench.datasets.index import Index
from pneumobench.errors import SettingsError
from pneumobench.lungs import segmented as segmented_module
from pneumobench.lungs.prepared import prepare_images
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import Bench, open_data
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.spec import DataSpec, FoldSpec, Suite
from pneumobench.texts import counted


def prepared(folder: Path, **data: Any) -> tuple[Bench, dict[str, Any], str]:
    """Return the bench, the run's facts and what the console showed."""
    phantoms = PhantomSpec(patients=12, official_test_patients=2, side_px=64)
    suite = Suite(name="cut", data=DataSpec(image_side_px=32, phantoms=phantoms, **data), folds=FoldSpec(count=2))
    console = Console(file=io.StringIO(), width=200)
    run = RunFolder(folder / "run")
    bench = open_data(suite, run, cache=folder / "cache", console=console)
    assert isinstance(console.file, io.StringIO)
    return bench, bench.lung_metadata, console.file.getvalue()


def test_segmented_lungs_and_adaptive_crop_reach_images_masks_and_facts(
    weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmented_module, "WEIGHTS_FOLDER", weights_folder)
    whole, metadata, _ = prepared(tmp_path / "whole")
    assert metadata["lung_masks"] == {"tier": "drawn", "images": len(whole.index.table)}
    assert metadata["crop"] == {"kind": "none"}

    bench, metadata, shown = prepared(tmp_path / "cut", lung_mask_tier="segmented", crop="adaptive")
    usable = bench.masks.usable_rows()
    assert usable is not None
    radiographs = len(bench.index.table)
    assert metadata["lung_masks"]["tier"] == bench.masks.tier() == "segmented"
    assert metadata["crop"] == {"kind": "adaptive", "films_by_fixed_crop": radiographs - len(usable)}
    assert sum(metadata["segmenter"]["refused"].values()) == radiographs - len(usable)
    assert f"segmented lungs: {counted(len(usable), 'image')} usable, {radiographs} in all" in shown
    assert not np.array_equal(bench.radiographs, whole.radiographs)


def test_the_fixed_box_in_a_cut_image_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"data\.lung_mask_tier is box with data\.crop fixed"):
        prepared(tmp_path, lung_mask_tier="box", crop="fixed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("crop", ["fixed", "adaptive"])
def test_a_crop_alone_is_enough_where_nobody_drew_lungs(
    crop: Literal["fixed", "adaptive"],
    weights_folder: Path,
    phantoms: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segmented_module, "WEIGHTS_FOLDER", weights_folder)
    bare = Index(root=phantoms.root, table=phantoms.table.assign(lung_mask=""))
    for index, tier in ((bare, "segmented"), (phantoms, "drawn")):
        found = prepare_images(index, DataSpec(image_side_px=32, crop=crop), tmp_path)
        assert found.masks is not None
        assert found.masks.tier() == tier
        assert found.crop.kind == crop
