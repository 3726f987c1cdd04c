"""A bundle of two networks with random weights, and films for it: made in a second, where a run takes many."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from pneumobench.architectures.registry import build_architecture
from pneumobench.files import sha256_of_file
from pneumobench.lungs.familiarity import thumbnail
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.metrics.thresholds import THRESHOLD_RULES
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.prediction.bundle import (
    BUNDLE_JSON,
    CARD,
    REFERENCE,
    SUITE,
    Bundle,
    BundledFold,
    BundledNetwork,
    Member,
    OpenedBundle,
    Reason,
)
from pneumobench.prediction.bundle_files import SUMS, sums_text
from pneumobench.prediction.predictor import Predictor
from pneumobench.prediction.reference import Reference, gray_reference, unit
from pneumobench.radiographs.geometry import GEOMETRY

SIDE_PX = 64
NETWORK = BundledNetwork(
    in_channels=1, outputs=1, head=(), fit="network", pixel_mean=0.5, pixel_std=0.25, own_statistics=False, plugin=None,
    weights_origin="none",
)  # fmt: skip


def write_films(folder: Path, count: int = 6) -> list[Path]:
    """Draw phantoms, an image each."""
    make_phantoms(folder, patients=count, official_test_patients=2, images_per_patient=(1, 1), side_px=128, seed=4)
    return sorted((folder / "images").rglob("*.png"))[:count]


def write_bundle(folder: Path, films: list[Path], *, name: str = "test_resnet", **changes: Any) -> Path:
    """Write a bundle of two folds of a network with random weights; the films are its training images.

    `changes` are fields of the bundle.
    """
    weights = {f"{name}-fold-{fold}.safetensors": _weights(name, fold) for fold in (0, 1)}
    radiographs = np.stack([cv2.resize(_gray(film), (SIDE_PX, SIDE_PX)) for film in films]).astype(np.uint8)
    mean, whitening = gray_reference(radiographs)
    reference = Reference(
        layouts=np.stack([thumbnail(one) for one in radiographs]), gray_mean=mean, gray_whitening=whitening, features={}
    )
    bundle = Bundle(
        name=f"phantoms-{name}",
        architecture=name,
        task="binary",
        classes=("normal", "pneumonia"),
        image_side_px=SIDE_PX,
        crop="none",
        geometry=GEOMETRY,
        networks={name: NETWORK},
        folds=tuple(
            BundledFold(
                fold=fold, members=(Member(architecture=name, file=file),), temperature=1.5,
                thresholds={rule: 0.3 + 0.05 * place for place, rule in enumerate(THRESHOLD_RULES)},
                sure_from={"0.9": 0.8}, feature_limits={name: 0.4},
            )
            for fold, file in enumerate(weights)
        ),
        rule="youden",
        coverage="0.9",
        reasons={
            "no_lungs": Reason(words="no pair of lungs found", limit=None),
            "gray_levels": Reason(words="gray levels unlike those of the training images", limit=1e-6),
            "features": Reason(words="seen by the networks as unlike the training images", limit=1e6),
            "unsure": Reason(words="unsure: entropy in bits", limit=1.1),
        },
        results={"source": "phantoms", "images": 6, "out_of_fold": {"auc": 0.5, "auc_interval": [0.4, 0.6]}},
        origin={"pneumobench": "0.1.0"},
        segmenter=sha256_of_file(WEIGHTS_FOLDER / WEIGHTS_NAME),
    )  # fmt: skip
    bundle = dataclasses.replace(bundle, **changes)
    files = {
        **weights,
        BUNDLE_JSON: bundle.to_json().encode(),
        REFERENCE: reference.to_bytes(),
        SUITE: b"name: phantoms\n",
        CARD: b"# phantoms\n",
    }
    drafted = Predictor(OpenedBundle(bundle=bundle, sha256="", read=files.__getitem__, path=folder))
    features = drafted.say(radiographs).features
    kept = {file: unit(one).astype(np.float16) for file, one in features.items()}
    files[REFERENCE] = dataclasses.replace(reference, features=kept).to_bytes()
    files[SUMS] = sums_text(files).encode()
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


def _gray(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _weights(name: str, fold: int) -> bytes:
    torch.manual_seed(fold)
    module: nn.Module = build_architecture(name, in_channels=1, image_side_px=SIDE_PX, outputs=1).module
    return save({key: one.contiguous() for key, one in module.state_dict().items()})
