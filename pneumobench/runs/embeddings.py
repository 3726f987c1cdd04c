"""Features of all images of a run from a network as it starts: computed once, and kept beside the decoded images."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_layer
from pneumobench.architectures.weights_file import sha256_of_weights
from pneumobench.files import canonical_json, sha256_of_text, written_whole
from pneumobench.records.locks import waited_for
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.frozen import Features, embedded

HASHED_TOGETHER: Final = 256  # images: bounds memory
SAME: Final = 1e-2  # of the largest feature: other threads round otherwise, other code computes something else


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Features of all images.

    Args:
        features: (N, F) float32, in the order of the index.
        seconds: wall time of computing them, when that was done.
    """

    features: Features
    seconds: float


def embedding(
    architecture: Architecture, name: str, radiographs: NDArray[np.uint8], spec: TrainingSpec, cache: Path
) -> Embedding:
    """Return the features of all images, computed now or kept from before.

    What is kept is found by the content of weights and images and by what else decides a feature, so other folds and
    other runs find it. The features of the first batch are computed all the same: where they differ, by other code of
    the network say, what is kept is not used.

    Args:
        architecture: the network as it starts.
        name: its name.
        radiographs: all images (N, side, side) uint8, as the network sees them.
        spec: batch size, precision and device.
        cache: where features are kept.

    Raises:
        NotAvailableError: the network has no frozen features, see `embedded`.
    """
    depends = {
        "architecture": name,
        "weights": sha256_of_weights(architecture.module, without=head_layer(architecture)),
        "images": _content_of(radiographs),
        "pixels": (architecture.pixel_mean, architecture.pixel_std, architecture.in_channels)
        + (("own",) if architecture.own_statistics else ()),
        "precision": spec.precision,
    }
    folder = cache / "features" / sha256_of_text(canonical_json(depends))[:32]
    path = folder / "features.safetensors"
    together = 2 * spec.batch_size  # as images are scored
    with waited_for(folder):  # another fold of the same network is at it
        first = embedded(architecture, _batches(radiographs[:together], together), spec)
        kept = _read(path, len(radiographs))
        if kept is not None and _alike(kept.features[: len(first)], first):
            return kept
        started = time.perf_counter()
        features = embedded(architecture, _batches(radiographs, together), spec)
        made = Embedding(features=features, seconds=round(time.perf_counter() - started, 3))
        said = {"seconds": repr(made.seconds), "sha256": hashlib.sha256(features.tobytes()).hexdigest()}
        with written_whole(path) as temporary:
            save_file({"features": features}, temporary, metadata=said)
        return made


def _batches(radiographs: NDArray[np.uint8], together: int) -> Iterator[Tensor]:
    for start in range(0, len(radiographs), together):
        yield torch.from_numpy(np.array(radiographs[start : start + together]))[:, None]


def _content_of(radiographs: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(repr(radiographs.shape).encode())
    for start in range(0, len(radiographs), HASHED_TOGETHER):
        digest.update(np.ascontiguousarray(radiographs[start : start + HASHED_TOGETHER]).tobytes())
    return digest.hexdigest()


def _read(path: Path, images: int) -> Embedding | None:
    """Return what was kept; None where there is nothing, or not what was written."""
    try:
        with safe_open(path, framework="numpy") as file:
            said, features = file.metadata(), file.get_tensor("features")
        whole = hashlib.sha256(features.tobytes()).hexdigest() == said["sha256"]
        seconds = float(said["seconds"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return Embedding(features=features, seconds=seconds) if whole and len(features) == images else None


def _alike(kept: Features, now: Features) -> bool:
    if kept.shape != now.shape:
        return False
    return bool(np.allclose(kept, now, rtol=0, atol=SAME * float(np.abs(now).max(initial=0)), equal_nan=True))
