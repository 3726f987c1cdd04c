"""A file takes the same way to a network in training and as a new image."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import Index
from pneumobench.errors import UnreadableImageError
from pneumobench.lungs import segmented as segmented_module
from pneumobench.lungs.prepared import prepare_images, prepare_new_image, wanted_squares
from pneumobench.radiographs.formats import read_gray
from pneumobench.suite.spec import DataSpec, Suite

SIDE_PX = 48


@pytest.fixture
def folder(phantoms: Index, tmp_path: Path) -> Path:
    """Images of a phantom as JPEG and PNG, of another size than a network sees, and their table."""
    rows = ["image,label"]
    for number, image_id in enumerate(phantoms.table["image_id"][:4]):
        gray = cv2.resize(read_gray(phantoms.root / image_id), (150, 131 + number), interpolation=cv2.INTER_CUBIC)
        name = f"{number}.{'jpeg' if number % 2 else 'png'}"
        assert cv2.imwrite(str(tmp_path / name), gray)
        rows.append(f"{name},{number % 2}")
    (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("crop", ["none", "fixed", "adaptive"])
@pytest.mark.parametrize("number", [0, 1], ids=["png", "jpeg"])
def test_one_file_has_the_same_bytes_by_both_ways(
    number: int,
    crop: Literal["none", "fixed", "adaptive"],
    folder: Path,
    weights_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segmented_module, "WEIGHTS_FOLDER", weights_folder)
    data = DataSpec(source="csv", root=str(folder), image_side_px=SIDE_PX, crop=crop, lung_mask_tier="segmented")
    index, _ = read_radiographs(Suite(data=data), folder / "cache", squares=wanted_squares(data))
    trained = prepare_images(index, data, folder / "cache")
    assert trained.radiographs.shape == (4, SIDE_PX, SIDE_PX)
    row = index.table["image_id"].tolist().index(f"{number}.{'jpeg' if number % 2 else 'png'}")
    alone = prepare_new_image(folder / index.table["image_id"][row], data)
    assert alone.radiographs[0].tobytes() == trained.radiographs[row].tobytes()
    assert alone.crop.kind == crop
    assert (alone.crop.boxes or [None])[0] == (None if trained.crop.boxes is None else trained.crop.boxes[row])
    assert trained.masks is not None
    assert alone.masks is not None
    assert alone.masks.has(0) == trained.masks.has(row)
    if alone.masks.has(0):
        assert np.array_equal(alone.masks.of_rows(np.array([0])), trained.masks.of_rows(np.array([row])))
    without = prepare_images(index, data, folder / "cache", with_masks=False)
    assert without.masks is None
    assert np.array_equal(without.radiographs, trained.radiographs)


def test_the_crops_are_really_different(folder: Path, weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented_module, "WEIGHTS_FOLDER", weights_folder)
    seen = {
        prepare_new_image(
            folder / "0.png", DataSpec(image_side_px=SIDE_PX, crop=crop, lung_mask_tier="segmented")
        ).radiographs.tobytes()
        for crop in ("none", "fixed")
    }
    assert len(seen) == 2


def test_a_new_image_without_a_crop_has_the_box_of_a_run_with_boxes(folder: Path) -> None:
    prepared = prepare_new_image(folder / "0.png", DataSpec(image_side_px=SIDE_PX, lung_mask_tier="box"))
    assert prepared.masks is not None
    assert (prepared.masks.tier(), prepared.segmented) == ("box", None)


def test_a_new_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"bad\.png"):
        prepare_new_image(tmp_path / "bad.png", DataSpec())
