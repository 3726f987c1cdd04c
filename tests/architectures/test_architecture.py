from __future__ import annotations

import pytest
import torch
from torch import nn

from pneumobench.architectures.architecture import Architecture, flops_per_image


def test_images_are_normalised_to_zero_mean_and_unit_range() -> None:
    architecture = Architecture(module=nn.Identity(), pixel_mean=0.5, pixel_std=0.25)
    radiographs = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    assert architecture.normalise(radiographs).flatten().tolist() == [-2.0, 2.0]


def test_images_are_normalised_by_their_own_statistics_whatever_their_exposure() -> None:
    architecture = Architecture(module=nn.Identity(), in_channels=3, own_statistics=True)
    radiographs = torch.randint(40, 120, (2, 1, 8, 8), dtype=torch.uint8)
    normal = architecture.normalise(radiographs)
    assert normal.shape == (2, 3, 8, 8)
    torch.testing.assert_close(normal.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.square().mean(dim=(1, 2, 3)), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(architecture.normalise(2 * radiographs), normal)  # brighter, and more contrast
    torch.testing.assert_close(architecture.normalise(radiographs + 20), normal)


def test_an_image_of_one_gray_level_is_not_stretched() -> None:
    architecture = Architecture(module=nn.Identity(), own_statistics=True)
    assert not architecture.normalise(torch.full((1, 1, 4, 4), 77, dtype=torch.uint8)).any()


def test_three_channels_are_the_gray_image_three_times() -> None:
    radiographs = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    normal = Architecture(module=nn.Identity(), in_channels=3).normalise(radiographs)
    assert normal.shape == (2, 3, 4, 4)
    assert all(torch.equal(normal[:, 0], normal[:, channel]) for channel in (1, 2))


@pytest.mark.parametrize("last", [nn.Identity(), nn.Flatten(0)], ids=["(B, 1)", "(B,)"])
def test_logits_are_one_number_an_image(last: nn.Module) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), last)
    assert Architecture(module=module).logits(torch.zeros(3, 1, 4, 4, dtype=torch.uint8)).shape == (3,)


def test_two_logits_an_image_are_no_pneumonia_score() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(RuntimeError, match="invalid for input of size 6"):
        Architecture(module=module).logits(torch.zeros(3, 1, 4, 4, dtype=torch.uint8))


def test_parameters_are_counted_with_and_without_frozen_ones() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Linear(4, 1))
    module[1].requires_grad_(False)
    architecture = Architecture(module=module)
    assert architecture.parameter_count() == 16 * 4 + 4 + 4 + 1
    assert architecture.parameter_count(trainable_only=True) == 5


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    module = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 1))
    assert flops_per_image(Architecture(module=module), 6) == 2 * (8 * 9 * 36) + 2 * (8 * 36)
