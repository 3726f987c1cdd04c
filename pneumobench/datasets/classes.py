"""The three classes normal, bacterial and viral, from the subtypes of an index."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.folds import PART_WORDS, Folds, Part
from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.suite.spec import CLASSES

CLASS_OF_SUBTYPE: Final = {"normal": 0, "bacteria": 1, "bacterial": 1, "virus": 2, "viral": 2}
SHOWN_IMAGES: Final = 3


def check_class_folds(index: Index, folds: Folds) -> None:
    """Check that a network can learn and be tuned on all three classes in every fold.

    Raises:
        DataError: naming the fold, the part and the class that is not there.
    """
    classes = three_classes(index.table)
    parts: tuple[Part, ...] = ("train", "tune")
    for fold in range(folds.count):
        positions = folds.positions(index, fold)
        for part in parts:
            for number, name in enumerate(CLASSES):
                if not (classes[positions[part]] == number).any():
                    raise DataError(
                        f"fold {fold}: the {PART_WORDS[part]} part has no {name} image; task three_class needs all "
                        f"three classes in each. Add patients with {name} images, or set task to binary."
                    )


def three_classes(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the class number (N,) of every image of an index: 0 = normal, 1 = bacterial, 2 = viral.

    Args:
        table: the columns image_id, label and subtype; what is labelled normal needs no subtype.

    Raises:
        DataError: a pneumonia image is neither bacterial nor viral, or one of the three classes is empty.
    """
    found = table["subtype"].str.lower().map(CLASS_OF_SUBTYPE).fillna(-1).astype(np.int64)
    classes: NDArray[np.int64] = np.where(table["label"] == 1, found, 0).astype(np.int64)
    unknown = table[(table["label"] == 1) & (found < 1).to_numpy()]
    if len(unknown):
        examples = ", ".join(f"{row.image_id} ({row.subtype!r})" for row in unknown.head(SHOWN_IMAGES).itertuples())
        raise DataError(
            f"{len(unknown)} pneumonia images are neither bacterial nor viral: {examples}. Task three_class needs the "
            "subtype bacteria or virus of each of them: add it, leave these images out, or set task to binary."
        )
    for number, name in enumerate(CLASSES):
        if not (classes == number).any():
            raise DataError(f"no image is {name}; task three_class needs all of normal, bacterial and viral.")
    return classes
