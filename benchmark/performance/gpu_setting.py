"""What the items of gpu.py are given: settings at full or at toy size, the time left, a place for figures."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pneumobench.datasets.datamodule import FoldImages
from pneumobench.files import write_text
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import Bench, open_data
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

PHANTOMS = {"patients": 600, "official_test_patients": 60, "side_px": 256}  # where no radiographs are named


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured and where.

    Args:
        work: folder of runs and caches.
        to: folder of the figures.
        data: folder of the images of Kermany et al.; empty = phantoms.
        toy: everything tiny, to see that it runs.
        side_by_side: jobs at the same time.
        architectures: names.
        further: names that are tried where time is left.
        batches: images a step.
        steps: training steps a turn.
        repeats: turns of each side.
        explained: images that heat maps are made of at a time.
        most_epochs: of the comparison, however fast it is.
        seeds: with which the first network is tried where time is left.
    """

    work: Path
    to: Path
    data: str
    toy: bool
    side_by_side: int
    architectures: tuple[str, ...]
    further: tuple[str, ...]
    batches: tuple[int, ...]
    steps: int
    repeats: int
    explained: int
    most_epochs: int
    seeds: tuple[int, ...]

    def suite(self, name: str, architectures: tuple[str, ...], epochs: int, *, seed: int | None = None) -> Suite:
        """Return the shipped comparison (a toy: the smoke suite) of these networks, without baselines and overlays."""
        explanation = {"checked_images_per_fold": 0, "overlays_per_fold": 0}
        changes: dict[str, Any] = {"controls": {"names": []}, "explanation": explanation}
        training: dict[str, Any] = {"epochs": epochs, "loader_workers": 0}  # images lie on the device
        if torch.cuda.is_available():  # what else there is is measured beside it
            training |= {"memory_format": "channels_last"}
        if self.toy:
            training |= {"accelerator": "auto"}
        elif self.data:
            masks = "lung_masks" if (Path(self.data) / "lung_masks").is_dir() else ""
            changes["data"] = {"root": self.data, "lung_masks": masks}
        else:
            changes["data"] = {"source": "phantoms", "phantoms": PHANTOMS}
        if seed is not None:
            changes["seed"] = seed
        base = "smoke" if self.toy else "kermany"
        return load_suite(base, name=name, architectures=list(architectures), training=training, **changes)

    def bench(self) -> Bench:
        """Return the opened data of the comparison."""
        suite = self.suite("opened", self.architectures, 1)
        return open_data(suite, RunFolder(self.work / "opened"), cache=self.work / ".cache", console=silent())

    def part(self, bench: Bench, images: int) -> FoldImages:
        """Return the first fold with at most so many training images, and an eighth of them for validation."""
        fold = bench.fold_images(0)
        rows, tune = fold.positions["train"], fold.positions["tune"]
        if len(rows) < images:  # a small set is gone through more than once
            rows = np.resize(rows, images)
        parts = {**fold.positions, "train": rows[:images], "tune": tune[: max(2, images // 8)]}
        return dataclasses.replace(fold, positions=parts)


@dataclass(frozen=True)
class Clock:
    """When an item has to be over, in seconds of the system's steady clock."""

    deadline: float

    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()


class Figures:
    """Tables of one item, written to a file with every row: what was measured survives whatever ends the item."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.reason = ""

    def add(self, table: str, **row: Any) -> None:
        """Add a row to a table."""
        self.tables.setdefault(table, []).append({name.replace("_", " "): value for name, value in row.items()})
        self._write()

    def fail(self, reason: str) -> None:
        """Say why the item ended before it was done."""
        self.reason = reason
        self._write()

    def _write(self) -> None:
        write_text(self.path, json.dumps({"reason": self.reason, "tables": self.tables}))


def silent() -> Console:
    """Return a console that nobody sees."""
    return Console(file=io.StringIO())
