from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pneumobench.architectures import build_architecture
from pneumobench.attributions.grad_cam import positive_heat
from pneumobench.attributions.job_overlays import write_overlays
from pneumobench.attributions.lung_attention_maps import (
    MAIN_METHOD,
    lung_attention_maps,
    read_heat,
    rows_with_lungs,
    write_maps,
)
from pneumobench.attributions.methods import attribution_method
from pneumobench.attributions.overlays import OVERLAY_SIDE_PX, draw_overlay
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.errors import RecordError
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.masks import LungMasks
from pneumobench.metrics.lung_attention import lung_attention_ratio


def _images(count: int = 30, side_px: int = 32) -> FoldImages:
    radiographs = np.random.default_rng(0).integers(0, 256, (count, side_px, side_px), dtype=np.uint8)
    rows = np.arange(count, dtype=np.int64)
    empty = rows[:0]
    positions = {"train": rows[:10], "tune": empty, "test": rows[10:], "official_test": empty}
    return FoldImages(radiographs=radiographs, label=rows % 2, positions=positions)  # type: ignore[arg-type]


def _boxes(side_px: int = 32) -> LungMasks:
    nothing = np.zeros((0, side_px, side_px), dtype=np.uint8)
    return LungMasks(kind="box", masks=nothing, row_of={}, box=fixed_lung_box(side_px))


def test_the_same_test_images_are_drawn_for_every_architecture() -> None:
    rows = rows_with_lungs(_images(), _boxes(), 8, seed=1)
    assert len(rows) == 8
    assert set(rows) <= set(range(10, 30))
    assert rows.tolist() == rows_with_lungs(_images(), _boxes(), 8, seed=1).tolist()
    assert rows.tolist() != rows_with_lungs(_images(), _boxes(), 8, seed=2).tolist()
    assert len(rows_with_lungs(_images(), _boxes(), None, seed=1)) == 20


def test_images_without_a_drawn_mask_are_left_out_where_others_have_one() -> None:
    drawn = np.ones((2, 32, 32), dtype=np.uint8)
    masks = LungMasks(kind="drawn", masks=drawn, row_of={3: 0, 12: 1}, box=fixed_lung_box(32))
    assert masks.tier() == "drawn"
    assert rows_with_lungs(_images(), masks, None, seed=1).tolist() == [12]


def test_attention_and_overlays_of_a_fold(tmp_path: Path) -> None:
    images, masks = _images(), _boxes()
    architecture = build_architecture("test_resnet", in_channels=1, image_side_px=32, seed=1)
    rows = rows_with_lungs(images, masks, None, seed=0)
    image_id = np.array([f"film{row}.png" for row in range(30)], dtype=object)
    found = lung_attention_maps(architecture, images, masks, rows, image_id=image_id, fold=2)
    table = found.attention
    assert table["image_id"].tolist() == [f"film{row}.png" for row in rows]
    assert set(table["mask_tier"]) == {"box"}
    assert np.allclose(table["lung_area"], 0.45, atol=0.02)
    assert table["lar"].dropna().between(0, 1).all()
    assert found.maps.shape == (20, *found.chosen.grid)

    probability = np.where(images.label[rows] == 1, 0.9, 0.1)
    probability[:3] = 1 - probability[:3]  # three errors
    probability[1] = 0.999 if images.label[rows[1]] == 0 else 0.001  # the worst of them
    write_overlays(tmp_path, found, images, masks, probability, count=6)
    listed = json.loads((tmp_path / "overlays.json").read_text())
    assert [item["outcome"] in ("fn", "fp") for item in listed] == [True] * 3 + [False] * 3
    assert listed[0]["image_id"] == f"film{rows[1]}.png"
    for item in listed:
        assert np.asarray(cv2.imread(str(tmp_path / item["file"]))).shape == (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX, 3)
        assert item["file"].endswith(f"-{item['outcome']}.png")


def test_the_lung_attention_is_that_of_the_registered_method_and_of_the_kept_maps(tmp_path: Path) -> None:
    images, masks = _images(), _boxes()
    architecture = build_architecture("test_resnet", in_channels=1, image_side_px=32, seed=1)
    rows = rows_with_lungs(images, masks, None, seed=0)
    image_id = np.array([f"film{row}.png" for row in range(30)], dtype=object)
    found = lung_attention_maps(architecture, images, masks, rows, image_id=image_id, fold=0)
    radiographs = torch.from_numpy(images.radiographs[rows])[:, None]
    registered = attribution_method(MAIN_METHOD).attribute(architecture, radiographs)
    lar = lung_attention_ratio(registered.numpy(), masks.of_rows(rows)).ratio
    np.testing.assert_array_equal(found.attention["lar"], lar)
    # scoring the map that is resized first and clamped afterwards gives other numbers: this test can fail
    resized = torch.nn.functional.interpolate(torch.from_numpy(found.maps)[:, None], (32, 32), mode="bilinear")[:, 0]
    assert np.nanmax(np.abs(lung_attention_ratio(resized.numpy(), masks.of_rows(rows)).ratio - lar)) > 0.01

    assert read_heat(tmp_path, rows, 32) is None
    write_maps(tmp_path, found)
    some = rows[[7, 2]]
    kept = read_heat(tmp_path, some, 32)
    assert kept is not None
    assert torch.equal(kept, positive_heat(torch.from_numpy(found.maps[[7, 2]]), 32))
    torch.testing.assert_close(kept, registered[[7, 2]])
    assert read_heat(tmp_path, np.array([0]), 32) is None, "a training image"
    (tmp_path / "maps.npz").write_bytes((tmp_path / "maps.npz").read_bytes()[:-40])
    with pytest.raises(RecordError, match=r"found no heat maps .*Delete the file: the maps are then computed again"):
        read_heat(tmp_path, some, 32)


def test_an_overlay_colours_the_attention_and_leaves_the_rest_gray() -> None:
    heat = np.zeros((64, 64), dtype=np.float32)
    heat[40:60, 40:60] = 3
    mask = np.zeros((64, 64), dtype=bool)
    mask[4:20, 4:20] = True
    picture = draw_overlay(np.full((64, 64), 100, dtype=np.uint8), heat, mask).astype(int)
    spread = picture.max(-1) - picture.min(-1)
    assert spread[100, 100] == 0, "no attention, no colour"
    assert spread[200, 200] > 40, "attention is coloured"
    assert spread[16, 40] > 60, "the lungs are outlined"


def test_a_map_without_attention_is_the_plain_image() -> None:
    radiograph = np.full((64, 64), 77, dtype=np.uint8)
    picture = draw_overlay(radiograph, np.full((64, 64), -1, dtype=np.float32), np.zeros((64, 64), dtype=bool))
    assert (picture == 77).all()
