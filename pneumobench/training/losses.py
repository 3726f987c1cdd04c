"""Losses on the pneumonia logit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from pneumobench.training_spec import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class PneumoniaLoss:
    """Mean loss of logits (B,) against shares of pneumonia (B,) in [0, 1].

    Args:
        spec: loss, focal gamma and alpha, class weights, label smoothing.
        class_weight: weights of normal and of pneumonia images, used with `class_weights: balanced`.
    """

    spec: TrainingSpec
    class_weight: tuple[float, float]

    def __call__(self, logit: Tensor, pneumonia: Tensor) -> Tensor:
        """Return the mean loss, a float32 scalar.

        Args:
            logit: pneumonia logits, taken to float32.
            pneumonia: 1 = pneumonia, 0 = normal, between them for mixed films.
        """
        spec, share = self.spec, pneumonia.float()
        target = share * (1 - spec.label_smoothing) + spec.label_smoothing / 2
        if spec.loss == "focal":
            alpha = -1.0 if spec.focal_alpha is None else spec.focal_alpha
            terms = sigmoid_focal_loss(logit.float(), target, alpha=alpha, gamma=spec.focal_gamma, reduction="none")
        else:
            terms = functional.binary_cross_entropy_with_logits(logit.float(), target, reduction="none")
        if spec.class_weights == "balanced":
            normal, positive = self.class_weight
            terms = terms * torch.lerp(torch.full_like(share, normal), torch.full_like(share, positive), share)
        return torch.as_tensor(terms.mean())
