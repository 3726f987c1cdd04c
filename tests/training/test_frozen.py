"""A head on frozen features is what it says: the best by patient, and the network's own last layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.head import head_layer
from pneumobench.architectures.neighbours import TEMPERATURE, NeighbourVote
from pneumobench.architectures.weights_file import load_weights, save_weights
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.errors import DataError, NotAvailableError
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.frozen import (
    FrozenFit,
    chosen,
    embedded,
    fit_head,
    head_outputs,
    inner_splits,
)
from pneumobench.training.predictions import probability_of, score_images
from tests.training.tiny_fold import tiny_architecture, tiny_images, tiny_spec

LOGISTIC = tiny_spec(fit="frozen_logistic")
NEIGHBOURS = tiny_spec(fit="frozen_neighbours")


def batches(radiographs: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Yield images as a network is given them."""
    yield from torch.split(torch.from_numpy(radiographs)[:, None], 16)


def fitted(
    spec: TrainingSpec, architecture: Architecture, images: FoldImages, group: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.float32], FrozenFit]:
    """Return the features of all images, and what was fitted on the training part."""
    train = images.positions["train"]
    features = embedded(architecture, batches(images.radiographs), spec)
    groups = np.arange(len(train)) if group is None else group
    weight = images.class_weight()
    found = fit_head(architecture, features[train], images.target[train], groups, spec, class_weight=weight, seed=0)
    return features, found


def test_a_logistic_regression_becomes_the_last_layer() -> None:
    images, architecture = tiny_images(), tiny_architecture()
    features, found = fitted(LOGISTIC, architecture, images)
    train = images.positions["train"]
    strength = found.facts["inverse_strength"]
    other = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    other.fit(features[train], images.target[train])
    outputs = head_outputs(architecture, head_layer(architecture), features, LOGISTIC)
    np.testing.assert_allclose(outputs[:, 0], other.decision_function(features), atol=1e-4)
    # the whole network says the same, so that heat maps and other hospitals ask what was scored
    np.testing.assert_allclose(score_images(architecture, batches(images.radiographs), LOGISTIC), outputs, atol=1e-5)
    assert found.trained == features.shape[1] + 1
    tune = images.positions["tune"]
    assert area_under_roc(probability_of(outputs[tune, 0]), images.label[tune]) > 0.9


def test_only_the_head_changes() -> None:
    images, architecture = tiny_images(), tiny_architecture()
    before = {name: one.clone() for name, one in architecture.module.state_dict().items()}
    fitted(LOGISTIC, architecture, images)
    after = architecture.module.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"9.weight", "9.bias"}


def test_three_classes_have_a_softmax() -> None:
    images = tiny_images(240)
    classes = images.label + images.label * (np.arange(240) // 2 % 2)  # some positives have a second square
    images.radiographs[classes == 2, 10:15, 10:15] += 100
    images = dataclasses.replace(images, three_classes=classes)
    torch.manual_seed(0)
    module = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3))
    for spec in (LOGISTIC, NEIGHBOURS):
        architecture = Architecture(module=module, outputs=3)
        features, _ = fitted(spec, architecture, images)
        tune = images.positions["tune"]
        outputs = head_outputs(architecture, "2", features[tune], spec)
        assert outputs.shape == (len(tune), 3)
        assert (outputs.argmax(1) == classes[tune]).mean() > 0.9
        module = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3))


def test_the_nearest_vote_by_their_likeness() -> None:
    stored = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    vote = NeighbourVote(1).store(stored, torch.tensor([1, 0, 1]), neighbours=2, weight=torch.ones(2))
    found = vote(torch.tensor([[2.0, 0.0]])).item()  # cosines 1, 0, 0.6: the first and the third vote
    positive = 1 + np.exp((0.6 - 1) / TEMPERATURE) + 2 / 3
    assert found == pytest.approx(np.log(positive / (1 / 3)), abs=1e-5)


def test_votes_survive_a_file(tmp_path: Path) -> None:
    images, architecture = tiny_images(), tiny_architecture()
    features, found = fitted(NEIGHBOURS, architecture, images)
    save_weights(architecture.module.state_dict(), tmp_path / "weights.safetensors")
    again = tiny_architecture(seed=7)
    again.module.set_submodule(head_layer(again), NeighbourVote(again.outputs))
    load_weights(again.module, tmp_path / "weights.safetensors")
    outputs = head_outputs(architecture, "9", features, NEIGHBOURS)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(head_outputs(again, "9", features, NEIGHBOURS), outputs)
    np.testing.assert_allclose(score_images(again, batches(images.radiographs), NEIGHBOURS), outputs, atol=1e-4)
    assert found.trained == 0
    tune = images.positions["tune"]
    assert area_under_roc(probability_of(outputs[tune, 0]), images.label[tune]) > 0.8


def test_what_is_chosen_does_not_part_patients() -> None:
    group = np.repeat(np.arange(20), 3)
    target = np.repeat(np.arange(20) % 2, 3)
    splits = inner_splits(target, group, seed=0)
    assert len(splits) == 5
    assert all(not set(group[rest]) & set(group[part]) for rest, part in splits)
    assert sorted(np.concatenate([part for _, part in splits])) == list(range(60))


def test_patients_are_not_learnt_by_heart() -> None:
    """Features that name the patient look best in any split that parts one, and are worth nothing for another."""
    generator = np.random.default_rng(0)
    patients, films = 40, 6
    group = np.repeat(np.arange(patients), films)
    target = np.repeat(generator.permutation(patients) % 2, films)
    name = np.repeat(generator.normal(size=(patients, 30)), films, axis=0)
    features = (name + 0.01 * generator.normal(size=name.shape)).astype(np.float32)
    spec = LOGISTIC

    def strength(groups: NDArray[np.int64]) -> float:
        architecture = Architecture(module=nn.Sequential(nn.Flatten(), nn.Linear(30, 1)))
        found = fit_head(architecture, features, target, groups, spec, class_weight=(1.0, 1.0), seed=0)
        return float(found.facts["inverse_strength"])

    assert strength(group) < 0.1 * strength(np.arange(len(group)))


def test_classes_are_weighed() -> None:
    images = tiny_images(90)
    few = np.flatnonzero((images.label == 1) & (np.arange(90) % 3 > 0))
    images.label[few], images.radiographs[few] = 0, images.radiographs[images.label == 0][: len(few)]
    blurred = images.radiographs // 4 + np.random.default_rng(0).integers(0, 180, images.radiographs.shape)
    images = dataclasses.replace(images, radiographs=blurred.astype(np.uint8))
    for fit in ("frozen_logistic", "frozen_neighbours"):
        means = []
        for weights in ("none", "balanced"):
            spec, architecture = tiny_spec(fit=fit, class_weights=weights), tiny_architecture()
            features, _ = fitted(spec, architecture, images)
            means.append(float(head_outputs(architecture, "9", features, spec).mean()))
        assert means[1] > means[0] + 0.3, fit


def test_a_class_of_one_patient_is_said() -> None:
    images = tiny_images()
    train = images.positions["train"]
    group = np.where(images.label[train] == 1, -1, np.arange(len(train)))
    with pytest.raises(DataError, match="a class of one patient group only"):
        fitted(LOGISTIC, tiny_architecture(), images, group)


def test_networks_without_frozen_features_are_refused() -> None:
    twice = build_architecture("deit_tiny_distilled_patch16_224", in_channels=1, image_side_px=32)
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(NotAvailableError, match="2 output layers"):
        embedded(twice, iter([images]), LOGISTIC)
    scaled = Architecture(module=nn.Sequential(nn.Flatten(), nn.Linear(1024, 1), nn.Tanh()))
    with pytest.raises(NotAvailableError, match=r"not that of its last linear layer '1'"):
        embedded(scaled, iter([images + 9]), LOGISTIC)
    everywhere = Architecture(
        module=nn.Sequential(nn.Flatten(2), nn.Linear(1024, 1), nn.Flatten()), in_channels=1
    )  # of one row a channel, not an image
    with pytest.raises(NotAvailableError, match="one row of features an image"):
        embedded(everywhere, iter([images]), LOGISTIC)


@pytest.mark.parametrize(
    "name", ["resnet18", "test_vit", "test_convnext", "test_efficientnet", "tf_efficientnet_lite0"]
)
def test_networks_of_timm_have_frozen_features(name: str) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=64)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 64, 64), generator=generator, dtype=torch.uint8)
    features = embedded(architecture, iter([images]), LOGISTIC)
    head = architecture.module.get_submodule(head_layer(architecture))
    assert features.shape == (3, head.in_features)


def test_candidates_are_tried_until_the_loss_rises() -> None:
    truth, tried = {1: 0.6, 2: 0.7, 3: 0.9, 4: 0.8, 5: 0.99}, []  # probability of the right class

    def probability(candidate: int, rest: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.float64]:
        del rest
        tried.append(candidate)
        return np.tile([1 - truth[candidate], truth[candidate]], (len(part), 1))

    splits = [(np.array([0, 1]), np.array([2]))]
    assert chosen((1, 2, 3, 4, 5), probability, np.ones(3, dtype=np.int64), splits) == 3
    assert tried == [1, 2, 3, 4]
