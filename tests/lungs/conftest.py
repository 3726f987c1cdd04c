"""Phantoms, whose lungs are known exactly, and a segmenter that learnt from some of them for a few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pneumobench.datasets.index import Index
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.datasets.opening import open_images
from pneumobench.lungs.quality import bounds_of
from pneumobench.lungs.segmenter import LungUNet, save_network
from pneumobench.lungs.segmenter_training import DrawnImages, train_segmenter
from pneumobench.phantoms.dataset import make_phantoms

TRAINING_EPOCHS = 8


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Return images of 64 px: 48 patients in split train, 16 in split test."""
    table = make_phantoms(
        tmp_path_factory.mktemp("phantoms"),
        patients=48,
        official_test_patients=16,
        images_per_patient=(1, 1),
        side_px=64,
    )
    return open_images(table.parent, list_csv(table.parent, table.name))[0]


def drawn_images(phantoms: Index, split: str) -> DrawnImages:
    """Return images and masks of a split at their own side."""
    table = phantoms.table[phantoms.table["split"] == split]
    pictures = [
        np.stack([np.asarray(cv2.imread(str(phantoms.root / name), cv2.IMREAD_GRAYSCALE)) for name in table[column]])
        for column in ("image_id", "lung_mask")
    ]
    return DrawnImages(radiographs=pictures[0].astype(np.uint8), masks=pictures[1] > 0)


@contextmanager
def in_float32() -> Iterator[None]:
    """Train in float32, since many CPUs are twenty times slower in bfloat16; a test of equal seeds uses that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *arguments, **settings: nullcontext())
        yield


@pytest.fixture(scope="session")
def network(phantoms: Index) -> LungUNet:
    """Return a trained segmenter."""
    with in_float32():
        return train_segmenter(drawn_images(phantoms, "train"), epochs=TRAINING_EPOCHS, seed=0)


@pytest.fixture(scope="session")
def weights_folder(network: LungUNet, phantoms: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of weights and bounds."""
    folder = tmp_path_factory.mktemp("weights")
    save_network(network, folder, {"images": "48"})
    drawn = drawn_images(phantoms, "train")
    bounds_of(drawn.radiographs, drawn.masks).write(folder)
    return folder
