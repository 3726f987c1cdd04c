from __future__ import annotations

import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.weights_file import load_weights
from pneumobench.errors import DivergedError
from pneumobench.files import sha256_of_file
from pneumobench.suite.forms import plain
from pneumobench.training import fit as training_of_a_fold
from pneumobench.training import keeping
from pneumobench.training.devices import memory_format
from pneumobench.training.fit import fit, remove_training_files
from pneumobench.training.predictions import logit_of, probability_of, score
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec


class _InterruptionError(Exception):
    pass


class _StopAt(Callback):
    """Breaks a training off at a step, as a crash would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == self.step:
            raise _InterruptionError


def test_a_network_learns_and_its_saved_weights_are_what_is_scored(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec(epochs=6)
    result = fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path, seed=0)
    assert result.epochs_run == 6
    fresh = tiny_architecture(seed=99)
    load_weights(fresh.module, tmp_path / "weights.safetensors")
    scored = score(fresh, tiny_data(images).scoring_dataloader("tune"), spec)
    assert scored.rows.tolist() == images.positions["tune"].tolist()
    assert roc_auc_score(images.label[scored.rows], probability_of(logit_of(scored.class_logits))) > 0.95
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == list(range(6))
    assert result.best_epoch == int(history["tune_loss"].to_numpy().argmin())
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


class _SlowSteps(Callback):
    """Has a few steps of a training take long, as other work of the machine does."""

    def on_train_batch_start(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step in (6, 12):
            time.sleep(0.5)


def test_the_median_step_is_not_moved_by_a_machine_that_is_busy_for_a_while(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec(epochs=3)  # 5 steps an epoch, so 4 from end to end
    result = fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path, seed=0, callbacks=(_SlowSteps(),))
    assert result.seconds > 1
    assert result.step_seconds is not None
    assert 0 < result.step_seconds < 0.25
    checkpoint = torch.load(tmp_path / "resume.ckpt", weights_only=True)
    kept = keeping.state_of(checkpoint, keeping.TrainingKeeper)["step_seconds"]
    assert len(kept) == 3 * 4, "steps of all epochs, and nothing between epochs"


def test_an_epoch_of_one_step_has_no_time_between_steps(tmp_path: Path) -> None:
    spec = tiny_spec(epochs=2, batch_size=64)
    result = fit(tiny_architecture(), tiny_data(tiny_images(), batch_size=64), spec, folder=tmp_path, seed=0)
    assert result.step_seconds is None


@pytest.fixture
def checkpoint_of_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "CHECKPOINT_EVERY_S", 0.0)


@pytest.mark.usefixtures("checkpoint_of_each_epoch")
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("stop_at", [2, 5, 11, 13])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, stop_at: int, schedule: str) -> None:
    images, spec = tiny_images(), tiny_spec(schedule=schedule, plateau_patience=0, epochs=3)  # 5 steps an epoch
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "whole", seed=3)
    cut = (_StopAt(stop_at),)
    with pytest.raises(_InterruptionError):
        fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "cut", seed=3, callbacks=cut)
    assert (tmp_path / "cut" / "resume.ckpt").exists() == (stop_at > 5)
    torch.manual_seed(12345)  # whatever state a new process starts with
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "cut", seed=3)
    for name in ("weights.safetensors", "history.csv"):
        assert sha256_of_file(tmp_path / "cut" / name) == sha256_of_file(tmp_path / "whole" / name), name


def test_two_trainings_with_one_seed_are_equal_and_another_seed_differs(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec(epochs=1)
    hashes = []
    for number, seed in enumerate((0, 0, 1)):
        fit(tiny_architecture(), tiny_data(images, seed=seed), spec, folder=tmp_path / str(number), seed=seed)
        hashes.append(sha256_of_file(tmp_path / str(number) / "weights.safetensors"))
    assert hashes[0] == hashes[1] != hashes[2]


class _SeenBatches(Callback):
    """Keeps what a network is shown."""

    def __init__(self) -> None:
        self.radiographs: list[torch.Tensor] = []
        self.rows: list[int] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.radiographs.append(batch[0].clone())
        self.rows += batch[2].tolist()


def test_every_architecture_sees_the_same_images_in_the_same_order_with_the_same_augmentation(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec(epochs=2)
    other = Architecture(module=nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 1)))
    seen = []
    for number, architecture in enumerate((tiny_architecture(), other)):
        batches = _SeenBatches()
        fit(architecture, tiny_data(images), spec, folder=tmp_path / str(number), seed=0, callbacks=(batches,))
        seen.append(batches)
    assert seen[0].rows == seen[1].rows
    assert all(torch.equal(one, two) for one, two in zip(seen[0].radiographs, seen[1].radiographs, strict=True))
    half = len(seen[0].rows) // 2
    assert seen[0].rows[:half] != seen[0].rows[half:], "a new epoch has a new order"
    assert sorted(seen[0].rows[:half]) == sorted(seen[0].rows[half:])


def test_a_loss_that_is_not_finite_stops_at_its_step(tmp_path: Path) -> None:
    architecture = tiny_architecture()
    linear = architecture.module[-1]  # type: ignore[index]
    assert isinstance(linear, nn.Linear)
    linear.weight.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"loss became nan in step 0 \(batch 0\)"):
        fit(architecture, tiny_data(tiny_images()), tiny_spec(), folder=tmp_path, seed=0)
    assert not (tmp_path / "weights.safetensors").exists()


def test_early_stopping_ends_a_training_that_gets_no_better(tmp_path: Path) -> None:
    rate = {"learning_rate": 0.5, "schedule": "constant", "warmup_epochs": 0.0}
    spec = tiny_spec(epochs=12, early_stopping_patience=1, monitor="tune_loss", **rate)
    result = fit(tiny_architecture(), tiny_data(tiny_images()), spec, folder=tmp_path, seed=0)
    assert result.stopped_early
    assert result.epochs_run < 12
    assert result.best_epoch <= result.epochs_run - 2


def test_a_network_that_was_looked_at_before_is_trained_in_training_mode(tmp_path: Path) -> None:
    architecture = tiny_architecture()
    architecture.module.eval()
    fit(architecture, tiny_data(tiny_images()), tiny_spec(epochs=1), folder=tmp_path, seed=0)
    assert load_file(tmp_path / "weights.safetensors")["1.num_batches_tracked"] == 5, "batch norm saw every step"


@pytest.mark.usefixtures("checkpoint_of_each_epoch")
def test_the_best_epoch_is_kept_when_the_folder_was_moved_in_between(tmp_path: Path) -> None:
    # the rate is too high after the first epochs, so that a later epoch is worse
    images, spec = tiny_images(), tiny_spec(epochs=4, learning_rate=0.1, warmup_epochs=3.0, monitor="tune_loss")
    whole = fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "whole", seed=1)
    with pytest.raises(_InterruptionError):
        fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "a", seed=1, callbacks=(_StopAt(18),))
    (tmp_path / "a").rename(tmp_path / "b")
    moved = fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "b", seed=1)
    assert moved.best_epoch == whole.best_epoch < 3
    one, two = (sha256_of_file(tmp_path / name / "weights.safetensors") for name in ("whole", "b"))
    assert one == two


def test_a_finished_training_is_not_trained_again_when_only_its_scoring_was_broken_off(tmp_path: Path) -> None:
    rate = {"learning_rate": 0.5, "schedule": "constant", "warmup_epochs": 0.0}
    spec = tiny_spec(epochs=12, early_stopping_patience=1, monitor="tune_loss", **rate)
    first = fit(tiny_architecture(), tiny_data(tiny_images()), spec, folder=tmp_path, seed=0)
    before = sha256_of_file(tmp_path / "weights.safetensors")
    assert first.stopped_early
    again = fit(tiny_architecture(), tiny_data(tiny_images()), spec, folder=tmp_path, seed=0)
    assert again == first
    assert sha256_of_file(tmp_path / "weights.safetensors") == before


def test_finished_jobs_leave_no_training_files(tmp_path: Path) -> None:
    fit(tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=1), folder=tmp_path, seed=0)
    remove_training_files(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.csv", "weights.safetensors"]
    assert "0.weight" in load_file(tmp_path / "weights.safetensors")


def test_where_nothing_was_measured_auto_is_the_plain_form() -> None:
    spec = plain(tiny_spec(memory_format="auto", precision="auto", compile="auto"))
    assert (spec.memory_format, spec.precision, spec.compile) == ("contiguous", "32-true", "none")
    assert memory_format(spec) == torch.contiguous_format
    assert memory_format(tiny_spec(memory_format="channels_last")) == torch.channels_last


def compiled_and_not(folder: Path) -> None:
    losses = {}
    for form in ("none", "inductor"):
        spec = tiny_spec(epochs=2, compile=form, ema_decay=0.9)  # 36 images in batches of 8, and one of 4
        fit(tiny_architecture(dropout=0), tiny_data(tiny_images(54)), spec, folder=folder / form, seed=0)
        losses[form] = pd.read_csv(folder / form / "history.csv")[["train_loss", "tune_loss"]].to_numpy()
    np.testing.assert_allclose(losses["inductor"], losses["none"], rtol=1e-3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_a_compiled_training_goes_the_same_way_with_one_graph(tmp_path: Path) -> None:
    # a process of its own: one that has compiled cannot be forked any more
    process = multiprocessing.get_context("spawn").Process(target=compiled_and_not, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_two_devices_train_one_network(tmp_path: Path) -> None:
    images, spec = tiny_images(), tiny_spec(epochs=1, devices=2, strategy="ddp_fork")
    fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path, seed=0)
    assert (tmp_path / "weights.safetensors").is_file()
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1


def test_probabilities_are_sigmoids_in_float64() -> None:
    probability = probability_of(np.array([-40.0, 0.0, 12.5], dtype=np.float32))
    assert probability.dtype == np.float64
    assert probability[1] == 0.5
    assert 0 < probability[0] < 1e-17


class _KilledError(Exception):
    pass


EARLY = {"epochs": 12, "early_stopping_patience": 1, "learning_rate": 0.5, "schedule": "constant", "warmup_epochs": 0.0}


def _killed_before_the_weights(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Train to the last epoch's checkpoint and no further."""

    def killed(*_: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(training_of_a_fold, "save_weights", killed)
        with pytest.raises(_KilledError):
            fit(tiny_architecture(), tiny_data(tiny_images()), tiny_spec(**settings), folder=folder, seed=0)
    assert (folder / "resume.ckpt").is_file()
    assert not (folder / "weights.safetensors").exists()


@pytest.mark.parametrize("settings", [EARLY, {"epochs": 2}, {**EARLY, "ema_decay": 0.5}], ids=["early", "all", "ema"])
def test_a_kill_between_the_last_checkpoint_and_the_weights_trains_no_epoch_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    whole = fit(tiny_architecture(), tiny_data(tiny_images()), tiny_spec(**settings), folder=tmp_path / "a", seed=0)
    _killed_before_the_weights(tmp_path / "b", monkeypatch, **settings)
    trained: list[int] = []
    again = fit(
        tiny_architecture(), tiny_data(tiny_images()), tiny_spec(**settings), folder=tmp_path / "b", seed=0,
        epoch_report=lambda epoch, _: trained.append(epoch),
    )  # fmt: skip
    assert trained == []
    assert (again.epochs_run, again.best_epoch, again.stopped_early) == (
        whole.epochs_run, whole.best_epoch, whole.stopped_early,
    )  # fmt: skip
    for name in ("weights.safetensors", "history.csv"):
        assert sha256_of_file(tmp_path / "b" / name) == sha256_of_file(tmp_path / "a" / name), name


class _Saves(Callback):
    """Counts checkpoints and keeps when each was written."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        self.epochs.append(trainer.current_epoch)


@pytest.mark.parametrize(
    ("every_s", "settings", "expected"),
    [(0.0, {"epochs": 4}, [0, 1, 2, 3]), (60.0, {"epochs": 4}, [0, 3]), (60.0, EARLY, None)],
    ids=["each", "few", "early"],
)
def test_the_first_epoch_and_the_last_have_a_checkpoint_and_others_where_it_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, settings: Any, expected: list[int] | None
) -> None:
    monkeypatch.setattr(keeping, "CHECKPOINT_EVERY_S", every_s)
    saves, data = _Saves(), tiny_data(tiny_images())
    result = fit(tiny_architecture(), data, tiny_spec(**settings), folder=tmp_path, seed=0, callbacks=(saves,))
    assert saves.epochs == (expected or [0, result.epochs_run - 1])


def test_epochs_since_the_last_checkpoint_are_trained_again_and_end_the_same(tmp_path: Path) -> None:
    # the rate is too high after the first epochs, so that the best epoch is none of those with a checkpoint
    images, spec = tiny_images(), tiny_spec(epochs=4, learning_rate=0.1, warmup_epochs=3.0, monitor="tune_loss")
    whole = fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "a", seed=1)
    assert 0 < whole.best_epoch < 3
    with pytest.raises(_InterruptionError):
        fit(tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "b", seed=1, callbacks=(_StopAt(18),))
    trained: list[int] = []
    again = fit(
        tiny_architecture(), tiny_data(images), spec, folder=tmp_path / "b", seed=1,
        epoch_report=lambda epoch, _: trained.append(epoch),
    )  # fmt: skip
    assert trained == [1, 2, 3]
    assert again.best_epoch == whole.best_epoch
    for name in ("weights.safetensors", "history.csv"):
        assert sha256_of_file(tmp_path / "b" / name) == sha256_of_file(tmp_path / "a" / name), name


@pytest.mark.usefixtures("checkpoint_of_each_epoch")
@pytest.mark.parametrize("left", ["nothing", "the one before"])
def test_a_damaged_checkpoint_costs_epochs_and_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    fit(tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=4), folder=tmp_path / "a", seed=0)
    _killed_before_the_weights(tmp_path / "b", monkeypatch, epochs=4)
    resume = tmp_path / "b/resume.ckpt"
    resume.write_bytes(resume.read_bytes()[:-9])
    if left == "nothing":
        resume.with_name("resume.ckpt.previous").unlink()
    trained: list[int] = []
    fit(
        tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=4), folder=tmp_path / "b", seed=0,
        epoch_report=lambda epoch, _: trained.append(epoch),
    )  # fmt: skip
    assert trained == ([0, 1, 2, 3] if left == "nothing" else [3])
    assert sha256_of_file(tmp_path / "b/weights.safetensors") == sha256_of_file(tmp_path / "a/weights.safetensors")
