"""A task whose evidence is known: a textured patch at a random place of a noise film decides the label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pneumobench.architectures import Architecture

SIDE_PX = 64
PATCH_PX = 12
NOISE_GRAY = 20.0  # standard deviation of the noise, in gray levels
PATCH_GRAY = 60.0  # the patch is brighter than its film by so many gray levels
TEXTURE_GRAY = 30.0  # and has a chequered texture of so many up and down
TEXTURE_PX = 3
MEAN_GRAY = (70.0, 130.0)  # films differ in brightness by more than the patch adds, so that their mean tells nothing
BATCH = 16
MAX_STEPS = 240
CHECK_EVERY = 20  # steps
LEARNING_RATE = 2e-3
UNSEEN_FILMS = 64
LEARNT_ACCURACY = 0.97  # of unseen films: a network that does not see the patch cannot show it


@dataclass(frozen=True, kw_only=True)
class PlantedFilms:
    """Films and where their evidence is.

    Args:
        films: (N, 1, 64, 64) uint8.
        label: (N,) float32, 1 = a patch is there.
        patch: (N, 64, 64) bool, where it is.
    """

    films: Tensor
    label: Tensor
    patch: Tensor


def planted_films(count: int, *, seed: int) -> PlantedFilms:
    """Return films that alternate between without and with a patch; the same seed gives the same films."""
    generator = torch.Generator().manual_seed(seed)
    low, high = MEAN_GRAY
    gray = torch.empty(count, 1, 1).uniform_(low, high, generator=generator)
    gray = gray + NOISE_GRAY * torch.randn(count, SIDE_PX, SIDE_PX, generator=generator)
    corner = torch.randint(0, SIDE_PX - PATCH_PX + 1, (count, 2), generator=generator)
    label = (torch.arange(count) % 2).float()
    place = torch.arange(SIDE_PX)
    inside = (place >= corner[..., None]) & (place < corner[..., None] + PATCH_PX)  # (N, 2, side)
    patch = inside[:, 0, :, None] & inside[:, 1, None, :] & (label == 1)[:, None, None]
    chequer = ((place // TEXTURE_PX)[:, None] + (place // TEXTURE_PX)) % 2 * 2 - 1
    gray = gray + patch * (PATCH_GRAY + TEXTURE_GRAY * chequer)
    return PlantedFilms(films=gray.clamp(0, 255).round().to(torch.uint8)[:, None], label=label, patch=patch)


def learn_patch(architecture: Architecture, *, seed: int) -> float:
    """Train an architecture on planted films until it recognises unseen ones; return its accuracy on them.

    Plain AdamW on fresh films, a few hundred at the least and MAX_STEPS batches at the most.
    """
    module = architecture.module
    device = next(module.parameters()).device
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE)
    unseen = planted_films(UNSEEN_FILMS, seed=seed + 1)
    accuracy = 0.0
    torch.manual_seed(seed)  # dropout
    for step in range(1, MAX_STEPS + 1):
        batch = planted_films(BATCH, seed=seed + 1 + step)
        module.train()
        logit = architecture.logits(batch.films.to(device))
        loss = functional.binary_cross_entropy_with_logits(logit, batch.label.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if step % CHECK_EVERY == 0:
            module.eval()
            with torch.no_grad():
                found = architecture.logits(unseen.films.to(device)).cpu() > 0
            accuracy = float((found == (unseen.label == 1)).float().mean())
            if accuracy >= LEARNT_ACCURACY:
                break
    return accuracy
