"""Two processes that share a job do what one does: the same images, the same numbers, each validated once."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.datasets.datamodule import FoldImages, ScoringBatches, SeededOrder, TrainingBatches
from pneumobench.datasets.folds import Part
from pneumobench.errors import DivergedError, SettingsError
from pneumobench.files import sha256_of_file
from pneumobench.suite.checked import UnfitError
from pneumobench.suite.spec import Suite
from pneumobench.training import keeping
from pneumobench.training.devices import strategy_of
from pneumobench.training.fit import FitResult, fit
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec

# 19 images to train on and 9 to validate: batches of 8, 8 and 3, which leave the second of two devices none of the last
TRAINED, VALIDATED = 19, 9
EATEN_MIB = 128


def images_of_fold() -> FoldImages:
    images, rows = tiny_images(40), np.arange(40, dtype=np.int64)
    parts: dict[Part, Any] = {"train": rows[:TRAINED], "tune": rows[20 : 20 + VALIDATED], "test": rows[30:]}
    return dataclasses.replace(images, positions={**parts, "official_test": rows[:0]})


def plain_network() -> Architecture:
    """Return a network without batch normalisation and dropout, whose parts of a batch do not know of each other."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 1))
    return Architecture(module=nn.Sequential(*layers))


class _Seen(Callback):
    """Writes what each process is shown to files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        torch.save(list(batch), self.folder / f"train-{trainer.global_step:03d}-{trainer.global_rank}.pt")

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        name = f"tune-{trainer.current_epoch}-{trainer.global_rank}-{batch_idx:03d}.pt"
        torch.save(list(batch), self.folder / name)

    def batches(self, kind: str) -> list[tuple[Tensor, ...]]:
        return [tuple(torch.load(file)) for file in sorted(self.folder.glob(f"{kind}-*"))]

    def training_images(self) -> tuple[list[int], Tensor]:
        """Return rows and images as a single device would see them, stand-ins left out."""
        batches = self.batches("train")
        rows, radiographs = (torch.cat([batch[place] for batch in batches]) for place in (2, 0))
        return rows[rows >= 0].tolist(), radiographs[rows >= 0]


def trained(folder: Path, devices: int, architecture: Architecture | None = None, **settings: Any) -> FitResult:
    data = tiny_data(images_of_fold(), balanced=settings.pop("balanced_sampler", False))
    callbacks = settings.pop("callbacks", ())
    spec = tiny_spec(devices=devices, **settings)
    return fit(architecture or plain_network(), data, spec, folder=folder, seed=5, callbacks=callbacks)


SETTINGS: list[dict[str, Any]] = [
    {"epochs": 4},
    {"schedule": "plateau", "plateau_patience": 0, "monitor": "tune_auc"},
    {"mixup_alpha": 0.4, "class_weights": "balanced"},
    {"balanced_sampler": True, "optimizer": "sgd", "gradient_clip_norm": 0.05},
    {"ema_decay": 0.8, "loss": "focal", "early_stopping_patience": 1, "epochs": 5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
def test_two_devices_train_as_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    seen = [_Seen(tmp_path / f"seen-{devices}") for devices in (1, 2)]
    one, two = (
        trained(tmp_path / str(devices), devices, callbacks=(seen[devices - 1],), **settings) for devices in (1, 2)
    )
    rows, radiographs = seen[0].training_images()
    assert seen[1].training_images()[0] == rows, "the same order"
    assert torch.equal(seen[1].training_images()[1], radiographs), "the same augmentation"
    assert (two.epochs_run, two.best_epoch) == (one.epochs_run, one.best_epoch)
    first, second = (pd.read_csv(tmp_path / devices / "history.csv") for devices in ("1", "2"))
    assert second["learning_rate"].tolist() == first["learning_rate"].tolist()
    pd.testing.assert_frame_equal(second, first, rtol=0, atol=1e-5)
    weights, of_one = (load_file(tmp_path / devices / "weights.safetensors") for devices in ("2", "1"))
    assert all(torch.allclose(weights[name], of_one[name], atol=1e-5) for name in of_one)


def test_every_validation_image_is_scored_once(tmp_path: Path) -> None:
    seen = _Seen(tmp_path / "seen")
    trained(tmp_path / "job", 2, epochs=1, callbacks=(seen,))
    rows = torch.cat([batch[2] for batch in seen.batches("tune-0")]).tolist()
    assert rows == images_of_fold().positions["tune"].tolist()
    assert len(rows) == VALIDATED


def test_the_first_device_has_the_batch_statistics_that_are_validated_and_kept(tmp_path: Path) -> None:
    from pneumobench.training.predictions import probability_of, score

    trained(tmp_path, 2, tiny_architecture(), epochs=2)
    network = tiny_architecture()
    network.module.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    scored = score(network, tiny_data(images_of_fold()).scoring_dataloader("tune"), tiny_spec())
    probability, label = probability_of(scored.class_logits[:, 0]), images_of_fold().label[scored.rows]
    loss = -np.log(np.where(label == 1, probability, 1 - probability)).mean()
    assert pd.read_csv(tmp_path / "history.csv")["tune_loss"].min() == pytest.approx(loss, abs=1e-5)


class _Crash(Callback):
    """Ends one of the processes at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == self.step and trainer.global_rank == 1:
            raise RuntimeError("it broke here")


@pytest.mark.parametrize("settings", [{"mixup_alpha": 0.4}, {"ema_decay": 0.8}], ids=["mixup", "ema"])
def test_two_devices_that_were_broken_off_go_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(keeping, "CHECKPOINT_EVERY_S", 0.0)
    trained(tmp_path / "whole", 2, tiny_architecture(), **settings)
    with pytest.raises(RuntimeError, match="it broke here"):
        trained(tmp_path / "cut", 2, tiny_architecture(), callbacks=(_Crash(7),), **settings)
    assert (tmp_path / "cut/resume.ckpt.previous").is_file(), "two epochs were over"
    trained(tmp_path / "cut", 2, tiny_architecture(), **settings)
    for name in ("weights.safetensors", "history.csv"):
        assert sha256_of_file(tmp_path / "cut" / name) == sha256_of_file(tmp_path / "whole" / name), name


def test_a_loss_that_is_not_finite_on_one_device_is_found_by_its_name(tmp_path: Path) -> None:
    network = plain_network()
    nn.init.constant_(network.module.get_submodule("4").weight, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(DivergedError, match=r"^the loss became nan in step 0 \(batch 0\)$"):
        trained(tmp_path, 2, network)


def test_epochs_are_reported_where_the_job_was_started(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reports: list[tuple[int, float]] = []
    spec, data = tiny_spec(devices=2), tiny_data(images_of_fold())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fit(
            plain_network(), data, spec, folder=tmp_path, seed=0,
            epoch_report=lambda epoch, row: reports.append((epoch, row["tune_loss"])),
        )  # fmt: skip
    assert [epoch for epoch, _ in reports] == [0, 1, 2]
    assert [loss for _, loss in reports] == pytest.approx(pd.read_csv(tmp_path / "history.csv")["tune_loss"], abs=1e-5)
    assert capfd.readouterr() == ("", "")
    assert not [str(one.message) for one in warned if "ightning" in str(one.filename)]


class _Threads(Callback):
    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        (Path(trainer.default_root_dir) / f"threads-{trainer.global_rank}").write_text(str(torch.get_num_threads()))


def test_forked_processes_do_not_wait_for_threads_that_stayed_behind(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trained(tmp_path, 2, epochs=1, callbacks=(_Threads(),))
        assert torch.get_num_threads() == 2, "those of who started the job stay"
    finally:
        torch.set_num_threads(before)
    assert [file.read_text() for file in sorted(tmp_path.glob("threads-*"))] == ["1", "1"]


class _Eats(Callback):
    """Takes memory in each process."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.kept = torch.ones(EATEN_MIB * 2**18)


def test_peak_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    lean, fat = (
        trained(tmp_path / str(len(callbacks)), 2, epochs=1, callbacks=callbacks).peak_memory_mib
        for callbacks in ((), (_Eats(),))
    )
    assert lean > 0
    assert fat - lean == pytest.approx(2 * EATEN_MIB, rel=0.2)
    assert trained(tmp_path / "one", 1, epochs=1).peak_memory_mib == 0, "there it is that of this process"


@pytest.mark.parametrize("strategy", ["auto", "ddp", "ddp_fork", "ddp_spawn"])
def test_processors_are_forked_unless_told_otherwise(strategy: Any) -> None:
    chosen = strategy_of(tiny_spec(devices=2, strategy=strategy))
    assert chosen == ("ddp_spawn" if strategy == "ddp_spawn" else "ddp_fork")
    assert strategy_of(tiny_spec(strategy=strategy)) == ("auto" if strategy == "ddp" else strategy)


@pytest.mark.long  # each process imports PyTorch anew
def test_new_processes_train_as_forked_ones(tmp_path: Path) -> None:
    reports: list[int] = []
    spec = tiny_spec(devices=2, strategy="ddp_spawn")
    data = tiny_data(images_of_fold())
    fit(plain_network(), data, spec, folder=tmp_path / "spawn", seed=5, epoch_report=lambda e, _: reports.append(e))
    trained(tmp_path / "fork", 2)
    assert reports == [0, 1, 2]
    one, two = (sha256_of_file(tmp_path / how / "weights.safetensors") for how in ("spawn", "fork"))
    assert one == two


@pytest.mark.parametrize("images", [*range(2, 41), 64])
@pytest.mark.parametrize("devices", [1, 2, 3, 4])
def test_parts_of_batches_are_the_batches_of_one_device(images: int, devices: int) -> None:
    order = SeededOrder(np.arange(images, dtype=np.int64), 0, 12)
    whole = list(TrainingBatches(order, 12, 0, 1))
    parts = [list(TrainingBatches(order, 12, device, devices)) for device in range(devices)]
    assert {len(part) for part in parts} == {len(whole)} == {len(TrainingBatches(order, 12, 0, devices))}
    for number, batch in enumerate(whole):
        assert [key for part in parts for key in part[number] if key[1] >= 0] == batch
        assert all(len(part[number]) >= 2 for part in parts), "batch normalisation cannot use one image"


@pytest.mark.parametrize("devices", [1, 2, 3, 4])
@pytest.mark.parametrize("images", [4, 5, 9, 23, 24, 25, 47, 48, 49, 101])
def test_devices_score_all_rows_once_in_as_many_batches(images: int, devices: int) -> None:
    rows = np.arange(images, dtype=np.int64)
    parts = [list(ScoringBatches(rows, 24, device, devices)) for device in range(devices)]
    assert [row for part in parts for batch in part for _, row in batch] == rows.tolist()
    assert {len(part) for part in parts} == {-(-images // 24)}
    assert all(0 < len(batch) <= -(-24 // devices) for part in parts for batch in part)


@pytest.mark.parametrize(("batch_size", "devices", "instead"), [(9, 2, "8"), (2, 2, "4"), (4, 3, "6"), (32, 5, "30")])
def test_a_batch_that_cannot_be_shared_is_refused(batch_size: int, devices: int, instead: str) -> None:
    with pytest.raises(
        UnfitError, match=rf"batch_size is {batch_size} images .*devices {devices}: .* set it to {instead},"
    ):
        Suite(name="s", training=tiny_spec(batch_size=batch_size, devices=devices))


def test_more_devices_than_images_to_validate_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"training\.devices is 10, and the validation part has 9 images"):
        trained(tmp_path, 10)
