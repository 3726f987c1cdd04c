from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from pneumobench.training.classifier import LearningRate
from pneumobench.training.losses import pneumonia_loss
from tests.training.tiny_fold import tiny_spec


def test_bce_equals_a_hand_worked_case() -> None:
    logit, label = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, 1.0])
    # probabilities 1/2 and 3/4: -(ln 1/2 + ln 3/4) / 2
    assert pneumonia_loss(logit, label, loss="bce", positive_weight=9.0).item() == pytest.approx(
        -(math.log(0.5) + math.log(0.75)) / 2
    )


def test_weighted_bce_multiplies_positive_terms_only() -> None:
    logit, label = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([0.0, 1.0, 1.0])
    terms = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    expected = (terms * torch.tensor([1.0, 0.25, 0.25])).mean()
    loss = pneumonia_loss(logit, label, loss="weighted_bce", positive_weight=0.25)
    assert loss.item() == pytest.approx(expected.item())


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
