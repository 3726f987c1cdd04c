from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.masks import lung_masks, read_drawn_mask
from pneumobench.lungs.quality import LungQuality
from pneumobench.lungs.segmented import SegmentedLungs
from pneumobench.radiographs.geometry import mask_to_square
from tests.datasets.tiny_sets import index_of


def write_mask(path: Path, mask: NDArray[np.bool_], *, bright: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.where(mask, bright, 0).astype(np.uint8))
    return path


def half(height_px: int = 40, width_px: int = 80) -> NDArray[np.bool_]:
    """Return a mask of the left half."""
    mask = np.zeros((height_px, width_px), dtype=bool)
    mask[:, : width_px // 2] = True
    return mask


@pytest.mark.parametrize("side_px", [224, 64])
def test_the_box_is_45_percent_of_the_image(side_px: int) -> None:
    box = fixed_lung_box(side_px)
    assert box.shape == (side_px, side_px)
    assert box.dtype == np.bool_
    rows, columns = np.flatnonzero(box.any(axis=1)), np.flatnonzero(box.any(axis=0))
    assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "a filled rectangle"
    for edge, expected in ((rows[0], 0.15), (rows[-1] + 1, 0.90), (columns[0], 0.20), (columns[-1] + 1, 0.80)):
        assert abs(edge - expected * side_px) <= 0.5
    assert abs(box.mean() - 0.45) <= 2 / side_px


def test_a_drawn_mask_goes_through_the_nearest_geometry(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((37, 53)) > 0.5
    square = read_drawn_mask(write_mask(tmp_path / "m.png", mask), 16)
    assert square.shape == (16, 16)
    assert square.dtype == np.bool_
    assert np.array_equal(square, mask_to_square(mask, 16))


@pytest.mark.parametrize("bright", [255, 128, 1], ids=["0 and 255", "gray", "0 and 1"])
def test_lung_may_be_marked_with_any_brightness(bright: int, tmp_path: Path) -> None:
    assert np.array_equal(read_drawn_mask(write_mask(tmp_path / "m.png", half(), bright=bright), 8), half(8, 8))


def test_soft_edges_are_cut_at_half_of_the_brightest(tmp_path: Path) -> None:
    soft = np.repeat(np.array([0, 90, 99, 101, 110, 200, 200, 200], dtype=np.uint8)[None], 8, axis=0)
    assert cv2.imwrite(str(tmp_path / "m.png"), soft)
    assert read_drawn_mask(tmp_path / "m.png", 8)[0].tolist() == [False] * 3 + [True] * 5


def test_an_empty_mask_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m\.png: lung mask is empty; remove the file to use the fixed lung box"):
        read_drawn_mask(write_mask(tmp_path / "m.png", np.zeros((8, 8), dtype=bool)), 8)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_unreadable_mask_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "m.png").write_bytes(content)
    with pytest.raises(DataError, match=r"m\.png: lung mask cannot be read as an image"):
        read_drawn_mask(tmp_path / "m.png", 8)


def index_with_masks(root: Path, *, masked_rows: tuple[int, ...]) -> Index:
    """Return five images, of which some have a mask: the left half, or in row 3 the right one."""
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(5)], root=root)
    for row in masked_rows:
        write_mask(root / f"masks/{row}.png", half() if row != 3 else ~half())
        index.table.loc[row, "lung_mask"] = f"masks/{row}.png"
    return index


def test_without_drawn_masks_every_image_has_the_box(tmp_path: Path) -> None:
    masks = lung_masks(index_with_masks(tmp_path, masked_rows=()), 20, tmp_path / "cache")
    assert masks.tier() == "box"
    assert masks.usable_rows() is None
    of_rows = masks.of_rows(np.array([4, 0]))
    assert of_rows.shape == (2, 20, 20)
    assert all(np.array_equal(mask, fixed_lung_box(20)) for mask in of_rows)


def test_one_drawn_mask_makes_the_tier_drawn_and_leaves_out_images_without(tmp_path: Path) -> None:
    masks = lung_masks(index_with_masks(tmp_path, masked_rows=(1, 3)), 20, tmp_path / "cache")
    assert masks.tier() == "drawn"
    usable = masks.usable_rows()
    assert usable is not None
    assert usable.tolist() == [1, 3]
    right, left = masks.of_rows(np.array([3, 1]))
    assert left.dtype == np.bool_
    assert np.array_equal(left, half(20, 20))
    assert np.array_equal(right, ~half(20, 20)), "masks are found by the row of their image"
    with pytest.raises(KeyError):
        masks.of_rows(np.array([0]))  # boxed and manual masks never mix


def test_a_redrawn_mask_is_read_again(tmp_path: Path) -> None:
    index = index_with_masks(tmp_path, masked_rows=(1,))
    first = lung_masks(index, 20, tmp_path / "cache").of_rows(np.array([1]))
    write_mask(tmp_path / "masks/1.png", ~half())
    second = lung_masks(index, 20, tmp_path / "cache").of_rows(np.array([1]))
    assert np.array_equal(second, ~first)


def test_a_broken_mask_stops_before_anything_is_cached(tmp_path: Path) -> None:
    index = index_with_masks(tmp_path, masked_rows=(1, 3))
    (tmp_path / "masks/3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"masks/3\.png: lung mask cannot be read"):
        lung_masks(index, 20, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def segmented_right_halves(*, empty_rows: tuple[int, ...] = ()) -> SegmentedLungs:
    """Return segmented lungs of the five images: the right half, nothing in some; none of them plausible."""
    masks = np.repeat((~half(224, 224)).astype(np.uint8)[None], 5, axis=0)
    masks[list(empty_rows)] = 0
    return SegmentedLungs(
        masks=masks, quality=(LungQuality(usable=False, reason="not two lungs"),) * 5, key="k", weights_sha256="w"
    )


def test_where_a_drawn_mask_is_missing_segmented_lungs_are_blanked(tmp_path: Path) -> None:
    index = index_with_masks(tmp_path, masked_rows=(1,))
    masks = lung_masks(index, 20, tmp_path / "cache", segmented=segmented_right_halves(empty_rows=(4,)))
    usable = masks.usable_rows()
    assert usable is not None
    assert usable.tolist() == [1], "what stands in is never scored"
    drawn, segmented, boxed = masks.to_blank([1, 0, 4])
    assert np.array_equal(drawn, half(20, 20))
    assert np.array_equal(segmented, ~half(20, 20))
    assert np.array_equal(boxed, fixed_lung_box(20)), "where even the segmenter sees nothing"


def test_refused_segmentations_stand_in_for_blanking(tmp_path: Path) -> None:
    index = index_with_masks(tmp_path, masked_rows=())
    masks = lung_masks(index, 20, tmp_path / "cache", tier="segmented", segmented=segmented_right_halves())
    assert np.array_equal(masks.to_blank([2])[0], ~half(20, 20))
    with pytest.raises(KeyError):
        masks.of_rows(np.array([2]))


def test_what_a_decoder_warns_of_in_a_mask_is_refused_by_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_mask(tmp_path / "m.png", half())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"m\.png: lung mask cannot be read as an image.*truncated or damaged"):
        read_drawn_mask(path, 8)
    assert capfd.readouterr().err == ""
