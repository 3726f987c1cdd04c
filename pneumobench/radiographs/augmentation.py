"""Who executes the augmentation recipe of a suite."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pneumobench.radiographs.albumentations_augmentation import AlbumentationsAugmentation
from pneumobench.radiographs.batch_augmentation import BatchAugmentation
from pneumobench.suite.training import AugmentationSpec


class Augmentation(Protocol):
    """Changes images at random; the change depends only on seed, epoch and image, never on batch, workers or order."""

    def __call__(self, images: Tensor, *, epoch: int, rows: Tensor) -> Tensor:
        """Return changed copies of images (B, 1, H, W) uint8 with their rows (B,) of the index, on their device."""


def augmentation(spec: AugmentationSpec, seed: int, *, count: int = 0) -> Augmentation:
    """Return what executes a recipe.

    Args:
        spec: kinds and largest magnitudes of the changes, and by what they are made.
        seed: seed of the run.
        count: images of the index, 0 = not known.
    """
    if spec.executor == "albumentations":
        return AlbumentationsAugmentation(spec, seed)
    return BatchAugmentation(spec, seed, count=count)
