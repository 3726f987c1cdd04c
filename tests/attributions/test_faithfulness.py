from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pneumobench.attributions.faithfulness import STEPS, faithfulness

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


def test_the_map_of_what_is_used_beats_itself_in_other_places_and_one_of_what_is_not_does_not() -> None:
    radiographs = _radiographs(200)
    right = faithfulness(_probability, radiographs, _heat(0), values="signed", seed=0)
    wrong = faithfulness(_probability, radiographs, _heat(20), values="signed", seed=0)
    assert (right.deletion < right.deletion_random).all()
    assert (right.insertion > right.insertion_random).all()
    assert (right.deletion < wrong.deletion).all()
    assert (right.insertion > wrong.insertion).all()
    assert not ((wrong.deletion < wrong.deletion_random) & (wrong.insertion > wrong.insertion_random)).any()
    for areas in (right.deletion, right.insertion, right.deletion_random, right.insertion_random):
        assert ((areas >= 0) & (areas <= 1)).all()


def test_a_map_that_points_nowhere_is_its_own_baseline() -> None:
    found = faithfulness(_probability, _radiographs(200), torch.zeros(2, SIDE, SIDE), values="positive", seed=0)
    np.testing.assert_array_equal(found.deletion, found.deletion_random)
    np.testing.assert_array_equal(found.insertion, found.insertion_random)


def test_curves_are_those_of_images_changed_step_by_step() -> None:
    """By hand, one step after the other, against the areas that are computed together."""
    radiographs = _radiographs(200)
    heat = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []

    def probability(some: Tensor) -> Tensor:
        seen.append(some)
        return _probability(some)

    found = faithfulness(probability, radiographs, heat, values="positive", seed=0)
    blurred = seen[0][2:]
    order = heat.flatten(1).argsort(dim=1, descending=True, stable=True)
    points = []
    for step in range(STEPS + 1):
        image = radiographs.clone()
        for i in range(2):
            gone = order[i, : round(step / STEPS * SIDE**2)]
            image[i].view(-1)[gone] = blurred[i].reshape(-1)[gone]
        points.append(_probability(image).double().numpy())
    np.testing.assert_allclose(found.deletion, np.trapezoid(np.stack(points), dx=1 / STEPS, axis=0), rtol=1e-6)


def test_a_normal_image_is_judged_by_what_speaks_against_pneumonia() -> None:
    radiographs = torch.full((2, 1, SIDE, SIDE), 160, dtype=torch.uint8)
    radiographs[:, :, :8, :8] = 0
    against = faithfulness(_probability, radiographs, -_heat(0), values="signed", seed=0)
    for_it = faithfulness(_probability, radiographs, _heat(0), values="signed", seed=0)
    assert (against.insertion > for_it.insertion).all()
    # a method without signs is taken as it is
    unsigned = faithfulness(_probability, radiographs, _heat(0), values="unsigned", seed=0)
    np.testing.assert_array_equal(unsigned.insertion, against.insertion)


def test_a_map_of_what_speaks_for_pneumonia_is_asked_about_pneumonia_on_normal_images_too() -> None:
    radiographs = _radiographs(70)  # called normal, with a few percent for pneumonia
    right = faithfulness(_probability, radiographs, _heat(0), values="positive", seed=0)
    called = faithfulness(_probability, radiographs, _heat(0), values="unsigned", seed=0)
    np.testing.assert_allclose(right.deletion, 1 - called.deletion, rtol=1e-5)  # float32
    np.testing.assert_allclose(right.insertion, 1 - called.insertion, rtol=1e-5)
    np.testing.assert_allclose(right.insertion_random, 1 - called.insertion_random, rtol=1e-5)
