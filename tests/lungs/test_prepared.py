"""A file takes the same way to a network in training and as a new image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as pictures

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import Index
from pneumobench.lungs import segmented as segmented_module
from pneumobench.lungs.boxes import FIXED_BOX, Crop
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER
from pneumobench.lungs.new_images import NewImage, new_images
from pneumobench.lungs.prepared import prepare_images, wanted_squares
from pneumobench.lungs.quality import read_bounds
from pneumobench.lungs.segmenter import load_network, segment_lungs
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


def images(grays: list[NDArray[np.uint8]], crop: Crop, weights_folder: Path) -> list[NewImage]:
    find = partial(segment_lungs, network=load_network(weights_folder))
    return new_images(grays, side_px=SIDE_PX, crop=crop, find_lungs=find, bounds=read_bounds(weights_folder))


def new_image(path: Path, crop: Crop, weights_folder: Path) -> NewImage:
    return images([read_gray(path)], crop, weights_folder)[0]


@pytest.mark.parametrize("crop", ["none", "fixed", "adaptive"])
@pytest.mark.parametrize("number", [0, 1], ids=["png", "jpeg"])
def test_one_file_has_the_same_bytes_by_both_ways(
    number: int,
    crop: Crop,
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
    alone = new_image(folder / index.table["image_id"][row], crop, weights_folder)
    assert alone.radiograph.tobytes() == trained.radiographs[row].tobytes()
    assert alone.crop_box == (None if trained.crop.boxes is None else trained.crop.boxes[row])
    assert trained.masks is not None
    assert (alone.lungs is not None) == trained.masks.has(row) == (alone.without_lungs == "")
    if alone.lungs is not None:
        assert np.array_equal(alone.lungs, trained.masks.of_rows(np.array([row]))[0])
    without = prepare_images(index, data, folder / "cache", with_masks=False)
    assert without.masks is None
    assert np.array_equal(without.radiographs, trained.radiographs)


def test_the_crops_are_really_different(folder: Path, weights_folder: Path) -> None:
    seen = {new_image(folder / "0.png", crop, weights_folder).radiograph.tobytes() for crop in ("none", "fixed")}
    assert len(seen) == 2


def test_images_do_not_depend_on_those_beside_them(folder: Path, weights_folder: Path) -> None:
    grays = [read_gray(folder / name) for name in ("0.png", "1.jpeg")]
    together = images(grays, "adaptive", weights_folder)
    alone = [images([gray], "adaptive", weights_folder)[0] for gray in grays]
    assert [one.radiograph.tobytes() for one in together] == [one.radiograph.tobytes() for one in alone]
    assert images([], "none", weights_folder) == []


def test_what_has_no_lungs_says_so(weights_folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 80), dtype=np.uint8)
    (one,) = images([noise], "adaptive", weights_folder)
    assert one.lungs is None
    assert one.without_lungs.startswith("no ")
    assert one.crop_box == FIXED_BOX


def test_the_shipped_segmenter_finds_no_pair_of_lungs_in_a_photograph() -> None:
    (one,) = images([pictures.camera()], "none", WEIGHTS_FOLDER)  # type: ignore[no-untyped-call]
    assert one.without_lungs.startswith("no pair of lungs found: ")
    assert "_" not in one.without_lungs, "in words, not by the name of a measure"
