"""Logits of images from saved weights, at the precision of the training."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from pneumobench.architectures import Architecture
from pneumobench.architectures.architecture import pneumonia_logits
from pneumobench.datasets.datamodule import Batch
from pneumobench.suite.forms import plain
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.devices import memory_format


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Logits of a part of a fold.

    Args:
        rows: rows of the index (N,).
        class_logits: outputs of the network (N, 1), the pneumonia logit, or (N, classes), float32.
        seconds: wall time of loading and scoring.
    """

    rows: NDArray[np.int64]
    class_logits: NDArray[np.float32]
    seconds: float


def score(architecture: Architecture, batches: DataLoader[Batch], spec: TrainingSpec) -> Scored:
    """Return the outputs for all images of a loader in eval mode, on one device."""
    rows: list[NDArray[np.int64]] = []

    def radiographs() -> Iterator[Tensor]:
        for some, _, row in batches:
            rows.append(row.cpu().numpy())
            yield some

    started = time.perf_counter()
    class_logits = score_images(architecture, radiographs(), spec)
    seconds = time.perf_counter() - started
    found = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    return Scored(rows=found, class_logits=class_logits, seconds=seconds)


def score_images(architecture: Architecture, batches: Iterable[Tensor], spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the outputs (N, 1) or (N, classes) for batches of images (B, 1, H, W) uint8, in eval mode."""
    spec = plain(spec)
    fabric = Fabric(
        accelerator=spec.accelerator, devices=1, precision=spec.precision,  # type: ignore[arg-type]
        plugins=LightningEnvironment(),
    )  # fmt: skip
    module = architecture.module.eval().to(fabric.device)
    module.to(memory_format=memory_format(spec))
    logits: list[NDArray[np.float32]] = []
    with torch.inference_mode(), fabric.autocast():
        for radiographs in batches:
            logits.append(architecture.class_logits(radiographs.to(fabric.device)).float().cpu().numpy())
    return np.concatenate(logits) if logits else np.empty((0, architecture.outputs), dtype=np.float32)


def logit_of(class_logits: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the pneumonia logits (N,) of outputs (N, 1) or (N, classes)."""
    if class_logits.shape[1] == 1:
        return class_logits[:, 0]
    return np.asarray(pneumonia_logits(torch.from_numpy(class_logits.astype(np.float64))).numpy())


def probability_of(logit: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the sigmoid of logits, in float64."""
    from scipy.special import expit

    return np.asarray(expit(logit.astype(np.float64)))


def class_probabilities(class_logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the softmax of outputs (N, classes), in float64."""
    from scipy.special import softmax

    return np.asarray(softmax(class_logits.astype(np.float64), axis=1))
