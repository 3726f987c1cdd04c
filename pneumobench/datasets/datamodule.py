"""LightningDataModule of one fold: gray images in an order that depends only on seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pneumobench.datasets.folds import Part
from pneumobench.radiographs.augmentation import Augmentation
from pneumobench.suite.spec import CLASSES

Batch = tuple[Tensor, Tensor, Tensor]  # images (B, 1, H, W) uint8, class numbers (B,) int64, index rows (B,)


@dataclass(frozen=True, kw_only=True)
class FoldImages:
    """The images of one fold.

    Args:
        radiographs: all images of the index (N, H, W) uint8.
        label: 1 = pneumonia, for all images (N,).
        positions: rows of each part of the fold.
        three_classes: 0 = normal, 1 = bacterial, 2 = viral (N,), which is then what is learnt; None = the label is.
    """

    radiographs: NDArray[np.uint8]
    label: NDArray[np.int64]
    positions: dict[Part, NDArray[np.int64]]
    three_classes: NDArray[np.int64] | None = None

    @property
    def target(self) -> NDArray[np.int64]:
        """The class numbers that are learnt (N,)."""
        return self.label if self.three_classes is None else self.three_classes

    @property
    def class_count(self) -> int:
        """2, or 3."""
        return 2 if self.three_classes is None else len(CLASSES)

    def class_weight(self) -> tuple[float, ...]:
        """Return n / (classes * n_class) of the training part for each class: the mean weight of an image is 1."""
        target = self.target[self.positions["train"]]
        counts = np.bincount(target, minlength=self.class_count).clip(min=1)
        return tuple((len(target) / (self.class_count * counts)).tolist())


class _Radiographs(Dataset[Any]):
    """Images by (epoch, row): the epoch travels with the row so that worker processes know it too."""

    def __init__(self, images: FoldImages, augmentation: Augmentation | None) -> None:
        self.images, self.augmentation = images, augmentation

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int, int]:
        epoch, row = item
        radiograph = self.images.radiographs[row]
        radiograph = (
            np.array(radiograph) if self.augmentation is None else self.augmentation(radiograph, epoch=epoch, image=row)
        )
        return torch.from_numpy(radiograph)[None], int(self.images.target[row]), row

    def __len__(self) -> int:
        return len(self.images.label)


class SeededOrder(Sampler[Any]):
    """Rows of the training part, shuffled by (seed, epoch), as (epoch, row).

    `epoch` is set from outside before each pass. A last batch of one image is left out: batch normalisation
    cannot use it.

    Args:
        rows: rows of the training part.
        seed: seed of the order.
        batch_size: images a step.
        share: share of the draws of each row; rows are then drawn with replacement. None = each row once.
    """

    def __init__(
        self, rows: NDArray[np.int64], seed: int, batch_size: int, share: NDArray[np.float64] | None = None
    ) -> None:
        self.rows, self.seed, self.share, self.epoch = rows, seed, share, 0
        self.length = len(rows) - (1 if len(rows) % batch_size == 1 else 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.share is None:
            order = generator.permutation(self.rows)[: self.length]
        else:
            order = generator.choice(self.rows, self.length, p=self.share)
        return iter([(self.epoch, int(row)) for row in order])

    def __len__(self) -> int:
        return self.length


class FoldDataModule(lightning.LightningDataModule):
    """Batches of one fold for training and for scoring.

    Args:
        images: images, labels and parts of the fold.
        augmentation: changes of training images.
        batch_size: images a step.
        seed: seed of the order.
        workers: loader processes, 0 = none.
        balanced: draw training images with replacement, all classes equally often.
    """

    def __init__(
        self,
        images: FoldImages,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        workers: int = 0,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.images, self.augmentation = images, augmentation
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        rows, share = images.positions["train"], None
        if balanced:
            weight = np.array(images.class_weight())[images.target[rows]]
            share = weight / weight.sum()
        self.order = SeededOrder(rows, seed, batch_size, share)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return augmented training batches; reloaded every epoch so that `SeededOrder.epoch` is current."""
        if self.trainer is not None:
            # current_epoch is not reliable right after a resume; the number of steps done is
            steps = -(-len(self.order) // (self.batch_size * self.trainer.world_size))
            self.order.epoch = self.trainer.global_step // steps
        dataset = _Radiographs(self.images, self.augmentation)
        return DataLoader(dataset, self.batch_size, sampler=self.order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation part, as it is, in index order."""
        return self.scoring_dataloader("tune")

    def scoring_dataloader(self, part: Part) -> DataLoader[Batch]:
        """Return the images of a part, as they are, in index order."""
        rows = [(0, int(row)) for row in self.images.positions[part]]
        sampler: Any = rows  # any sized iterable of dataset keys is a sampler
        return DataLoader(
            _Radiographs(self.images, None), 2 * self.batch_size, sampler=sampler, num_workers=self.workers
        )
