"""LightningDataModule of one fold: gray images in an order that depends only on seed and epoch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from pneumobench.datasets.folds import Part
from pneumobench.radiographs.augmentation import Augmentation
from pneumobench.suite.rules import LEAST_OF_DEVICE
from pneumobench.suite.spec import CLASSES

Batch = tuple[Tensor, Tensor, Tensor]  # images (B, 1, H, W) uint8, class numbers (B,) int64, index rows (B,)
Key = tuple[int, int]  # epoch and row; a row ~r (below 0) is image r as a stand-in that is not counted
POOL_SHARE: Final = 0.25  # of a device's memory that the images may take


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
    """Batches by (epoch, row): the epoch travels with the row so that worker processes know it too."""

    def __init__(self, images: FoldImages, augmentation: Augmentation | None, pool: Tensor | None = None) -> None:
        self.images, self.augmentation, self.pool = images, augmentation, pool
        self.target = torch.from_numpy(np.array(images.target))

    def __getitem__(self, keys: list[Key]) -> Batch:
        epoch = keys[0][0]
        named = torch.tensor([row for _, row in keys])
        rows = torch.where(named < 0, ~named, named)
        if self.pool is None:
            radiographs = torch.from_numpy(self.images.radiographs[rows.numpy()])[:, None]
        else:
            radiographs = self.pool[rows.to(self.pool.device)][:, None]
        target, rows = self.target[rows].to(radiographs.device), rows.to(radiographs.device)
        if self.augmentation is not None:
            radiographs = self.augmentation(radiographs, epoch=epoch, rows=rows)
        return radiographs, target, named.to(radiographs.device)

    def __len__(self) -> int:
        return len(self.images.label)


def _ends_with_its_parent(_: int) -> None:
    """Have a loader process killed at once when the training that it loads for is (Linux); else it takes 5 s to see."""
    _prctl_pr_set_pdeathsig(signal.SIGKILL)


def _as_it_is(batch: Any) -> Any:
    return batch


def device_pool(radiographs: NDArray[np.uint8], device: torch.device) -> Tensor | None:
    """Return all images on a device other than the processor, if they fit in POOL_SHARE of its memory, else None."""
    if device.type == "cpu":
        return None
    if (
        device.type == "cuda"
        and radiographs.nbytes > POOL_SHARE * torch.cuda.get_device_properties(device).total_memory
    ):
        return None
    return torch.from_numpy(np.array(radiographs)).to(device)


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

    def __iter__(self) -> Iterator[Key]:
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.share is None:
            order = generator.permutation(self.rows)[: self.length]
        else:
            order = generator.choice(self.rows, self.length, p=self.share)
        return iter([(self.epoch, int(row)) for row in order])

    def __len__(self) -> int:
        return self.length


def part_of_batch(batch: list[Key], device: int, devices: int) -> list[Key]:
    """Return a device's part of a batch of all devices, in the order of the batch.

    Parts differ by one image at most and have LEAST_OF_DEVICE at least; where that leaves a device none, as in a short
    last batch, it gets stand-ins, so that it takes part in the step and adds nothing to it.

    >>> [part_of_batch([(0, 7), (0, 8), (0, 9)], device, 2) for device in (0, 1)]
    [[(0, 7), (0, 8), (0, 9)], [(0, -8), (0, -9)]]
    """
    working = min(devices, max(1, len(batch) // LEAST_OF_DEVICE))
    if device >= working:
        return [(epoch, ~row) for epoch, row in batch[:LEAST_OF_DEVICE]]
    return batch[len(batch) * device // working : len(batch) * (device + 1) // working]


class TrainingBatches(DistributedSampler[Any]):
    """The batches of one device: its part of every batch of all devices, so that a step sees what it would on one.

    Lightning leaves a DistributedSampler as it is, and would wrap any other in one that pads and deals out anew.

    Args:
        order: all images of an epoch.
        batch_size: images a step, over all devices.
        device: number of this device, from 0.
        devices: how many share a step.
    """

    def __init__(self, order: SeededOrder, batch_size: int, device: int, devices: int) -> None:
        self.order, self.batch_size, self.device, self.devices = order, batch_size, device, devices

    def __iter__(self) -> Iterator[list[Key]]:
        keys = list(self.order)
        for start in range(0, len(keys), self.batch_size):
            yield part_of_batch(keys[start : start + self.batch_size], self.device, self.devices)

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Tell an order that listens which epoch begins; Lightning calls this."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


class ScoringBatches(DistributedSampler[Any]):
    """The rows of one device as batches: every row is scored by exactly one device, and all have as many batches.

    Args:
        rows: what all devices score together; at least one for each.
        batch_size: largest batch, over all devices.
        device: number of this device, from 0.
        devices: how many share the rows.
    """

    def __init__(self, rows: NDArray[np.int64], batch_size: int, device: int = 0, devices: int = 1) -> None:
        count = -(-len(rows) // batch_size)
        if devices == 1:
            self.batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        else:  # devices wait for each other at every batch
            self.batches = np.array_split(np.array_split(rows, devices)[device], count)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter([[(0, int(row)) for row in batch] for batch in self.batches])

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order is always that of the rows."""


class FoldDataModule(lightning.LightningDataModule):
    """Batches of one fold for training and for scoring.

    On several devices each gets its part of every training batch, and of the validation part.

    Args:
        images: images, labels and parts of the fold.
        augmentation: changes of training images.
        batch_size: images a step, over all devices.
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
        self._pool: tuple[torch.device, Tensor | None] | None = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return augmented training batches; reloaded every epoch so that `SeededOrder.epoch` is current."""
        batches = TrainingBatches(self.order, self.batch_size, *self._place())
        if self.trainer is not None:
            # current_epoch is not reliable right after a resume; the number of steps done is
            self.order.epoch = self.trainer.global_step // len(batches)
        return self._loader(self.augmentation, batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation part, or what of it this device scores, as it is, in index order."""
        return self._loader(None, ScoringBatches(self.images.positions["tune"], 2 * self.batch_size, *self._place()))

    def scoring_dataloader(self, part: Part) -> DataLoader[Batch]:
        """Return all images of a part, as they are, in index order."""
        return self._loader(None, ScoringBatches(self.images.positions[part], 2 * self.batch_size))

    def _place(self) -> tuple[int, int]:
        """Return the number of this device, from 0, and how many there are."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, augmentation: Augmentation | None, batches: TrainingBatches | ScoringBatches) -> DataLoader[Any]:
        """Return batches of images that lie on the device of the training, where they fit."""
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if self.workers or device.type == "cpu":
            pool = None  # worker processes cannot reach a device
        else:
            if self._pool is None or self._pool[0] != device:
                self._pool = (device, device_pool(self.images.radiographs, device))
            pool = self._pool[1]
        return DataLoader(
            _Radiographs(self.images, augmentation, pool),
            batch_size=None,  # the samplers give whole batches
            sampler=batches,
            num_workers=self.workers,
            worker_init_fn=_ends_with_its_parent,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda" and pool is None,
        )
