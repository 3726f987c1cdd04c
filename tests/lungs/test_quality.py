from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.quality import MEASURES, REASONS, QualityBounds, bounds_of, check_lungs, measures_of, read_bounds
from pneumobench.lungs.segmenter import LungUNet, segment_lungs
from tests.lungs.conftest import drawn_images


@pytest.fixture(scope="module")
def bounds(phantoms: Index) -> QualityBounds:
    drawn = drawn_images(phantoms, "train")
    return bounds_of(drawn.radiographs, drawn.masks)


def test_measures_are_shares_of_the_image() -> None:
    mask = np.zeros((20, 40), dtype=bool)
    mask[4:14, 4:12] = True  # 80 px, centre at row 9, column 8
    mask[4:8, 24:34] = True  # 40 px, centre at row 6, column 29
    expected = {
        "area": 120 / 800, "smaller_to_larger": 0.5, "left_row": 9 / 20, "right_row": 6 / 20,
        "left_column": 8 / 40, "right_column": 29 / 40, "height": 10 / 20, "width": 30 / 40,
    }  # fmt: skip
    assert measures_of(mask) == pytest.approx(expected)
    assert list(expected) == list(MEASURES)
    assert measures_of(np.kron(mask, np.ones((3, 3), dtype=bool))) == pytest.approx(expected)


def test_bounds_hold_the_masks_they_were_taken_from(bounds: QualityBounds, phantoms: Index) -> None:
    drawn = drawn_images(phantoms, "train")
    usable = [check_lungs(*pair, bounds).usable for pair in zip(drawn.radiographs, drawn.masks, strict=True)]
    two_lungs = sum(measures_of(mask) is not None for mask in drawn.masks)
    assert bounds.masks == two_lungs
    # at most the outermost mask at either end of every measure, and the outermost pose
    assert sum(usable) >= two_lungs - 2 * len(MEASURES) - 1


def _one_lung(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & (np.arange(mask.shape[1]) < mask.shape[1] // 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (np.zeros_like, "no lung found"),
        (_one_lung, "1 separate parts instead of 2"),
        (lambda mask: np.roll(mask, mask.shape[0] // 3, axis=0), "too low in the image|parts instead of 2"),
        (lambda mask: mask & (np.arange(mask.shape[0]) < mask.shape[0] // 2)[:, None], "lungs too small"),
    ],
    ids=["nothing", "one lung", "too low", "upper half only"],
)
def test_what_is_no_pair_of_lungs_is_refused_with_a_reason(
    change: Callable[[NDArray[np.bool_]], NDArray[np.bool_]], reason: str, bounds: QualityBounds, phantoms: Index
) -> None:
    drawn = drawn_images(phantoms, "train")
    pairs = zip(drawn.radiographs, drawn.masks, strict=True)
    radiograph, mask = next(pair for pair in pairs if check_lungs(*pair, bounds).usable)
    verdict = check_lungs(radiograph, change(mask), bounds)
    assert not verdict.usable
    assert re.search(reason, verdict.reason)


def test_bounds_are_read_as_written(bounds: QualityBounds, tmp_path: Path) -> None:
    bounds.write(tmp_path)
    found = read_bounds(tmp_path)
    assert (found.bounds, found.masks) == (bounds.bounds, bounds.masks)
    assert np.array_equal(found.pose.margins, bounds.pose.margins)
    assert np.array_equal(found.pose.template, bounds.pose.template)


def test_missing_bounds_are_an_error_and_never_a_guess(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bounds of plausible lungs cannot be read"):
        read_bounds(tmp_path)


def test_few_masks_give_no_bounds() -> None:
    with pytest.raises(DataError, match="0 of 30 manual masks show two separate lungs; at least 20"):
        bounds_of(np.zeros((30, 8, 8), dtype=np.uint8), np.ones((30, 8, 8), dtype=bool))


def test_noise_is_no_lung(bounds: QualityBounds, phantoms: Index, network: LungUNet) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64), dtype=np.uint8)
    verdicts = [check_lungs(*pair, bounds) for pair in zip(noise, segment_lungs(noise, network), strict=True)]
    assert not any(verdict.usable for verdict in verdicts)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda picture: 255 - picture if picture.dtype == np.uint8 else picture, "gray levels inverted"),
        (lambda picture: picture[::-1], "upside down|too high|too low"),
        (lambda picture: picture[:, ::-1], "left and right exchanged|too near the middle"),
    ],
    ids=["inverted", "upside down", "mirrored"],
)
def test_an_image_that_does_not_lie_right_is_refused_though_its_mask_is_a_pair_of_lungs(
    change: Callable[[NDArray[np.generic]], NDArray[np.generic]], reason: str, bounds: QualityBounds, phantoms: Index
) -> None:
    drawn = drawn_images(phantoms, "train")
    pairs = [pair for pair in zip(drawn.radiographs, drawn.masks, strict=True) if check_lungs(*pair, bounds).usable]
    changed = [(change(radiograph), change(mask)) for radiograph, mask in pairs]
    verdicts = [check_lungs(shown.astype(np.uint8), mask.astype(bool), bounds) for shown, mask in changed]
    refused = [verdict.reason for verdict in verdicts if not verdict.usable]
    assert len(refused) >= 0.9 * len(pairs)
    assert all(re.search(reason, words) for words in refused), set(refused)


def test_reasons_are_words_not_names_of_variables() -> None:
    assert set(REASONS) == set(MEASURES)
    assert not any("_" in reason or " row" in reason for pair in REASONS.values() for reason in pair)
