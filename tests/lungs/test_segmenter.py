from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.lung_parts import WEIGHTS_NAME, two_largest_parts
from pneumobench.lungs.segmenter import LungUNet, load_network, save_network, segment_lungs, training_facts
from pneumobench.lungs.segmenter_training import DrawnImages, dice_and_cross_entropy, train_segmenter
from tests.lungs.conftest import drawn_images


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray((found & truth).sum((1, 2)) / (found | truth).sum((1, 2)))


def test_a_trained_segmenter_finds_the_lungs_of_new_phantoms(network: LungUNet, phantoms: Index) -> None:
    new = drawn_images(phantoms, "test")
    agreement = iou(segment_lungs(new.radiographs, network), new.masks)
    elsewhere = iou(segment_lungs(new.radiographs, network), np.roll(new.masks, 1, axis=0))  # another patient's lungs
    assert np.median(agreement) > 0.8
    assert np.median(agreement) > np.median(elsewhere) + 0.05


def test_masks_follow_the_image_and_neither_its_size_nor_its_neighbours(network: LungUNet, phantoms: Index) -> None:
    radiographs = drawn_images(phantoms, "test").radiographs[:3]
    masks = segment_lungs(radiographs, network)
    assert masks.shape == radiographs.shape
    assert masks.dtype == np.bool_
    assert np.array_equal(segment_lungs(radiographs, network), masks)
    assert (segment_lungs(radiographs[1:2], network)[0] == masks[1]).mean() > 0.999
    large = segment_lungs(np.kron(radiographs, np.ones((1, 3, 2), dtype=np.uint8)), network)
    assert large.shape == (3, 192, 128)
    assert iou(large[:, 1::3, ::2], masks).min() > 0.9


def test_exposure_does_not_matter(network: LungUNet, phantoms: Index) -> None:
    radiographs = drawn_images(phantoms, "test").radiographs[:4]
    darker = (radiographs // 2 + 10).astype(np.uint8)
    assert iou(segment_lungs(darker, network), segment_lungs(radiographs, network)).min() > 0.95


def test_an_image_that_shows_nothing_does_no_harm(network: LungUNet) -> None:
    assert segment_lungs(np.full((1, 40, 40), 7, dtype=np.uint8), network).shape == (1, 40, 40)


def test_two_largest_parts_stay_and_holes_are_filled() -> None:
    mask = np.zeros((12, 20), dtype=bool)
    mask[1:9, 1:8] = True
    mask[2:9, 11:18] = True
    whole = mask.copy()
    mask[4, 4] = False  # a hole
    mask[11, 19] = True  # a speck
    assert np.array_equal(two_largest_parts(mask), whole)
    assert not two_largest_parts(np.zeros((4, 4), dtype=bool)).any()


def test_weights_come_back_as_they_were_stored(network: LungUNet, phantoms: Index, tmp_path: Path) -> None:
    save_network(network, tmp_path, {"epochs": "12"})
    assert (tmp_path / WEIGHTS_NAME).stat().st_size < 4_000_000
    assert training_facts(tmp_path) == {"epochs": "12"}
    radiographs = drawn_images(phantoms, "test").radiographs
    changed = segment_lungs(radiographs, load_network(tmp_path)) != segment_lungs(radiographs, network)
    assert changed.mean() < 1e-3


def test_missing_weights_say_how_to_train_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"weights of the lung segmenter are missing.*benchmark/segmenter/train\.py"):
        load_network(tmp_path)


def test_a_damaged_weights_file_is_refused(weights_folder: Path, tmp_path: Path) -> None:
    content = (weights_folder / WEIGHTS_NAME).read_bytes()
    (tmp_path / WEIGHTS_NAME).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not the weights of this lung segmenter"):
        load_network(tmp_path)


def test_the_loss_falls_as_lungs_are_found() -> None:
    lungs = torch.zeros(1, 1, 8, 8)
    lungs[..., :4] = 1
    right, wrong = 20 * (2 * lungs - 1), 20 * (1 - 2 * lungs)
    nothing_known = dice_and_cross_entropy(torch.zeros_like(lungs), lungs)
    assert dice_and_cross_entropy(right, lungs) < 1e-3
    # ln 2, and Dice of 0.5 everywhere: (2 * 16 + 1) / (32 + 32 + 1)
    assert float(nothing_known) == pytest.approx((np.log(2) + 1 - 33 / 65) / 2, abs=1e-5)
    assert dice_and_cross_entropy(wrong, lungs) > 5


def test_the_same_seed_trains_the_same_weights(phantoms: Index) -> None:
    few = drawn_images(phantoms, "test")
    few = DrawnImages(radiographs=few.radiographs[:2], masks=few.masks[:2])
    state = torch.get_rng_state()
    one, again, other = (train_segmenter(few, epochs=1, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are left alone"
