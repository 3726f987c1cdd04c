"""Logits of films from saved weights, at the precision of the training."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from pneumobench.architectures import Architecture
from pneumobench.radiographs.datamodule import Batch
from pneumobench.training.fit import memory_format
from pneumobench.training_spec import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Logits of a part of a fold.

    Args:
        rows: rows of the index (N,).
        logit: pneumonia logits (N,) float32.
        seconds: wall time of loading and scoring.
    """

    rows: NDArray[np.int64]
    logit: NDArray[np.float32]
    seconds: float


def score(architecture: Architecture, batches: DataLoader[Batch], spec: TrainingSpec) -> Scored:
    """Return the logits of all films of a loader in eval mode, on one device.

    A probability is the sigmoid of the logit in float64 (`probability_of`).
    """
    rows: list[NDArray[np.int64]] = []

    def films() -> Iterator[Tensor]:
        for some, _, row in batches:
            rows.append(row.numpy())
            yield some

    started = time.perf_counter()
    logit = score_films(architecture, films(), spec)
    seconds = time.perf_counter() - started
    return Scored(rows=np.concatenate(rows) if rows else np.empty(0, dtype=np.int64), logit=logit, seconds=seconds)


def score_films(architecture: Architecture, batches: Iterable[Tensor], spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the logits of batches of films (B, 1, H, W) uint8, in eval mode, on one device."""
    fabric = Fabric(accelerator=spec.accelerator, devices=1, precision=spec.precision)  # type: ignore[arg-type]
    module = architecture.module.eval().to(fabric.device)
    module.to(memory_format=memory_format(spec, fabric.device.type))
    logits: list[NDArray[np.float32]] = []
    with torch.inference_mode(), fabric.autocast():
        for films in batches:
            logits.append(architecture.logits(films.to(fabric.device)).float().cpu().numpy())
    return np.concatenate(logits) if logits else np.empty(0, dtype=np.float32)


def probability_of(logit: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the sigmoid of logits, in float64."""
    from scipy.special import expit

    return np.asarray(expit(logit.astype(np.float64)))
