"""Random numbers of an image that depend on its counter alone: whole batches at once, the same on every device."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

# multipliers and increments of Philox4x32 (Salmon et al. 2011, doi 10.1145/2063384.2063405)
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_INCREMENTS: Final = (0x9E3779B9, 0xBB67AE85)
_ROUNDS: Final = 10
_LOW: Final = 0xFFFFFFFF


def philox(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Return Philox4x32-10 of counters.

    Args:
        counter: (..., 4) int64 in [0, 2^32).
        key: two numbers in [0, 2^32).

    Returns:
        (..., 4) int64 in [0, 2^32).

    Source: Salmon et al. 2011, doi 10.1145/2063384.2063405.
    """
    a, b, c, d = counter.unbind(-1)
    first, second = key
    for _ in range(_ROUNDS):
        high_a, low_a = _product(a, _MULTIPLIERS[0])
        high_c, low_c = _product(c, _MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ first, low_c, high_a ^ d ^ second, low_a
        first, second = (first + _INCREMENTS[0]) & _LOW, (second + _INCREMENTS[1]) & _LOW
    return torch.stack([a, b, c, d], dim=-1)


def _product(numbers: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Return the high and the low 32 bits of products of 32-bit numbers, without leaving 63 bits."""
    low, high = (numbers & 0xFFFF) * factor, (numbers >> 16) * factor
    middle = (low >> 16) + high
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


def uniform(rows: Tensor, count: int, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """Return numbers in [0, 1) for images, which depend on (seed, epoch, row, stream) alone.

    Args:
        rows: rows of the images (B,) int64.
        count: numbers an image.
        seed: of the run, not negative.
        epoch: from 0.
        stream: what the numbers are for; other streams are independent.

    Returns:
        (B, count) float64 on the device of the rows.
    """
    blocks = torch.arange(-(-count // 4), device=rows.device)
    counter = torch.stack(
        [
            blocks.expand(len(rows), -1),
            (rows & _LOW)[:, None].expand(-1, len(blocks)),
            torch.full((len(rows), len(blocks)), epoch & _LOW, device=rows.device),
            torch.full((len(rows), len(blocks)), stream & _LOW, device=rows.device),
        ],
        dim=-1,
    )
    bits = philox(counter, (seed & _LOW, (seed >> 32) & _LOW))
    return bits.reshape(len(rows), -1)[:, :count].double() / 2**32


def normal(rows: Tensor, count: int, *, seed: int, epoch: int, stream: int) -> Tensor:
    """Return normally distributed numbers (B, count) float32 of mean 0 and variance 1; the arguments are `uniform`'s.

    Source: Box and Muller 1958, doi 10.1214/aoms/1177706645.
    """
    half = -(-count // 2)
    pairs = uniform(rows, 2 * half, seed=seed, epoch=epoch, stream=stream)
    radius = torch.sqrt(-2 * torch.log1p(-pairs[:, :half]))
    angle = 2 * math.pi * pairs[:, half:]
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :count].float()
