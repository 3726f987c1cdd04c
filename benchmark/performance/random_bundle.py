"""A bundle of untrained networks in memory: what is measured of speed and export needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from safetensors.torch import save

from pneumobench.architectures import build_architecture
from pneumobench.files import sha256_of_file
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.prediction.bundle import REFERENCE, Bundle, BundledFold, BundledNetwork, Member, OpenedBundle
from pneumobench.prediction.reference import Reference
from pneumobench.radiographs.geometry import GEOMETRY

CLASSES: Final = {1: ("normal", "pneumonia"), 3: ("normal", "bacterial", "viral")}


def random_bundle(
    name: str,
    *,
    side_px: int = 64,
    folds: int = 1,
    outputs: Literal[1, 3] = 1,
    own_statistics: bool = False,
    channels: Literal[1, 3] = 1,
) -> OpenedBundle:
    """Return a bundle of networks with random weights, one a fold, each fold another.

    Args:
        name: architecture.
        side_px: side of the square that they see.
        folds: how many.
        outputs: 1, or 3 for three classes.
        channels: of what they read.
        own_statistics: normalise each image by its own mean and deviation.
    """
    files: dict[str, bytes] = {}
    some = []
    for fold in range(folds):
        torch.manual_seed(fold)
        built = build_architecture(name, in_channels=channels, image_side_px=side_px, outputs=outputs)
        file = f"{name}-fold-{fold}.safetensors"
        files[file] = save({key: one.clone().contiguous() for key, one in built.module.state_dict().items()})
        some.append(
            BundledFold(
                fold=fold, members=(Member(architecture=name, file=file),), temperature=1.5 + fold,
                thresholds={"youden": 0.4}, sure_from={"0.9": 0.8},
            )
        )  # fmt: skip
    network = BundledNetwork(
        in_channels=channels, outputs=outputs, head=(), fit="network", pixel_mean=None, pixel_std=None,
        own_statistics=own_statistics, plugin=None, weights_origin="random",
    )  # fmt: skip
    bundle = Bundle(
        name=f"random-{name}", architecture=name, task="binary" if outputs == 1 else "three_class",
        classes=CLASSES[outputs], image_side_px=side_px, crop="none", geometry=GEOMETRY, networks={name: network},
        folds=tuple(some), rule="youden", coverage="0.9", reasons={}, results={}, origin={"pneumobench": "0"},
        segmenter=sha256_of_file(WEIGHTS_FOLDER / WEIGHTS_NAME),
    )  # fmt: skip
    files[REFERENCE] = Reference(
        layouts=np.zeros((1, 256), dtype=np.float32), gray_mean=np.zeros(8), gray_whitening=np.eye(8), features={}
    ).to_bytes()
    return OpenedBundle(bundle=bundle, sha256="0" * 64, read=files.__getitem__, path=Path(name), names=tuple(files))
