"""A fold of tiny images that a network learns in seconds: positives have a bright square."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pneumobench.architectures import Architecture, HeatMapLayer
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.radiographs.batch_augmentation import BatchAugmentation
from pneumobench.suite.training import AugmentationSpec, TrainingSpec

SIDE_PX = 16


def tiny_images(count: int = 60, *, seed: int = 0) -> FoldImages:
    """Return `count` noisy images; every second one has a bright square and is called pneumonia."""
    generator = np.random.default_rng(seed)
    radiographs = generator.integers(0, 90, (count, SIDE_PX, SIDE_PX), dtype=np.uint8)
    label = np.arange(count, dtype=np.int64) % 2
    radiographs[label == 1, 4:9, 4:9] += 120
    rows = np.arange(count, dtype=np.int64)
    tune, test = rows[rows % 6 >= 4], rows[:0]
    train = rows[rows % 6 < 4]
    return FoldImages(
        radiographs=radiographs,
        label=label,
        positions={"train": train, "tune": tune, "test": test, "official_test": test},
    )


def tiny_data(
    images: FoldImages, *, batch_size: int = 8, seed: int = 0, workers: int = 0, balanced: bool = False
) -> FoldDataModule:
    """Return the data module of a tiny fold."""
    augmentation = BatchAugmentation(AugmentationSpec(rotation_deg=5), seed, count=len(images.label))
    return FoldDataModule(
        images, augmentation=augmentation, batch_size=batch_size, seed=seed, workers=workers, balanced=balanced
    )


def tiny_architecture(*, seed: int = 0, dropout: float = 0.2) -> Architecture:
    """Return a small convolutional network with batch norm and dropout."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8, 1),
    )
    return Architecture(module=module, heatmap_layers=(HeatMapLayer(name="0"), HeatMapLayer(name="4")))


def tiny_spec(**changes: object) -> TrainingSpec:
    """Return quick settings on the CPU."""
    settings: dict[str, object] = {
        "epochs": 3, "batch_size": 8, "learning_rate": 0.02, "precision": "32-true", "accelerator": "cpu"
    }  # fmt: skip
    return TrainingSpec(**{**settings, **changes})  # type: ignore[arg-type]
