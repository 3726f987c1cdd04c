"""Self-supervised pretraining: no label and no other image is seen, views are told apart, and it can be resumed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pneumobench.architectures.weights_file import sha256_of_weights
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.errors import DivergedError, SettingsError
from pneumobench.suite.pretraining import PretrainingSpec
from pneumobench.suite.reader import load_suite
from pneumobench.training import pretraining
from pneumobench.training.pretraining import Pretrained, pretrain, remove_pretraining_files
from tests.training.tiny_fold import tiny_architecture, tiny_images, tiny_spec

SPEC = PretrainingSpec(epochs=4, batch_size=8, learning_rate=0.01)


def _pretrained(folder: Path, images: FoldImages | None = None, spec: PretrainingSpec = SPEC) -> tuple[str, Pretrained]:
    """Return the SHA-256 of the weights of the tiny network, and how it went."""
    network = tiny_architecture(dropout=0.0)
    found = pretrain(network, images or tiny_images(), spec, tiny_spec(), folder=folder, seed=3)
    return sha256_of_weights(network.module), found


def test_only_the_images_of_the_training_part_are_seen(tmp_path: Path) -> None:
    images = tiny_images()
    weights, found = _pretrained(tmp_path / "a", images)
    assert found.images == len(images.positions["train"])
    other = images.radiographs.copy()
    other[images.positions["tune"]] = 7
    blind = dataclasses.replace(images, radiographs=other, label=1 - images.label)
    assert _pretrained(tmp_path / "b", blind)[0] == weights
    other = images.radiographs.copy()
    other[images.positions["train"][0]] = 7
    assert _pretrained(tmp_path / "c", dataclasses.replace(images, radiographs=other))[0] != weights


def test_a_network_learns_to_find_the_other_view(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    row, column = np.mgrid[:16, :16]
    angle, waves = rng.uniform(0, np.pi, 60), rng.uniform(0, 6, 60)
    phase = [(np.cos(a) * column + np.sin(a) * row) * w for a, w in zip(angle, waves, strict=True)]
    stripes = (127 + 100 * np.sin(2 * np.pi * np.stack(phase) / 16)).astype(np.uint8)
    images = dataclasses.replace(tiny_images(), radiographs=stripes)
    spec = dataclasses.replace(SPEC, temperature=0.5)
    first = _pretrained(tmp_path / "first", images, dataclasses.replace(spec, epochs=1))[1].loss
    last = _pretrained(tmp_path / "last", images, dataclasses.replace(spec, epochs=30))[1].loss
    chance = math.log(2 * spec.batch_size - 1)
    assert first > chance
    assert 0 < last < 0.95 * chance


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_resumed_pretraining_equals_an_uninterrupted_one(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, whole = _pretrained(tmp_path / "whole")
    monkeypatch.setattr(pretraining, "CHECKPOINT_EVERY_S", 0.0)
    mean_loss, seen = pretraining.ContrastivePretraining.mean_loss, [0]

    def interrupted(self: pretraining.ContrastivePretraining) -> float:
        if seen[0] == stop_at:
            raise DivergedError("stop")
        seen[0] += 1
        return mean_loss(self)

    monkeypatch.setattr(pretraining.ContrastivePretraining, "mean_loss", interrupted)
    with pytest.raises(DivergedError):
        _pretrained(tmp_path / "halved")
    assert (tmp_path / "halved/pretraining.ckpt").is_file()
    trained: list[int] = []

    def counted(self: pretraining.ContrastivePretraining) -> float:
        trained.append(self.current_epoch)
        return mean_loss(self)

    monkeypatch.setattr(pretraining.ContrastivePretraining, "mean_loss", counted)
    resumed, found = _pretrained(tmp_path / "halved")
    assert trained == list(range(stop_at, SPEC.epochs))
    assert (resumed, found.loss) == (weights, whole.loss)
    trained.clear()
    assert _pretrained(tmp_path / "halved") == (resumed, found), "what is finished is taken"
    assert trained == []
    remove_pretraining_files(tmp_path / "halved")
    assert list((tmp_path / "halved").iterdir()) == []


def test_what_cannot_be_pretrained_is_refused() -> None:
    named = {"weights": "self_supervised"}
    with pytest.raises(SettingsError, match=r"training\.devices is above 1, and self-supervised weights"):
        load_suite("smoke", architectures=named, training={"devices": 2})
    suite = load_suite("smoke", architectures=named, pretraining={"epochs": 3})
    other = load_suite("smoke", architectures=named, pretraining={"epochs": 4})
    assert suite.training_hash() != other.training_hash()
