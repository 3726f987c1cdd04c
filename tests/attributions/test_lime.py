from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.attributions.methods.lime import LimeSettings, lime_explanation, lime_maps
from pneumobench.attributions.superpixels import superpixels
from pneumobench.errors import SettingsError

SIDE = 48
SETTINGS = LimeSettings(superpixels=20, max_samples=600, batch_size=40)
FIXED = dataclasses.replace(SETTINGS, settled_at=None)


def _radiograph() -> Tensor:
    """Return an image (1, H, W) whose gray changes everywhere, so that every superpixel differs from its mean."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    gray = 120 + 60 * np.sin(rows / 5) * np.cos(columns / 7) + np.random.default_rng(0).normal(0, 20, (SIDE, SIDE))
    return torch.from_numpy(np.clip(gray, 0, 255).astype(np.uint8))[None]


RADIOGRAPH = _radiograph()
LABELS = superpixels(RADIOGRAPH[0].numpy(), SETTINGS.superpixels)
COUNT = int(LABELS.max()) + 1


class _Planted(nn.Module):
    """A logit that is linear in how much of the image's own grain is left in each superpixel."""

    def __init__(self, strength: NDArray[np.float64], curvature: float = 0.0) -> None:
        super().__init__()
        radiograph = RADIOGRAPH[0].double().numpy()
        area = np.bincount(LABELS.ravel())
        mean = np.rint(np.bincount(LABELS.ravel(), radiograph.ravel()) / area)[LABELS]
        grain = radiograph - mean
        energy = np.bincount(LABELS.ravel(), (grain**2).ravel())
        assert (energy > 0).all()
        self.reader = nn.Parameter(torch.from_numpy(grain * (strength / energy)[LABELS]))
        self.mean = nn.Parameter(torch.from_numpy(mean))
        self.curvature = curvature
        self.dropout = nn.Dropout()
        self.largest_batch = 0

    def forward(self, radiographs: Tensor) -> Tensor:
        self.largest_batch = max(self.largest_batch, len(radiographs))
        assert not self.training
        shown = ((radiographs[:, 0].double() - self.mean) * self.reader).sum(
            (1, 2)
        )  # sum of strengths of what is shown
        return shown + self.curvature * shown**2


def _architecture(strength: NDArray[np.float64], curvature: float = 0.0) -> tuple[Architecture, _Planted]:
    module = _Planted(strength, curvature)
    return Architecture(module=module, pixel_mean=0.0, pixel_std=1 / 255), module


def _strength() -> NDArray[np.float64]:
    return np.random.default_rng(1).permutation(np.linspace(-0.3, 0.5, COUNT))


def test_planted_weights_are_recovered_in_order() -> None:
    strength = _strength()
    explanation = lime_explanation(_architecture(strength)[0], RADIOGRAPH, seed=0, settings=FIXED)
    assert spearmanr(explanation.weights, strength).statistic > 0.98
    assert np.argmax(explanation.weights) == np.argmax(strength)
    # a sigmoid changes by at most a quarter of its argument
    np.testing.assert_allclose(explanation.weights, strength / 4, atol=0.03)
    assert 0.95 < explanation.r2 <= 1


def test_the_one_region_that_matters_gets_the_top_weight() -> None:
    strength = np.zeros(COUNT)
    strength[7] = 2.0
    explanation = lime_explanation(_architecture(strength)[0], RADIOGRAPH, seed=0, settings=SETTINGS)
    others = np.delete(explanation.weights, 7)
    assert explanation.weights[7] > 10 * np.abs(others).max()


def _by_the_package(module: nn.Module, architecture: Architecture, samples: int) -> NDArray[np.float64]:
    def probability(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        radiographs = torch.from_numpy(np.ascontiguousarray(images[..., 0]))[:, None]  # (n, H, W, 3) -> (n, 1, H, W)
        with torch.inference_mode():
            positive = architecture.logits(radiographs).double().sigmoid().numpy()
        return np.stack([1 - positive, positive], axis=1)

    module.eval()
    explained = LimeImageExplainer(random_state=3).explain_instance(
        RADIOGRAPH[0].numpy(),
        probability,
        labels=(1,),
        top_labels=None,
        num_samples=samples,
        segmentation_fn=lambda _: LABELS,
    )
    return np.array([weight for _, weight in sorted(explained.local_exp[1])])


def test_weights_agree_with_the_lime_package() -> None:
    # curved, so that superpixels interact and the surrogate is no exact fit
    architecture, module = _architecture(_strength(), curvature=-0.35)
    ours = lime_explanation(architecture, RADIOGRAPH, seed=0, settings=FIXED)
    theirs = _by_the_package(module, architecture, ours.samples)
    assert ours.samples == FIXED.max_samples
    assert ours.r2 < 0.9
    assert spearmanr(ours.weights, theirs).statistic >= 0.9
    np.testing.assert_allclose(ours.weights, theirs, atol=0.02)


def test_same_arguments_same_bytes_and_another_seed_other_bytes() -> None:
    architecture, _ = _architecture(_strength(), curvature=-0.35)
    once, again, other = (
        lime_explanation(architecture, RADIOGRAPH, seed=seed, settings=SETTINGS) for seed in (0, 0, 1)
    )
    assert once.weights.tobytes() == again.weights.tobytes()
    assert once.weights.tobytes() != other.weights.tobytes()


def test_the_network_sees_no_more_than_a_batch_and_keeps_its_mode() -> None:
    architecture, module = _architecture(_strength())
    module.train()
    module.dropout.eval()
    explanation = lime_explanation(architecture, RADIOGRAPH, seed=0, settings=FIXED)
    assert module.largest_batch == FIXED.batch_size < explanation.samples
    assert module.training
    assert not module.dropout.training


def test_a_clear_image_needs_fewer_samples_than_a_tangled_one() -> None:
    clear = lime_explanation(_architecture(_strength())[0], RADIOGRAPH, seed=0, settings=SETTINGS)
    # equal weights below strong interactions: there is no ranking to find
    tangled = lime_explanation(
        _architecture(np.full(COUNT, 0.3), curvature=-0.3)[0], RADIOGRAPH, seed=0, settings=SETTINGS
    )
    assert SETTINGS.settled_at is not None
    assert clear.half_split_rank_correlation >= SETTINGS.settled_at > tangled.half_split_rank_correlation
    assert clear.samples < SETTINGS.max_samples / 2 < tangled.samples == SETTINGS.max_samples


def test_a_probability_that_never_changes_gives_no_ranking() -> None:
    explanation = lime_explanation(_architecture(np.zeros(COUNT))[0], RADIOGRAPH, seed=0, settings=SETTINGS)
    assert (explanation.weights == 0).all()
    assert np.isnan(explanation.r2)
    assert np.isnan(explanation.half_split_rank_correlation)
    assert explanation.samples == SETTINGS.max_samples


def test_maps_add_up_to_the_weights_and_do_not_depend_on_the_batch() -> None:
    architecture, _ = _architecture(_strength())
    turned = RADIOGRAPH.flip(2)
    maps = lime_maps(architecture, torch.stack([turned, RADIOGRAPH]))
    assert maps.shape == (2, SIDE, SIDE)
    assert maps.dtype == torch.float32
    explanation = lime_explanation(architecture, RADIOGRAPH, seed=0, settings=LimeSettings())
    for superpixel, weight in enumerate(explanation.weights):
        region = torch.from_numpy(explanation.labels == superpixel)
        assert float(maps[1][region].sum()) == pytest.approx(weight, rel=1e-4, abs=1e-7)
    assert float(maps[1].sum()) == pytest.approx(explanation.weights.sum(), rel=1e-4)
    assert torch.equal(lime_maps(architecture, RADIOGRAPH[None])[0], maps[1])


def test_superpixels_are_connected_names_without_gaps() -> None:
    assert len(np.unique(LABELS)) == COUNT
    assert 12 <= COUNT <= 28
    assert superpixels(RADIOGRAPH[0].numpy().copy(), SETTINGS.superpixels) is LABELS
    with pytest.raises(SettingsError, match="1 superpixels: at least 2"):
        superpixels(RADIOGRAPH[0].numpy(), 1)


def test_wrong_settings_and_targets_are_named() -> None:
    with pytest.raises(SettingsError, match=r"lime\.batch_size is 1"):
        LimeSettings(batch_size=1)
    with pytest.raises(SettingsError, match=r"lime\.max_samples is 50: at least 2 for each of the 50"):
        LimeSettings(max_samples=50)
    with pytest.raises(SettingsError, match=r"lime\.settled_at is 1\.5"):
        LimeSettings(settled_at=1.5)
    with pytest.raises(SettingsError, match="target 1 does not exist: the network's outputs are 0 to 0"):
        lime_explanation(_architecture(_strength())[0], RADIOGRAPH, seed=0, settings=SETTINGS, target=1)
