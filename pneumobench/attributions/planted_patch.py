"""A task whose evidence is known: a textured patch at a random place of a noise image, faint or strong, decides.

The score to be learnt grows with the strength of the patch. With a bare yes or no, networks saturate: at one that is
sure already the gradient is noise, and the maps would tell of saturation, not of how they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pneumobench.architectures import Architecture

SIDE_PX = 64
PATCH_PX = 12
NOISE_GRAY = 12.0  # standard deviation of the noise, in gray levels
PATCH_GRAY = 80.0  # at full strength the patch is brighter than its image by so many gray levels
TEXTURE_GRAY = 40.0  # and has a chequered texture of so many up and down
TEXTURE_PX = 3
STRENGTH = (0.5, 1.0)  # of patches; without a patch it is 0
SCORES = (-2.0, 2.0)  # to be learnt, for strength 0 and 1
MEAN_GRAY = (70.0, 130.0)  # images differ in brightness by more than the patch adds, so that their mean tells nothing
BATCH = 16
MIN_STEPS = 60  # the first right answers come before the evidence is narrowed down
MAX_STEPS = 600
CHECK_EVERY = 20  # steps
LEARNING_RATE = 2e-3
UNSEEN_IMAGES = 64
ENOUGH_CORRELATION = 0.97  # ends the training
LEARNT_CORRELATION = 0.9  # of score and strength on unseen images: what does not see the patch cannot show it


@dataclass(frozen=True, kw_only=True)
class PlantedImages:
    """Images and where their evidence is.

    Args:
        radiographs: (N, 1, 64, 64) uint8.
        strength: (N,) float32, of the patch; 0 = none.
        patch: (N, 64, 64) bool, where it is.
    """

    radiographs: Tensor
    strength: Tensor
    patch: Tensor


def planted_images(count: int, *, seed: int) -> PlantedImages:
    """Return images that alternate between without and with a patch; the same seed gives the same images."""
    generator = torch.Generator().manual_seed(seed)
    low, high = MEAN_GRAY
    gray = torch.empty(count, 1, 1).uniform_(low, high, generator=generator)
    gray = gray + NOISE_GRAY * torch.randn(count, SIDE_PX, SIDE_PX, generator=generator)
    corner = torch.randint(0, SIDE_PX - PATCH_PX + 1, (count, 2), generator=generator)
    strength = torch.empty(count).uniform_(*STRENGTH, generator=generator) * (torch.arange(count) % 2)
    place = torch.arange(SIDE_PX)
    inside = (place >= corner[..., None]) & (place < corner[..., None] + PATCH_PX)  # (N, 2, side)
    patch = inside[:, 0, :, None] & inside[:, 1, None, :] & (strength > 0)[:, None, None]
    chequer = ((place // TEXTURE_PX)[:, None] + (place // TEXTURE_PX)) % 2 * 2 - 1
    gray = gray + patch * strength[:, None, None] * (PATCH_GRAY + TEXTURE_GRAY * chequer)
    return PlantedImages(
        radiographs=gray.clamp(0, 255).round().to(torch.uint8)[:, None], strength=strength, patch=patch
    )


def learn_patch(architecture: Architecture, *, seed: int) -> float:
    """Train an architecture on planted images until its scores of unseen ones follow their strength.

    Plain AdamW on fresh images, MIN_STEPS to MAX_STEPS batches. Returns the correlation of score and
    strength on unseen images.
    """
    module = architecture.module
    device = next(module.parameters()).device
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE)
    unseen = planted_images(UNSEEN_IMAGES, seed=seed + 1)
    correlation, (low, high) = 0.0, SCORES
    torch.manual_seed(seed)  # dropout
    for step in range(1, MAX_STEPS + 1):
        batch = planted_images(BATCH, seed=seed + 1 + step)
        module.train()
        logit = architecture.logits(batch.radiographs.to(device))
        loss = functional.mse_loss(logit, (low + (high - low) * batch.strength).to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if step >= MIN_STEPS and step % CHECK_EVERY == 0:
            # running statistics of batch norms lag behind weights that move this fast
            fresh = [
                architecture.normalise(planted_images(BATCH, seed=seed + 2_000 + i).radiographs.to(device))
                for i in range(4)
            ]
            torch.optim.swa_utils.update_bn(fresh, module)
            module.eval()
            with torch.no_grad():
                score = architecture.logits(unseen.radiographs.to(device)).cpu()
            correlation = float(torch.corrcoef(torch.stack([score, unseen.strength]))[0, 1])
            if correlation >= ENOUGH_CORRELATION:
                break
    return correlation
