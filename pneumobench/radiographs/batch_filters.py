"""Filters on batches with parameters of each image, as OpenCV and albumentations define them for one image."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

LEVELS: Final = 256
TILES: Final = 8
LARGEST_KERNEL_PX: Final = 7


def clahe(levels: Tensor, clip: Tensor) -> Tensor:
    """Return contrast-limited adaptive histogram equalisation with 8 x 8 tiles, as `cv2.createCLAHE` does it.

    Args:
        levels: images (B, 1, H, W) float in [0, 255].
        clip: clip limit of each (B,); one of 0 stays as it is.

    Source: Zuiderveld 1994, Graphics Gems IV; OpenCV's `clahe.cpp` for rounding and redistribution.
    """
    some = clip > 0
    if not some.any():
        return levels
    image = levels[some].round()
    height, width = image.shape[-2:]
    padded = image
    if height % TILES or width % TILES:
        padded = functional.pad(image, (0, TILES - width % TILES, 0, TILES - height % TILES), mode="reflect")
    tables = _tables(padded, clip[some].to(levels.device))
    tile = (padded.shape[-2] // TILES, padded.shape[-1] // TILES)
    (top, bottom, down), (left, right, across) = (
        _neighbours(side, one, levels.device) for side, one in zip((height, width), tile, strict=True)
    )
    gray, number = image[:, 0].long(), torch.arange(len(image), device=levels.device)[:, None, None]

    def at(tile_row: Tensor, tile_column: Tensor) -> Tensor:
        return tables[number, tile_row[:, None] * TILES + tile_column, gray]

    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    changed = levels.clone()
    changed[some] = (upper * (1 - down[:, None]) + lower * down[:, None]).round()[:, None]
    return changed


def _tables(padded: Tensor, clip: Tensor) -> Tensor:
    """Return the new gray level of each gray level in each tile (B, 64, 256)."""
    count, _, height, width = padded.shape
    tiles = padded.reshape(count, TILES, height // TILES, TILES, width // TILES).transpose(2, 3)
    pixels = tiles.reshape(count, TILES**2, -1).long()
    area = pixels.shape[2]
    histogram = torch.zeros(count, TILES**2, LEVELS, dtype=torch.long, device=padded.device)
    histogram.scatter_add_(2, pixels, torch.ones_like(pixels))
    limit = (clip * area / LEVELS).long().clamp(min=1)[:, None, None]
    excess = (histogram - limit).clamp(min=0).sum(2, keepdim=True)
    histogram = torch.minimum(histogram, limit) + excess // LEVELS
    rest = excess % LEVELS
    step, level = (LEVELS // rest.clamp(min=1)).clamp(min=1), torch.arange(LEVELS, device=padded.device)
    histogram += (level % step == 0) & (level // step < rest)
    return (histogram.cumsum(2) * (torch.tensor(LEVELS - 1.0) / area)).round().clamp(max=LEVELS - 1)


def _neighbours(side: int, tile: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each row or column the tiles before and behind, and the share of the one behind."""
    place = torch.arange(side, device=device) * (1 / tile) - 0.5  # a product, as OpenCV has it
    before = place.floor()
    return before.clamp(min=0).long(), (before + 1).clamp(max=TILES - 1).long(), place - before


def motion_kernels(side_px: Tensor, angle: Tensor, direction: Tensor, shift: Tensor) -> Tensor:
    """Return kernels of motion blur as albumentations' MotionBlur draws them, in the middle of (B, 7, 7), sum 1.

    Args:
        side_px: 3, 5 or 7 (B,).
        angle: of the motion in radians (B,).
        direction: -1 = backward only, 0 = both ways, 1 = forward only (B,).
        shift: of the kernel across and down, -1 to 1 (B, 2).
    """
    half = side_px // 2
    start = torch.where(direction > 0, -half * (1 - direction), -half.double())
    end = torch.where(direction < 0, half * (1 + direction), half.double())
    point = torch.arange(LARGEST_KERNEL_PX)
    along = start[:, None] + (end - start)[:, None] * point / (side_px[:, None] - 1)
    x, y = (
        (half[:, None] + one[:, None] * along + by[:, None] * half[:, None] / 2).round()
        for one, by in ((angle.cos(), shift[:, 0]), (angle.sin(), shift[:, 1]))
    )
    last, margin = side_px[:, None] - 1, (LARGEST_KERNEL_PX // 2 - half)[:, None]
    column, row = (torch.minimum(one.clamp(min=0), last).long() + margin for one in (x, y))
    kernels = torch.zeros(len(side_px), LARGEST_KERNEL_PX**2)
    kernels.scatter_reduce_(1, row * LARGEST_KERNEL_PX + column, (point < side_px[:, None]).float(), "amax")
    return (kernels / kernels.sum(1, keepdim=True)).reshape(-1, LARGEST_KERNEL_PX, LARGEST_KERNEL_PX)


def convolved(levels: Tensor, kernels: Tensor) -> Tensor:
    """Return images (B, 1, H, W) filtered by a kernel (B, 7, 7) each, mirrored at the edges."""
    margin = LARGEST_KERNEL_PX // 2
    padded = functional.pad(levels, (margin,) * 4, mode="reflect").transpose(0, 1)
    return functional.conv2d(padded, kernels.to(levels)[:, None], groups=len(levels)).transpose(0, 1)


def median(levels: Tensor, side_px: Tensor) -> Tensor:
    """Return images (B, 1, H, W) after a median filter with a side (B,) of 3 or 5 px each; 0 = none."""
    changed = levels.clone()
    for side in (3, 5):
        some = side_px == side
        if some.any():
            padded = functional.pad(levels[some], (side // 2,) * 4, mode="replicate")
            around = functional.unfold(padded, side)
            changed[some] = around.median(1).values.reshape(changed[some].shape)
    return changed


def blackened(levels: Tensor, holes: Tensor) -> Tensor:
    """Return images (B, 1, H, W) with holes (B, N, 4) set to 0, as (top, left, bottom, right) in pixels."""
    top, left, bottom, right = holes.to(levels.device)[:, :, :, None, None].unbind(2)
    row = torch.arange(levels.shape[-2], device=levels.device)[:, None]
    column = torch.arange(levels.shape[-1], device=levels.device)
    inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
    return levels.masked_fill(inside.any(1, keepdim=True), 0.0)
