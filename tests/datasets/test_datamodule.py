from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pneumobench.datasets.datamodule import FoldDataModule, FoldImages, SeededOrder
from pneumobench.radiographs.augmentation import augmentation
from pneumobench.suite.training import AugmentationSpec


def fold_images(count: int = 30) -> FoldImages:
    """Return noise images: rows 0, 5, 10 ... are tuned on, 1, 6, 11 ... tested, the rest trained on."""
    rows = np.arange(count, dtype=np.int64)
    return FoldImages(
        radiographs=np.random.default_rng(0).integers(0, 256, (count, 12, 12), dtype=np.uint8),
        label=(rows % 3 > 0).astype(np.int64),
        positions={
            "train": rows[rows % 5 > 1],
            "tune": rows[rows % 5 == 0],
            "test": rows[rows % 5 == 1],
            "official_test": rows[:0],
        },
    )


def data_module(
    images: FoldImages,
    *,
    seed: int = 4,
    batch_size: int = 4,
    workers: int = 0,
    executor: Literal["batched", "albumentations"] = "batched",
) -> FoldDataModule:
    changes = augmentation(AugmentationSpec(executor=executor), seed, count=len(images.label))
    return FoldDataModule(images, augmentation=changes, batch_size=batch_size, seed=seed, workers=workers)


def batches(data: FoldDataModule, epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    data.order.epoch = epoch
    return [tuple(batch) for batch in data.train_dataloader()]


def equal(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)
    )


def order(data: FoldDataModule, epoch: int) -> list[int]:
    return [int(row) for _, _, rows in batches(data, epoch) for row in rows]


def test_a_batch_is_images_labels_and_rows() -> None:
    images = fold_images()
    radiographs, label, rows = batches(data_module(images), 0)[0]
    assert (radiographs.shape, radiographs.dtype) == ((4, 1, 12, 12), torch.uint8)
    assert rows.dtype == torch.int64
    assert label.tolist() == images.label[rows.numpy()].tolist()


def test_every_training_image_comes_once_an_epoch_and_no_other() -> None:
    images = fold_images()
    data = data_module(images)
    for epoch in range(3):
        assert sorted(order(data, epoch)) == images.positions["train"].tolist()


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    images = fold_images()
    data = data_module(images)
    later, first = order(data, 3), order(data, 0)
    torch.manual_seed(99)
    assert order(data_module(images), 3) == later, "also when the epochs before were never drawn"
    assert first != later
    assert order(data_module(images, seed=5), 0) != first


@pytest.mark.parametrize("executor", ["batched", "albumentations"])
def test_two_architectures_see_the_same_images_in_the_same_order_with_the_same_changes(
    executor: Literal["batched", "albumentations"],
) -> None:
    images = fold_images()
    first, second = data_module(images, executor=executor), data_module(images, executor=executor)
    torch.manual_seed(1)
    torch.nn.Linear(5, 5)  # a network of its own, which draws its own random numbers
    seen = [batches(first, epoch) for epoch in range(2)]
    torch.manual_seed(2)
    torch.nn.Conv2d(3, 8, 3)
    for epoch in range(2):
        assert equal(batches(second, epoch), seen[epoch])
    assert not equal(seen[0], seen[1])


def test_training_images_are_changed_and_change_with_the_epoch() -> None:
    images = fold_images()
    data = data_module(images)
    by_row: list[dict[int, NDArray[np.uint8]]] = []
    for epoch in range(2):
        got = {
            int(r): radiograph[0].numpy()
            for radiographs, _, rows in batches(data, epoch)
            for radiograph, r in zip(radiographs, rows, strict=True)
        }
        by_row.append(got)
    assert sum(np.array_equal(radiograph, images.radiographs[row]) for row, radiograph in by_row[0].items()) == 0
    assert sum(np.array_equal(radiograph, by_row[1][row]) for row, radiograph in by_row[0].items()) == 0


def test_worker_processes_give_the_same_batches() -> None:
    images = fold_images()
    alone, helped = data_module(images), data_module(images, workers=2)
    for epoch in range(2):
        assert equal(batches(alone, epoch), batches(helped, epoch))


@pytest.mark.parametrize(
    ("batch_size", "images", "batch_lengths"), [(4, 17, [4] * 4), (4, 18, [4] * 4 + [2]), (8, 8, [8])]
)
def test_a_last_batch_of_one_image_is_left_out(batch_size: int, images: int, batch_lengths: list[int]) -> None:
    sampler = SeededOrder(np.arange(images, dtype=np.int64), 0, batch_size)
    assert len(list(sampler)) == len(sampler) == sum(batch_lengths)
    few = fold_images(40)
    few.positions["train"] = np.arange(images, dtype=np.int64)
    assert [len(rows) for _, _, rows in batches(data_module(few, batch_size=batch_size), 0)] == batch_lengths


def test_the_image_left_out_is_another_one_each_epoch() -> None:
    sampler = SeededOrder(np.arange(9, dtype=np.int64), 0, 4)
    left_out = set()
    for epoch in range(8):
        sampler.epoch = epoch
        left_out |= set(range(9)) - {row for _, row in sampler}
    assert len(left_out) > 2


@pytest.mark.parametrize("workers", [0, 2])
def test_scoring_goes_through_a_part_in_index_order_unchanged(workers: int) -> None:
    images = fold_images()
    data = data_module(images, workers=workers)
    for part in ("tune", "test", "train"):
        loaded = list(data.scoring_dataloader(part))
        rows = torch.cat([batch[2] for batch in loaded]).numpy()
        radiographs = torch.cat([batch[0] for batch in loaded]).numpy()
        expected = images.positions[part]
        assert rows.tolist() == expected.tolist()
        assert np.array_equal(radiographs[:, 0], images.radiographs[expected])
    assert list(data.scoring_dataloader("official_test")) == []


def test_validation_is_the_tune_part() -> None:
    images = fold_images()
    rows = [int(row) for _, _, batch in data_module(images).val_dataloader() for row in batch]
    assert rows == images.positions["tune"].tolist()


def test_read_only_images_are_not_written_to() -> None:
    images = fold_images()
    images.radiographs.setflags(write=False)
    data = data_module(images)
    batches(data, 0)
    (radiograph, *_), *_ = data.scoring_dataloader("test")
    radiograph.zero_()  # a batch is a copy


def test_class_weights_balance_both_classes_of_the_training_part() -> None:
    images = fold_images()
    images.label[images.positions["tune"]] = 0  # which is no part of the training part
    label = images.label[images.positions["train"]]
    normal, pneumonia = images.class_weight()
    assert normal * (label == 0).sum() == pytest.approx(pneumonia * (label == 1).sum())
    assert np.array([normal, pneumonia])[label].mean() == pytest.approx(1.0), "the size of the loss stays"
