from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.training.losses import PneumoniaLoss
from pneumobench.training.optimiser import LearningRate
from tests.training.tiny_fold import tiny_spec


def loss(class_weight: tuple[float, ...] = (1.0, 1.0), **changes: object) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of logits (B,) against labels (B,)."""
    of_outputs = PneumoniaLoss(spec=tiny_spec(**changes), class_weight=class_weight)
    return lambda logit, label: of_outputs(logit[:, None], torch.stack([1 - label, label], dim=1))


LOGIT, LABEL = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([0.0, 1.0, 1.0])


def test_bce_equals_a_hand_worked_case() -> None:
    logit, label = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, 1.0])
    # probabilities 1/2 and 3/4: -(ln 1/2 + ln 3/4) / 2
    assert loss((9.0, 9.0))(logit, label).item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)


def test_class_weights_multiply_the_terms_of_their_class() -> None:
    terms = functional.binary_cross_entropy_with_logits(LOGIT, LABEL, reduction="none")
    expected = (terms * torch.tensor([2.0, 0.25, 0.25])).mean()
    assert loss((2.0, 0.25), class_weights="balanced")(LOGIT, LABEL).item() == pytest.approx(expected.item())


def test_focal_loss_equals_cross_entropy_at_gamma_0_and_spares_what_is_easy() -> None:
    plain = loss()(LOGIT, LABEL)
    assert loss(loss="focal", focal_gamma=0.0)(LOGIT, LABEL).item() == pytest.approx(plain.item())
    assert loss(loss="focal", focal_gamma=2.0)(LOGIT, LABEL).item() < plain.item()
    # Lin et al. 2017, equation 5: -alpha (1 - p)^gamma ln p
    share = torch.sigmoid(torch.tensor(2.0)).item()
    one = loss(loss="focal", focal_gamma=2.0, focal_alpha=0.25)(torch.tensor([2.0]), torch.tensor([1.0])).item()
    assert one == pytest.approx(-0.25 * (1 - share) ** 2 * math.log(share))


@pytest.mark.parametrize("settings", [{"label_smoothing": 0.2}, {}, {"loss": "focal", "focal_gamma": 3.0}], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_one_logit_and_two_cost_the_same_whatever_the_shares(settings: dict[str, Any], share: float) -> None:
    of_outputs = PneumoniaLoss(spec=tiny_spec(**{"loss": "focal", **settings}), class_weight=(1.0, 1.0))
    shares = torch.tensor([[1 - share, share]]).repeat(3, 1)
    two = torch.stack([torch.tensor([0.7, -2.0, 0.0]), LOGIT + torch.tensor([0.7, -2.0, 0.0])], dim=1)
    assert of_outputs(LOGIT[:, None], shares).item() == pytest.approx(of_outputs(two, shares).item(), rel=1e-5)


def test_a_mixed_image_costs_its_shares_of_both_labels() -> None:
    focal = loss(loss="focal")
    parts = [focal(LOGIT, torch.full((3,), label)).item() for label in (0.0, 1.0)]
    assert focal(LOGIT, torch.full((3,), 0.25)).item() == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


def test_smoothed_labels_stand_between_the_classes() -> None:
    smooth = loss(label_smoothing=0.2)(LOGIT, LABEL).item()
    expected = functional.binary_cross_entropy_with_logits(LOGIT, torch.tensor([0.1, 0.9, 0.9])).item()
    assert smooth == pytest.approx(expected)


THREE_LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-1.0, 1.5, 1.0]])
THREE_LABELS = torch.tensor([0, 2, 1])


def three_class_loss(class_weight: tuple[float, ...] = (1.0, 1.0, 1.0), **changes: object) -> float:
    of_outputs = PneumoniaLoss(spec=tiny_spec(**changes), class_weight=class_weight)
    return of_outputs(THREE_LOGITS, functional.one_hot(THREE_LABELS, 3)).item()


def test_the_loss_of_three_classes_equals_that_of_torch() -> None:
    plain = functional.cross_entropy(THREE_LOGITS, THREE_LABELS).item()
    assert three_class_loss() == pytest.approx(plain)
    smooth = functional.cross_entropy(THREE_LOGITS, THREE_LABELS, label_smoothing=0.3).item()
    assert three_class_loss(label_smoothing=0.3) == pytest.approx(smooth)
    terms = functional.cross_entropy(THREE_LOGITS, THREE_LABELS, reduction="none")
    weighted = (terms * torch.tensor([0.5, 3.0, 2.0])).mean().item()
    assert three_class_loss((0.5, 2.0, 3.0), class_weights="balanced") == pytest.approx(weighted)


def test_the_focal_loss_of_three_classes_is_cross_entropy_at_gamma_0_and_spares_what_is_easy() -> None:
    assert three_class_loss(loss="focal", focal_gamma=0.0) == pytest.approx(three_class_loss())
    terms = functional.cross_entropy(THREE_LOGITS, THREE_LABELS, reduction="none")
    expected = ((1 - torch.exp(-terms)) ** 2 * terms).mean().item()
    assert three_class_loss(loss="focal", focal_gamma=2.0) == pytest.approx(expected)


def _rates(schedule: str, *, steps: int, warmup: int) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    spec: Any = tiny_spec(schedule=schedule)
    rate = LearningRate(optimizer, spec, total_steps=steps, warmup_steps=warmup)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rate.step()
    return rates


def test_warm_up_is_linear_and_the_cosine_ends_near_zero() -> None:
    rates = _rates("cosine", steps=20, warmup=4)
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == pytest.approx(1.0)
    assert rates[12] == pytest.approx(0.5)
    assert rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.02


def test_a_constant_schedule_stays() -> None:
    assert _rates("constant", steps=5, warmup=0) == [1.0] * 5


def test_plateau_steps_after_patience_and_starts_counting_anew() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    spec: Any = tiny_spec(schedule="plateau", plateau_patience=1, plateau_factor=0.1)
    rate = LearningRate(optimizer, spec, total_steps=100, warmup_steps=0)
    seen = []
    for loss in (1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.5):
        rate.plateau_step(loss)
        optimizer.step()
        rate.step()
        seen.append(round(optimizer.param_groups[0]["lr"], 6))
    assert seen == [1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
