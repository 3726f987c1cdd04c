"""A bundle of two networks that nobody trained: its answers mean nothing, and are made in moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from pneumobench.architectures.registry import build_architecture
from pneumobench.files import sha256_of_file
from pneumobench.lungs.familiarity import thumbnail
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.metrics.thresholds import MAIN_RULE
from pneumobench.prediction.bundle import (
    BUNDLE_JSON,
    REFERENCE,
    SUITE,
    SUMS,
    Bundle,
    BundledFold,
    BundledNetwork,
    Member,
    Reason,
    sums_text,
)
from pneumobench.prediction.reference import Reference, gray_reference
from pneumobench.radiographs.geometry import GEOMETRY, image_to_square
from pneumobench.suite.reader import load_suite

NAME = "test_resnet"
SIDE_PX = 64


def write_tiny_bundle(folder: Path, radiographs: list[Any], **changes: Any) -> Path:
    """Write it; usual images are like `radiographs`, (H, W) uint8 each."""
    squares = np.stack([image_to_square(one, SIDE_PX) for one in radiographs])
    mean, whitening = gray_reference(squares)
    files: dict[str, bytes] = {}
    folds = []
    for fold in range(2):
        torch.manual_seed(fold)
        network = build_architecture(NAME, in_channels=1, image_side_px=SIDE_PX)
        file = f"{NAME}-fold-{fold}.safetensors"
        files[file] = save({key: one.contiguous() for key, one in network.module.state_dict().items()})
        folds.append(
            BundledFold(
                fold=fold, members=(Member(architecture=NAME, file=file),), temperature=1.25 + fold,
                thresholds={MAIN_RULE: 0.4}, sure_from={"0.9": 0.55},
            )
        )  # fmt: skip
    about: dict[str, Any] = {
        "name": "tiny", "architecture": NAME, "task": "binary", "classes": ("normal", "pneumonia"),
        "image_side_px": SIDE_PX, "crop": "fixed", "geometry": GEOMETRY,
        "networks": {
            NAME: BundledNetwork(
                in_channels=1, outputs=1, head=(), fit="network", pixel_mean=0.5, pixel_std=0.25, own_statistics=False,
                plugin=None, weights_origin="random",
            )
        },
        "folds": tuple(folds), "rule": MAIN_RULE, "coverage": "0.9",
        "reasons": {
            "no_lungs": Reason(words="no pair of lungs found", limit=None),
            "unsure": Reason(words="unsure: entropy in bits", limit=0.5),
        },
        "results": {}, "origin": {"pneumobench": "tests"}, "segmenter": sha256_of_file(WEIGHTS_FOLDER / WEIGHTS_NAME),
    }  # fmt: skip
    files[BUNDLE_JSON] = Bundle(**(about | changes)).to_json().encode()
    files[REFERENCE] = Reference(
        layouts=np.stack([thumbnail(one) for one in squares]), gray_mean=mean, gray_whitening=whitening, features={}
    ).to_bytes()
    files[SUITE] = load_suite("smoke").to_yaml().encode()
    files[SUMS] = sums_text(files).encode()
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
