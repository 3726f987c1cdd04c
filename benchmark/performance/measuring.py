"""What benchmarks share: sides that take turns, and what they were measured on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pneumobench.records.provenance import machine


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Seconds of several sides, turn by turn.

    >>> turns = Turns(seconds={"ours": [1.0, 3.0, 2.0], "other": [2.0, 3.0, 8.0]})
    >>> turns.median("ours"), turns.ratio("other", "ours"), turns.ratios("other", "ours")
    (2.0, 2.0, [2.0, 1.0, 4.0])
    """

    seconds: Mapping[str, list[float]]

    def median(self, side: str) -> float:
        """Median seconds of a side."""
        return float(np.median(self.seconds[side]))

    def ratios(self, side: str, to: str) -> list[float]:
        """Seconds of one side over those of another, in each turn: what slows both down is in neither."""
        return [one / other for one, other in zip(self.seconds[side], self.seconds[to], strict=True)]

    def ratio(self, side: str, to: str) -> float:
        """Median of `ratios`."""
        return float(np.median(self.ratios(side, to)))


def take_turns(sides: Mapping[str, Callable[[], Any]], repeats: int) -> Turns:
    """Measure sides in turn, and another one first every time; each is called once before, which is not measured.

    A side that returns a number of seconds says itself what it took, else the whole call counts.
    """
    for side in sides.values():  # no side pays for what only the first call costs
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repeats):
        first = number % len(sides)
        for name in (*list(sides)[first:], *list(sides)[:first]):
            wait_for_device()
            started = time.perf_counter()
            said = sides[name]()
            wait_for_device()
            seconds[name].append(said if isinstance(said, float) else time.perf_counter() - started)
    return Turns(seconds=seconds)


def wait_for_device() -> None:
    """Wait until the accelerator has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def best_device() -> torch.device:
    """Return CUDA where there is a device, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """Return what a device is called by who made it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(machine()["processor"])


def markdown_table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the lines of a table; a column that a row does not have is empty there.

    >>> markdown_table([{"network": "a", "s": 0.5}, {"network": "b", "why": "no room"}])[2:]
    ['| a | 0.5 |  |', '| b |  | no room |']
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return lines + ["| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |" for row in rows]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/").replace("\n", " ")
