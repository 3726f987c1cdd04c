"""Tiny data sets: a few noisy images on disk, and index tables of images that nobody ever opens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.datasets.patients import group_images


def write_image(path: Path, *, seed: int = 0, height_px: int = 12, width_px: int = 16) -> Path:
    """Write noise as a gray image; the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    radiograph = np.random.default_rng(seed).integers(0, 256, (height_px, width_px), dtype=np.uint8)
    assert cv2.imwrite(str(path), radiograph)
    return path


def write_kermany(base: Path, *, test: bool = True) -> Path:
    """Write four patients in the Kermany layout below `base`: eight images of train and two of test."""
    radiographs = [
        "train/NORMAL/IM-0001-0001.jpeg",
        "train/NORMAL/IM-0001-0002.jpeg",
        "train/NORMAL/NORMAL2-IM-0002-0001.jpeg",
        "train/NORMAL/NORMAL2-IM-0002-0001-0002.jpeg",
        "train/PNEUMONIA/person1_bacteria_1.jpeg",
        "train/PNEUMONIA/person1_virus_6.jpeg",
        "train/PNEUMONIA/person447_virus_921.jpeg",
        "train/PNEUMONIA/person447_virus_921_1.jpeg",
    ]
    if test:
        radiographs += ["test/NORMAL/IM-0009-0001.jpeg", "test/PNEUMONIA/person9_bacteria_40.jpeg"]
    for seed, radiograph in enumerate(radiographs):
        write_image(base / radiograph, seed=seed)
    return base


def index_of(
    rows: list[tuple[str, str, int]],
    *,
    split: str = "train",
    subtype: list[str] | None = None,
    root: Path | None = None,
) -> Index:
    """Return an index of rows (patient, content hash, label), in this order."""
    patient, content, label = (list(column) for column in zip(*rows, strict=True))
    table = pd.DataFrame(
        {
            "image_id": [f"film-{row:04d}.png" for row in range(len(rows))],
            "split": split,
            "label": label,
            "subtype": subtype or ["pneumonia" if value else "normal" for value in label],
            "patient": patient,
            "group": group_images(patient, content),
            "sha256": content,
            "width": 16,
            "height": 12,
            "lung_mask": "",
        }
    )
    return Index(root=root or Path("images"), table=table[INDEX_COLUMNS])


def synthetic_index(images: int = 400, *, seed: int = 0, official_test: int = 0) -> Index:
    """Return an index like the Kermany one: 73 % pneumonia, two subtypes, one to five images a patient.

    A few patients share an identical image with another patient. The last `official_test` images are the separate
    test set.
    """
    generator = np.random.default_rng(seed)
    rows: list[tuple[str, str, int]] = []
    subtype: list[str] = []
    patients = 0
    while len(rows) < images:
        label = int(generator.random() < 0.73)
        kind = ("bacteria" if generator.random() < 0.65 else "virus") if label else "normal"
        for _ in range(min(int(generator.integers(1, 6)), images - len(rows))):
            rows.append((f"p{patients}", f"content-{len(rows)}", label))
            subtype.append(kind)
        patients += 1
    for row in range(40, images - 20, 60):
        if rows[row][2] == rows[row + 11][2]:
            rows[row] = (rows[row][0], rows[row + 11][1], rows[row][2])
    index = index_of(rows, subtype=subtype)
    table = index.table.copy()
    table.loc[table.index >= images - official_test, "split"] = "test"
    return Index(root=index.root, table=table)
