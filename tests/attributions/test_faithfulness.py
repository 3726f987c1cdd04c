from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.attributions.faithfulness import faithfulness, random_maps
from pneumobench.attributions.randomisation import map_similarity, with_shuffled_weights

SIDE = 32


def _probability(radiographs: Tensor) -> Tensor:
    """A network that looks at one corner only: bright there = pneumonia."""
    return torch.sigmoid((radiographs[:, 0, :8, :8].float().mean((1, 2)) - 100) / 10)


def _radiographs(corner: int) -> Tensor:
    radiographs = torch.full((2, 1, SIDE, SIDE), 90, dtype=torch.uint8)
    radiographs[:, :, :8, :8] = corner
    return radiographs


def _heat(row: int) -> Tensor:
    heat = torch.zeros(2, SIDE, SIDE)
    heat[:, row : row + 8, row : row + 8] = 1.0
    return heat


def test_the_map_of_what_is_used_beats_one_of_what_is_not() -> None:
    radiographs = _radiographs(200)
    right = faithfulness(_probability, radiographs, _heat(0), values="signed")
    wrong = faithfulness(_probability, radiographs, _heat(20), values="signed")
    chance = faithfulness(_probability, radiographs, random_maps(2, SIDE, 0), values="unsigned")
    assert (right.deletion < chance.deletion).all()
    assert (right.insertion > chance.insertion).all()
    assert (right.deletion < wrong.deletion).all()
    assert (right.insertion > wrong.insertion).all()
    assert ((right.deletion >= 0) & (right.insertion <= 1)).all()


def test_a_normal_image_is_judged_by_what_speaks_against_pneumonia() -> None:
    radiographs = torch.full((2, 1, SIDE, SIDE), 160, dtype=torch.uint8)
    radiographs[:, :, :8, :8] = 0
    against = faithfulness(_probability, radiographs, -_heat(0), values="signed")
    for_it = faithfulness(_probability, radiographs, _heat(0), values="signed")
    assert (against.insertion > for_it.insertion).all()
    # a method without signs is taken as it is
    unsigned = faithfulness(_probability, radiographs, _heat(0), values="unsigned")
    np.testing.assert_array_equal(unsigned.insertion, against.insertion)


def test_a_map_of_what_speaks_for_pneumonia_is_asked_about_pneumonia_on_normal_images_too() -> None:
    radiographs = _radiographs(70)  # called normal, with a few percent for pneumonia
    right = faithfulness(_probability, radiographs, _heat(0), values="positive")
    chance = faithfulness(_probability, radiographs, random_maps(2, SIDE, 0), values="positive")
    called = faithfulness(_probability, radiographs, _heat(0), values="unsigned")
    np.testing.assert_allclose(right.deletion, 1 - called.deletion, rtol=1e-5)  # float32
    np.testing.assert_allclose(right.insertion, 1 - called.insertion, rtol=1e-5)
    assert (right.deletion != chance.deletion).all()


def test_random_maps_repeat_and_differ_between_images() -> None:
    first = random_maps(3, SIDE, 5)
    assert torch.equal(first, random_maps(3, SIDE, 5))
    assert not torch.equal(first[0], first[1])


def test_shuffled_weights_keep_values_and_lose_their_places() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 1))
    architecture = Architecture(module=module)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    shuffled = with_shuffled_weights(architecture, 0)
    for name, value in shuffled.module.state_dict().items():
        assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values)
        assert torch.equal(module.state_dict()[name], before[name])
    assert not torch.equal(shuffled.module.state_dict()["2.weight"], before["2.weight"])


def test_similarity_is_a_rank_correlation() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 6, 6)).astype(np.float32)
    assert map_similarity(maps, np.exp(maps)) == pytest.approx([1, 1])
    assert map_similarity(maps, -maps) == pytest.approx([-1, -1])
    assert np.isnan(map_similarity(maps, np.zeros_like(maps))).all()
