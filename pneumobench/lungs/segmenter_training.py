"""Train the lung segmenter from scratch on images with manual masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pneumobench.lungs.lung_parts import WORKING_SIDE_PX
from pneumobench.lungs.segmenter import LungUNet, logits_at
from pneumobench.radiographs.geometry import image_to_square

BATCH_SIZE: Final = 16
PEAK_LEARNING_RATE: Final = 3e-3
WARMUP_SHARE: Final = 0.1  # of all steps
DICE_SMOOTHING_PX: Final = 1.0
# largest changes of an image; each is drawn uniformly around none
ROTATION_DEG, SHIFT, SCALE, STRETCH, GAMMA_EXPONENT = 10.0, 0.06, 0.15, 0.08, 0.4

Report = Callable[[int, int, float], None]  # steps done, steps in all, mean loss since the last report
REPORT_EVERY: Final = 50


@dataclass(frozen=True, kw_only=True)
class DrawnImages:
    """Images and the lungs that people drew in them.

    Args:
        radiographs: (N, side, side) uint8.
        masks: (N, side, side) bool, True = lung.
    """

    radiographs: NDArray[np.uint8]
    masks: NDArray[np.bool_]


def train_segmenter(drawn: DrawnImages, *, epochs: int, seed: int, report: Report | None = None) -> LungUNet:
    """Return a segmenter trained from random weights, in eval mode.

    Mean of binary cross-entropy and Dice loss at the side of the manual masks; AdamW with one cycle of the learning
    rate; flips, small affine changes and gamma. Mixed precision (bfloat16) on the CPU; the seed decides all of it.

    Args:
        drawn: what to learn from.
        epochs: passes over the images.
        seed: seed of weights, order and augmentation.
        report: called every 50 steps and after the last.

    Source of the loss: Milletari, Navab, Ahmadi: V-Net (2016), beside cross-entropy.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LungUNet()
    network.train()
    generator = torch.Generator().manual_seed(seed)
    squares = np.stack([image_to_square(radiograph, WORKING_SIDE_PX) for radiograph in drawn.radiographs])
    steps_per_epoch = math.ceil(len(squares) / BATCH_SIZE)
    steps, side_px = epochs * steps_per_epoch, drawn.masks.shape[1]
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_LEARNING_RATE, total_steps=max(steps, 2), pct_start=WARMUP_SHARE, cycle_momentum=False
    )
    losses: list[float] = []
    for step in range(steps):
        if step % steps_per_epoch == 0:
            order = torch.randperm(len(squares), generator=generator).numpy()
        rows = order[step % steps_per_epoch * BATCH_SIZE :][:BATCH_SIZE]
        radiographs = torch.from_numpy(squares[rows])[:, None].float()
        lungs = torch.from_numpy(drawn.masks[rows].astype(np.float32))[:, None]
        radiographs, lungs = _changed(radiographs, lungs, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = logits_at(network, radiographs, (side_px, side_px))
        loss = dice_and_cross_entropy(logits.float(), lungs)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if report is not None and (len(losses) == REPORT_EVERY or step == steps - 1):
            report(step + 1, steps, float(np.mean(losses)))
            losses = []
    return network.eval()


def dice_and_cross_entropy(logits: Tensor, lungs: Tensor) -> Tensor:
    """Return the mean of cross-entropy and 1 - Dice of logits (B, 1, H, W) against lungs in [0, 1]; 0 = perfect."""
    probability = torch.sigmoid(logits)
    overlap = (probability * lungs).sum(dim=(1, 2, 3))
    areas = probability.sum(dim=(1, 2, 3)) + lungs.sum(dim=(1, 2, 3))
    dice = (2 * overlap + DICE_SMOOTHING_PX) / (areas + DICE_SMOOTHING_PX)
    return (functional.binary_cross_entropy_with_logits(logits, lungs) + 1 - dice.mean()) / 2


def _changed(radiographs: Tensor, lungs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change images (B, 1, h, w) and their lungs (B, 1, H, W) alike; what comes in from outside is black, not lung."""
    count = len(radiographs)

    def uniform(largest: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * largest

    angle = torch.deg2rad(uniform(ROTATION_DEG))
    zoom, stretch = 1 + uniform(SCALE), 1 + uniform(STRETCH)
    mirrored = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    wide, high = mirrored * zoom * stretch, zoom / stretch
    matrix = torch.stack(
        [
            torch.stack([wide * torch.cos(angle), -high * torch.sin(angle), uniform(2 * SHIFT)], dim=1),
            torch.stack([wide * torch.sin(angle), high * torch.cos(angle), uniform(2 * SHIFT)], dim=1),
        ],
        dim=1,
    )
    moved = [
        functional.grid_sample(
            picture, functional.affine_grid(matrix, list(picture.shape), align_corners=False), align_corners=False
        )
        for picture in (radiographs, lungs)
    ]
    gamma = torch.exp(uniform(GAMMA_EXPONENT))[:, None, None, None]
    return 255 * (moved[0] / 255).clamp(0, 1) ** gamma, moved[1].clamp(0, 1)
