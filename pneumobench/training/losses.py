"""Losses on the pneumonia logit, and on the logits of three classes, and their mean over an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric
from torchvision.ops import sigmoid_focal_loss

from pneumobench.suite.training import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class PneumoniaLoss:
    """Mean loss of a network's outputs against the shares of the classes in each image.

    Args:
        spec: loss, focal gamma and alpha, class weights, label smoothing.
        class_weight: weight of the images of each class, used with `class_weights: balanced`.
    """

    spec: TrainingSpec
    class_weight: tuple[float, ...]

    def __call__(self, class_logits: Tensor, shares: Tensor) -> Tensor:
        """Return the mean loss, a float32 scalar.

        Args:
            class_logits: outputs (B, 1), the pneumonia logit, or (B, classes), taken to float32.
            shares: (B, classes), rows sum to 1: one-hot, or between for mixed images. For one output the classes are
                normal and pneumonia.
        """
        if class_logits.shape[1] == 1:
            return self._binary(class_logits[:, 0], shares[:, 1])
        return self._softmax(class_logits, shares.float())

    def _softmax(self, class_logits: Tensor, shares: Tensor) -> Tensor:
        """Return cross-entropy or focal loss of a softmax (Lin et al. 2017 over classes, without alpha)."""
        spec = self.spec
        target = shares * (1 - spec.label_smoothing) + spec.label_smoothing / shares.shape[1]
        log_probability = class_logits.float().log_softmax(1)
        modulation = (1 - log_probability.exp()).clamp(min=1e-8) ** spec.focal_gamma if spec.loss == "focal" else 1.0
        terms = -(target * modulation * log_probability).sum(1)
        if spec.class_weights == "balanced":
            terms = terms * (shares @ torch.tensor(self.class_weight, device=shares.device))
        return terms.mean()

    def _binary(self, logit: Tensor, pneumonia: Tensor) -> Tensor:
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


class MeanLoss(Metric):
    """Mean loss of all images on all devices.

    Lightning's mean of logged values cuts the number of images a device to a whole one, and torchmetrics' MeanMetric
    leaves out losses that are not numbers, or else the weights.

    Example:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor(1.0), 3), mean.update(torch.tensor(2.0), 1)
        (None, None)
        >>> mean.compute().item()
        1.25
    """

    total: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, images: int | Tensor) -> None:
        """Take the mean loss of so many images."""
        self.total = self.total + loss * images
        self.images = self.images + images

    def compute(self) -> Tensor:
        """Return the mean, a scalar."""
        return self.total / self.images
