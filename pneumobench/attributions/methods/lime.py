"""LIME for images: which superpixels speak for pneumonia, by switching them off and watching the probability.

The surrogate is that of the `lime` package's image explainer: a ridge regression of the probability on which
superpixels are shown, weighted by the cosine distance to the whole image. What differs is what it costs. Images are
put together on the device in batches; the regression keeps sums instead of samples; the shown superpixels come from
balanced designs, which need fewer samples than independent draws for the same answer; and sampling stops when the
ranking of the superpixels has settled.

Sources: Ribeiro et al. 2016, doi 10.1145/2939672.2939778; designs: Box and Hunter 1961 (fold-over),
doi 10.1080/00401706.1961.10489951; reliability of half a test: Spearman 1910, doi 10.1111/j.2044-8295.1910.tb00206.x.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.stats import spearmanr
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.architecture import class_scores
from pneumobench.attributions.inspection import check_target
from pneumobench.attributions.methods import register_method
from pneumobench.attributions.superpixels import superpixels
from pneumobench.errors import SettingsError

KERNEL_WIDTH = 0.25  # of the cosine distance, as in the lime package
RIDGE = 1.0  # penalty on squared weights, as in the lime package
# Three images (resnet18, 64 px, superpixels without smoothing), nine pairings of overlapping stretches of samples each,
# at most 512: after 228 on average all 27 had a rank correlation of at least 0.9 with 2,048 independent draws; stopping
# at 0.5 gave 85 %. benchmark/performance/lime.py measures it on whole explanations.
SETTLED_AT = 0.8
SUPERPIXELS = 50  # asked for; each is about a seventh of the side
MAP_SEED = 0  # one seed for all images of `lime_maps`: an image's map does not depend on its neighbours


@dataclass(frozen=True, kw_only=True)
class LimeSettings:
    """How an explanation is sampled.

    Args:
        superpixels: how many are asked for.
        max_samples: perturbed images at most.
        batch_size: perturbed images that the network sees together; bounds memory.
        settled_at: stop when the Spearman correlation of the weights from either half of the samples reaches
            this. By Spearman and Brown a correlation r of halves means sqrt(2 r / (1 + r)) with the answer of
            endless samples. None: always take `max_samples`.

    Raises:
        SettingsError: a value is out of range.
    """

    superpixels: int = SUPERPIXELS
    max_samples: int = 2000
    batch_size: int = 64
    settled_at: float | None = SETTLED_AT

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise SettingsError(f"lime.batch_size is {self.batch_size}: at least 2 is expected.")
        if self.max_samples < 2 * self.superpixels:
            raise SettingsError(
                f"lime.max_samples is {self.max_samples}: at least 2 for each of the {self.superpixels} superpixels "
                "are expected."
            )
        if self.settled_at is not None and not 0 < self.settled_at <= 1:
            raise SettingsError(f"lime.settled_at is {self.settled_at}: above 0 and at most 1 is expected.")


@dataclass(frozen=True, kw_only=True)
class LimeExplanation:
    """Weights of the superpixels of one image, and how far to trust them.

    Args:
        weights: change of the probability when a superpixel is shown (superpixels,); negative speaks against.
        labels: superpixel of every pixel (H, W).
        samples: perturbed images that the network saw.
        r2: weighted share of the variance of the probability that the weights explain, at most 1; NaN when the
            probability never changed.
        half_split_rank_correlation: Spearman correlation of the weights from either half of the samples, -1 to 1;
            NaN when one of them gives no ranking.
        seconds: wall time.
    """

    weights: NDArray[np.float64]
    labels: NDArray[np.int32]
    samples: int
    r2: float
    half_split_rank_correlation: float
    seconds: float

    def heat(self) -> NDArray[np.float32]:
        """Return the weights spread evenly over their superpixels (H, W); they add up to the sum of the weights."""
        return np.asarray((self.weights / np.bincount(self.labels.ravel()))[self.labels], dtype=np.float32)


@register_method(
    "lime",
    source="doi 10.1145/2939672.2939778",
    needs_layer=False,
    cell=1 / math.sqrt(SUPERPIXELS),
)
def lime_maps(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return LIME weights spread over their superpixels, at the default settings.

    Args:
        architecture: network; used in eval mode, in bfloat16 where autocast allows it.
        radiographs: (B, 1, H, W) uint8.
        target: output to explain.

    Returns:
        Maps (B, H, W) float32 on the device of the images, negative where the image speaks against the target.

    Raises:
        SettingsError: the network has no such output.
    """
    settings = LimeSettings()
    heats = [
        lime_explanation(architecture, radiograph, seed=MAP_SEED, settings=settings, target=target).heat()
        for radiograph in radiographs
    ]
    return torch.from_numpy(np.stack(heats)).to(radiographs.device)


def lime_explanation(
    architecture: Architecture, radiograph: Tensor, *, seed: int, settings: LimeSettings, target: int = 0
) -> LimeExplanation:
    """Explain the probability of one image; the same arguments give the same weights.

    A superpixel that is switched off takes its own mean gray. The network runs in eval mode under bfloat16
    autocast, on the device where it is, and is left in the mode it was in.

    Args:
        architecture: network; one output stands for a sigmoid, several for a softmax.
        radiograph: (1, H, W) uint8.
        seed: seed of the perturbations.
        settings: number of superpixels and samples.
        target: output to explain.

    Raises:
        SettingsError: the network has no such output, or the image gives fewer than 2 superpixels.
    """
    started = time.perf_counter()
    device = next(architecture.module.parameters()).device
    labels = superpixels(radiograph[0].cpu().numpy(), settings.superpixels)
    count = int(labels.max()) + 1
    perturbed = _Perturbed(radiograph, labels, device)
    designs = [_design(count, np.random.default_rng([seed, half])) for half in (0, 1)]
    sums = np.zeros((2, count + 2, count + 2))  # of either half
    samples, agreement = 0, float("nan")
    with _eval_mode(architecture.module), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        while of_each := min(settings.batch_size, settings.max_samples - samples) // 2:
            shown = np.array([row for design in designs for row in islice(design, of_each)])
            if samples == 0:
                shown[0] = True  # the image itself
            probability = _probability(architecture, perturbed.radiographs(shown), target)
            for half in (0, 1):
                part = slice(half * of_each, (half + 1) * of_each)
                sums[half] += _weighted_sums(shown[part], probability[part])
            samples += 2 * of_each
            agreement = _rank_correlation(_ridge(sums[0])[0], _ridge(sums[1])[0])
            if settings.settled_at is not None and agreement >= settings.settled_at:
                break
    weights, r2 = _ridge(sums.sum(0))
    return LimeExplanation(
        weights=weights,
        labels=labels,
        samples=samples,
        r2=r2,
        half_split_rank_correlation=agreement,
        seconds=time.perf_counter() - started,
    )


class _Perturbed:
    """Puts images together on a device from what is shown of them."""

    def __init__(self, radiograph: Tensor, labels: NDArray[np.int32], device: torch.device) -> None:
        self.shape = radiograph.shape
        self.shown = radiograph.flatten().to(device)
        self.labels = torch.from_numpy(labels.ravel().astype(np.int64)).to(device)
        gray = radiograph.numpy(force=True).ravel()
        mean = np.bincount(labels.ravel(), weights=gray) / np.bincount(labels.ravel())
        self.hidden = torch.from_numpy(np.rint(mean).astype(np.uint8)).to(device)[self.labels]

    def radiographs(self, shown: NDArray[np.bool_]) -> Tensor:
        """Return images (n, 1, H, W) uint8 of which only some superpixels (n, superpixels) are shown."""
        pixels = torch.from_numpy(shown).to(self.labels.device)[:, self.labels]  # (n, superpixels) -> (n, H * W)
        return torch.where(pixels, self.shown, self.hidden).view(-1, *self.shape)


def _design(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Yield without end which of `count` superpixels are shown.

    Every row alone is uniform, as in the lime package. Together they are better spread: a row is followed by its
    complement, so that pairs of superpixels that act together blur no single one, and in every block of rows any
    two superpixels are shown independently of each other. Columns, signs and order are drawn anew for every block.
    """
    order = 1 << (count - 1).bit_length()  # Hadamard matrices of powers of two
    orthogonal = hadamard(order) > 0
    while True:
        rows = orthogonal[rng.permutation(order)][:, rng.permutation(order)[:count]] ^ rng.integers(0, 2, count, bool)
        for row in rows:
            yield row
            yield ~row


def _probability(architecture: Architecture, radiographs: Tensor, target: int) -> NDArray[np.float64]:
    """Return the probability of the target (n,)."""
    scores = class_scores(architecture.class_logits(radiographs).double())
    check_target(scores, target)
    return np.asarray(scores.sigmoid()[:, target].cpu().numpy())


def _weighted_sums(shown: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted products of 1, superpixels and probability: all that a regression needs of samples."""
    distance = 1 - np.sqrt(shown.mean(1))  # cosine distance to the image with everything shown
    weight = np.sqrt(np.exp(-((distance / KERNEL_WIDTH) ** 2)))
    table = np.column_stack([np.ones(len(shown)), shown, probability])
    return np.asarray(table.T @ (table * weight[:, None]))


def _ridge(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the weights of a ridge regression with a free intercept, and its R2."""
    centred = sums[1:, 1:] - np.outer(sums[0, 1:], sums[0, 1:]) / sums[0, 0]
    gram, cross, variance = centred[:-1, :-1], centred[:-1, -1], centred[-1, -1]
    weights = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), cross)
    if variance <= 1e-12 * sums[-1, -1]:  # nothing but rounding
        return np.zeros_like(weights), float("nan")
    residual = variance - 2 * weights @ cross + weights @ gram @ weights
    return weights, float(1 - residual / variance)


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation, NaN when one side is constant."""
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, and every part of it back into its own."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
