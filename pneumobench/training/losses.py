"""Losses on the pneumonia logit, and on the logits of three classes, and their mean over an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torchmetrics import Metric

from pneumobench.suite.training import TrainingSpec

SMALLEST_MISS: Final = 1e-8  # of 1 - p: its power has a gradient for every gamma


@dataclass(frozen=True, kw_only=True)
class PneumoniaLoss:
    """Mean loss of a network's outputs against the shares of the classes in each image.

    Cross-entropy of the softmax over classes, the sum of -share * log p; one output is the pneumonia logit, with that
    of normal at 0. The focal loss multiplies the term of each class by (1 - p) ** gamma, and of two classes by alpha
    for pneumonia and 1 - alpha for normal. An image whose shares lie between 0 and 1 (mixed, or with smoothed labels)
    costs its shares of these terms, with one output as with two.

    Source: Lin et al. 2017, arXiv:1708.02002.

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
        spec, classes = self.spec, shares.shape[1]
        outputs = class_logits.float()
        if outputs.shape[1] == 1:  # the sigmoid of one logit is the softmax of it and nought
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        log_probability = outputs.log_softmax(1)
        target = shares.float() * (1 - spec.label_smoothing) + spec.label_smoothing / classes
        terms = -target * log_probability  # (B, classes)
        if spec.loss == "focal":
            terms = terms * (1 - log_probability.exp()).clamp(min=SMALLEST_MISS) ** spec.focal_gamma
            if spec.focal_alpha is not None:
                terms = terms * torch.tensor((1 - spec.focal_alpha, spec.focal_alpha), device=terms.device)
        image_terms = terms.sum(1)
        if spec.class_weights == "balanced":
            image_terms = image_terms * (shares.float() @ torch.tensor(self.class_weight, device=shares.device))
        return image_terms.mean()


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
