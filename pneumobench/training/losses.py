"""Losses on the pneumonia logit."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def pneumonia_loss(
    logit: Tensor, has_pneumonia: Tensor, *, loss: Literal["bce", "weighted_bce"], positive_weight: float
) -> Tensor:
    """Return the mean binary cross-entropy of logits (B,) and labels (B,) in {0, 1}.

    Args:
        logit: pneumonia logits, taken to float32.
        has_pneumonia: 1 = pneumonia.
        loss: `weighted_bce` multiplies the terms of positive images by `positive_weight`.
        positive_weight: negatives / positives of the training part.
    """
    weight = torch.tensor(positive_weight, device=logit.device) if loss == "weighted_bce" else None
    return functional.binary_cross_entropy_with_logits(logit.float(), has_pneumonia.float(), pos_weight=weight)
