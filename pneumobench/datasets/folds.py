"""Stratified, patient-grouped folds with a validation part each, frozen as hashed JSON, and the guard against leaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.fold_advice import CLASS_NAMES
from pneumobench.datasets.index import Index, content_of
from pneumobench.datasets.table_files import table_bytes
from pneumobench.errors import DataError, LeakError
from pneumobench.files import canonical_json, sha256_of_text, write_json

NEVER = -1  # the fold of an image that is never tested
Part = Literal["train", "tune", "test", "official_test"]
# the field's words for the parts; `tune` is the name of the validation part in suites, tables and files
PART_WORDS: dict[Part, str] = {
    "train": "training",
    "tune": "validation",
    "test": "test",
    "official_test": "official test",
}


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Which image is tested in which fold, and which are kept for tuning in each.

    Args:
        count: number of folds.
        seed: seed of the split.
        index_hash: hash of the index that was split.
        tune_fraction: share of the training part kept for tuning.
        test_fold: fold in which an image is tested, by image_id; NEVER for an image that is only trained on.
        tune: image_ids of the validation part, one sorted tuple a fold; the rest of the other folds is trained on.
        official_test: image_ids of the separate test set, trained on in no fold.
        protocol: how the images were split, see FoldSpec.
        left_out: image_ids that a fold neither trains on nor tests, one sorted tuple a fold; empty = none anywhere.
    """

    count: int
    seed: int
    index_hash: str
    tune_fraction: float
    test_fold: dict[str, int]
    tune: tuple[tuple[str, ...], ...]
    official_test: tuple[str, ...]
    protocol: str = "patient"
    left_out: tuple[tuple[str, ...], ...] = ()

    def tested(self) -> list[str]:
        """Return the image_ids that are tested in some fold."""
        return [image for image, fold in self.test_fold.items() if fold != NEVER]

    def trained_on(self) -> list[str]:
        """Return the image_ids that some fold has in its training or validation part."""
        without = [set(images) for images in self.left_out or ((),) * self.count]
        return [
            image
            for image, test in self.test_fold.items()
            if any(fold != test and image not in images for fold, images in enumerate(without))
        ]

    def positions(self, index: Index, fold: int) -> dict[Part, NDArray[np.int64]]:
        """Return the rows of the index in each part of a fold."""
        image_id = index.table["image_id"]
        tested = image_id.map(self.test_fold)
        tune = image_id.isin(set(self.tune[fold])).to_numpy()
        official = image_id.isin(set(self.official_test)).to_numpy()
        test = (tested == fold).to_numpy()
        inside = tested.notna().to_numpy()
        if self.left_out:
            inside = inside & ~image_id.isin(set(self.left_out[fold])).to_numpy()
        chosen = {"train": inside & ~test & ~tune, "tune": tune, "test": test}
        return {
            "train": np.flatnonzero(chosen["train"]),
            "tune": np.flatnonzero(chosen["tune"]),
            "test": np.flatnonzero(chosen["test"]),
            "official_test": np.flatnonzero(official),
        }

    def _plain(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "seed": self.seed,
            "index_hash": self.index_hash,
            "stratify": ["label", "subtype"],
            "tune_fraction": self.tune_fraction,
            "test_fold": self.test_fold,
            "tune": [list(part) for part in self.tune],
            "official_test": list(self.official_test),
            # left out where it is what it always was, so that older splits keep their hash
            **({} if self.protocol == "patient" else {"protocol": self.protocol}),
            **({"left_out": [list(part) for part in self.left_out]} if self.left_out else {}),
        }

    def hash(self) -> str:
        """Return the SHA-256 of the split."""
        return sha256_of_text(canonical_json(self._plain()))

    def write(self, path: Path) -> None:
        """Write the split with its hash, whole or not at all."""
        write_json(path, {**self._plain(), "hash": self.hash()})


def read_folds(path: Path) -> Folds:
    """Read a frozen split.

    Raises:
        DataError: the file was changed after it was frozen.
        RecordError: it lies compressed, and not whole.
    """
    try:
        plain = json.loads(table_bytes(path))
        folds = Folds(
            count=plain["count"],
            seed=plain["seed"],
            index_hash=plain["index_hash"],
            tune_fraction=plain["tune_fraction"],
            test_fold=plain["test_fold"],
            tune=tuple(tuple(part) for part in plain["tune"]),
            official_test=tuple(plain["official_test"]),
            protocol=plain.get("protocol", "patient"),
            left_out=tuple(tuple(part) for part in plain.get("left_out", ())),
        )
        stated = plain["hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a split that pneumobench wrote ({error!r}); delete it to split anew.") from error
    if folds.hash() != stated:
        raise DataError(f"{path}: the split was changed after it was frozen (hash differs); delete it to split anew.")
    return folds


def check_folds(index: Index, folds: Folds) -> None:
    """Check that no patient and no image content is on two sides of a fold, and that each part can be scored.

    Raises:
        LeakError: naming the patient or the two identical images and the fold.
        DataError: the split is of other images, or a part has one class only.
    """
    if folds.index_hash != index.hash():
        raise DataError(
            "folds.json splits other images than index.csv lists (hashes differ): choose another --output, or "
            "delete the run folder."
        )
    table = index.table
    image_id = table["image_id"]
    owners = {"patient": table["patient"], "image content": content_of(table), "patient group": table["group"]}
    numbers = {what: pd.factorize(values)[0] for what, values in owners.items()}  # (N,), the same in every fold
    for fold in range(folds.count):
        part = np.full(len(table), "", dtype="<U13")
        for name, rows in folds.positions(index, fold).items():
            if (twice := rows[part[rows] != ""]).size:
                raise LeakError(
                    f"image {image_id.iloc[twice[0]]} is in {part[twice[0]]} and {name} of fold {fold} (folds.json): "
                    "delete folds.json and start again to split by patient."
                )
            part[rows] = name
        for what, number in numbers.items():
            # the official folders share patient numbers, and nobody published whether they are the same children
            numbers_shared = folds.protocol == "official" and what != "image content"
            compared = ("train", "tune") if numbers_shared else ("train", "tune", "test")
            inside = [part == name for name in (() if folds.protocol == "image_random" else compared)]
            sides = sum(np.bincount(number[rows], minlength=len(table)) > 0 for rows in inside)
            if (crossing := np.flatnonzero(np.greater(sides, 1))).size:
                rows = np.flatnonzero(np.isin(number, crossing) & np.any(inside, axis=0))
                value = min(owners[what].iloc[rows])
                rows = rows[owners[what].iloc[rows] == value]
                raise LeakError(
                    f"{what} {value} (e.g. {image_id.iloc[rows[0]]}) is in {' and '.join(np.unique(part[rows]))} of "
                    f"fold {fold} (folds.json): delete folds.json and start again to split by patient."
                )
    if (found := one_class_part(index, folds)) is not None:
        fold, one_class, images, missing = found
        raise DataError(
            f"fold {fold}: the {PART_WORDS[one_class]} part has {images} images and none labelled {missing} "
            "(folds.json): delete folds.json to split anew."
        )


def one_class_part(index: Index, folds: Folds) -> tuple[int, Part, int, str] | None:
    """Return fold, part, number of images and missing class of the first part that has not both classes."""
    parts: tuple[Part, ...] = ("train", "tune", "test")
    for fold in range(folds.count):
        positions = folds.positions(index, fold)
        for part in parts:
            labels = index.table["label"].iloc[positions[part]]
            for label, name in enumerate(CLASS_NAMES):
                if not (labels == label).any():
                    return fold, part, len(labels), name
    return None


def fold_summary(index: Index, folds: Folds) -> list[dict[str, Any]]:
    """Return images, patient groups and pneumonia fraction of each part of each fold."""
    rows: list[dict[str, Any]] = []
    for fold in range(folds.count):
        for part, positions in folds.positions(index, fold).items():
            table = index.table.iloc[positions]
            if len(table):
                rows.append(
                    {
                        "fold": fold,
                        "part": part,
                        "images": len(table),
                        "groups": int(table["group"].nunique()),
                        "pneumonia_fraction": round(float(table["label"].mean()), 4),
                    }
                )
    return rows
