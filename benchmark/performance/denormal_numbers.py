"""How much slower is a training step on a CPU when denormal numbers are not flushed to zero?

    uv run python benchmark/performance/denormal_numbers.py

Trains a vision transformer on noise, where many of Adam's second moments become denormal, with and without the
setting that `pneumobench.job` makes. Both sides run in this process, in turn; the ratio of their slowest steps and of
their total times is printed.
"""

from __future__ import annotations

import time

import torch
from torch.nn import functional

from pneumobench.architectures import build_architecture

STEPS, BATCH, SIDE_PX = 8, 32, 64


def step_seconds(*, flush: bool) -> list[float]:
    """Return the wall time of each of the first steps of a training."""
    torch.set_flush_denormal(flush)
    architecture = build_architecture("vit_base_patch16_224", in_channels=1, image_side_px=SIDE_PX, seed=0)
    optimizer = torch.optim.AdamW(architecture.module.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(0)
    films = torch.randint(0, 256, (BATCH, 1, SIDE_PX, SIDE_PX), generator=generator, dtype=torch.uint8)
    has_pneumonia = torch.arange(BATCH).remainder(2).float()
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logit = architecture.logits(films)
        torch.autograd.backward(functional.binary_cross_entropy_with_logits(logit.float(), has_pneumonia))
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Print both sides and their ratio."""
    torch.set_num_threads(1)  # the setting belongs to a thread, so both sides use this one alone
    flushed, kept = step_seconds(flush=True), step_seconds(flush=False)
    for name, seconds in (("flushed", flushed), ("kept", kept)):
        print(
            f"denormals {name:>7}: " + " ".join(f"{value:.2f}" for value in seconds) + f" s, total {sum(seconds):.1f} s"
        )
    print(f"kept / flushed: total {sum(kept) / sum(flushed):.2f}, slowest step {max(kept) / max(flushed):.2f}")


if __name__ == "__main__":
    main()
