"""Seconds of every step of a training while it runs, without making it wait."""

from __future__ import annotations

import itertools
import time
from typing import Any, Final

import torch

MILLISECONDS: Final = 1000  # of a second, as CUDA counts


class StepClock:
    """Marks the ends of steps, and gives the seconds between them.

    On CUDA, where a step only gets in line, a mark is an event that the device itself times; nothing waits for it until
    the seconds are asked for.

    Args:
        device: where the training is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks: list[Any] = []  # seconds of this machine's clock, or events

    def mark(self) -> None:
        """Note the end of a step."""
        if self.device.type != "cuda":
            self._marks.append(time.perf_counter())
            return
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        self._marks.append(event)

    def between(self) -> list[float]:
        """Return the seconds between all marks and forget them."""
        marks, self._marks = self._marks, []
        if marks and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return [before.elapsed_time(after) / MILLISECONDS for before, after in itertools.pairwise(marks)]
        return [after - before for before, after in itertools.pairwise(marks)]
