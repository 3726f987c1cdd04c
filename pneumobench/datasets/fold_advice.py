"""Are there enough patients of both classes for a split, and which settings would work where there are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.errors import DataError
from pneumobench.suite.spec import FoldSpec

CLASS_NAMES: Final = ("NORMAL", "PNEUMONIA")
SPLIT_AT_LEAST: Final = 4  # groups of a class: of three, one of two folds is left with one, for training and validation
TRIED_IMAGES: Final = 2000  # of larger sets a split takes seconds, and other settings are not tried for advice


def most_folds(table: pd.DataFrame) -> int:
    """Return how many folds by patient the train images of an index can make, 0 = none.

    Every fold needs both classes in its training, validation and test part.
    """
    fewest = min(_owners(table[table["split"] == "train"], by_image=False))
    return fewest - 1 if fewest >= SPLIT_AT_LEAST else 0


def require_enough(root: Path, table: pd.DataFrame, parts: int, what: str, *, spec: FoldSpec, part: str) -> None:
    """Check that each class has enough patient groups, or images where those are split one by one.

    Args:
        root: the data folder, for messages.
        table: the images that are split.
        parts: equal parts they are split into.
        what: the parts in words.
        spec: how images are split.
        part: `folds`, `test`, `held_out` or `validation`: what the parts are made for, which decides what can be
            changed.

    Raises:
        DataError: saying how many there are and what would work.
    """
    by_image = spec.protocol == "image_random" and part == "folds"
    noun, owner = ("images are", "images") if by_image else ("patient groups have", "patients")
    for name, found in zip(CLASS_NAMES, _owners(table, by_image=by_image), strict=True):
        if found == 0:
            raise DataError(f"{root}: no training image is labelled {name}; both classes are needed.")
        needed = parts + 1 if part in ("validation", "held_out") else max(parts + 1, SPLIT_AT_LEAST)
        if found < needed:
            subject = f"{found} {noun} {name}" + ("" if by_image else " images")
            raise DataError(
                f"{root}: {subject}, too few for {parts} {what} with a validation part each; at least {needed} are "
                f"needed. {_remedy(found, part)}add {owner} with {name} images."
            )


def _owners(table: pd.DataFrame, *, by_image: bool) -> tuple[int, int]:
    column = "image_id" if by_image else "group"
    return tuple(int(table.loc[table["label"] == label, column].nunique()) for label in (0, 1))  # type: ignore[return-value]


def _remedy(found: int, part: str) -> str:
    """Return the setting that works with so many groups, to be followed by what always works."""
    if part == "folds" and found >= SPLIT_AT_LEAST:
        return f"Set folds.count to {found - 1} or less, or "
    if part == "test" and found >= SPLIT_AT_LEAST:
        return f"Set folds.test_fraction to {1 / (found - 1):.2g} or more, or "
    if part == "held_out":
        return "Set folds.held_out_fraction to 0, or "
    return "No other setting of folds helps: "


def working_settings(spec: FoldSpec, seed: int, table: pd.DataFrame, works: Callable[[FoldSpec, int], bool]) -> str:
    """Return which other setting splits a small set so that every part has both classes, found by trying.

    Args:
        spec: the settings that do not.
        seed: the seed that does not.
        table: the images that are split.
        works: tells whether settings and a seed do.
    """
    if len(table) > TRIED_IMAGES:
        return ""
    counts = list(range(spec.count - 1, 1, -1)) if spec.protocol in ("patient", "image_random") else []
    tried = [
        *((f"folds.count {count}", dataclasses.replace(spec, count=count), seed) for count in counts),
        *(
            (f"folds.tune_fraction {share}", dataclasses.replace(spec, tune_fraction=share), seed)
            for share in (0.2, 0.3, 0.4)
            if share > spec.tune_fraction
        ),
        *((f"seed {other}", spec, other) for other in range(seed + 1, seed + 4)),
    ]
    return next((words for words, settings, other in tried if works(settings, other)), "")
