from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from pneumobench.architectures import build_architecture
from pneumobench.attributions.explain import explain_rows, rows_to_explain, write_gallery
from pneumobench.attributions.overlays import OVERLAY_SIDE_PX, draw_overlay
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.lungs.masks import LungMasks, fixed_lung_box


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
    rows = rows_to_explain(_images(), _boxes(), 8, seed=1)
    assert len(rows) == 8
    assert set(rows) <= set(range(10, 30))
    assert rows.tolist() == rows_to_explain(_images(), _boxes(), 8, seed=1).tolist()
    assert rows.tolist() != rows_to_explain(_images(), _boxes(), 8, seed=2).tolist()
    assert len(rows_to_explain(_images(), _boxes(), None, seed=1)) == 20


def test_images_without_a_drawn_mask_are_left_out_where_others_have_one() -> None:
    drawn = np.ones((2, 32, 32), dtype=np.uint8)
    masks = LungMasks(kind="drawn", masks=drawn, row_of={3: 0, 12: 1}, box=fixed_lung_box(32))
    assert masks.tier() == "drawn"
    assert rows_to_explain(_images(), masks, None, seed=1).tolist() == [12]


def test_attention_and_gallery_of_a_fold(tmp_path: Path) -> None:
    images, masks = _images(), _boxes()
    architecture = build_architecture("test_resnet", in_channels=1, image_side_px=32, seed=1)
    rows = rows_to_explain(images, masks, None, seed=0)
    image_id = np.array([f"film{row}.png" for row in range(30)], dtype=object)
    explained = explain_rows(architecture, images, masks, rows, image_id=image_id, fold=2)
    table = explained.attention
    assert table["image_id"].tolist() == [f"film{row}.png" for row in rows]
    assert set(table["mask_tier"]) == {"box"}
    assert np.allclose(table["lung_area"], 0.45, atol=0.02)
    assert table["lar"].dropna().between(0, 1).all()
    assert explained.maps.shape == (20, *explained.chosen.grid)

    probability = np.where(images.label[rows] == 1, 0.9, 0.1)
    probability[:3] = 1 - probability[:3]  # three errors
    probability[1] = 0.999 if images.label[rows[1]] == 0 else 0.001  # the worst of them
    write_gallery(tmp_path, explained, images, masks, probability, overlays=6)
    listed = json.loads((tmp_path / "overlays.json").read_text())
    assert [item["outcome"] in ("fn", "fp") for item in listed] == [True] * 3 + [False] * 3
    assert listed[0]["image_id"] == f"film{rows[1]}.png"
    for item in listed:
        assert np.asarray(cv2.imread(str(tmp_path / item["file"]))).shape == (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX, 3)
        assert item["file"].endswith(f"-{item['outcome']}.png")
    assert np.load(tmp_path / "maps.npz")["rows"].tolist() == rows.tolist()


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
