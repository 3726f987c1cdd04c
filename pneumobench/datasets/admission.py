"""What is wrong with a set of readable images that no run may start from; the audit shows the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pandas as pd

from pneumobench.datasets.fold_advice import CLASS_NAMES
from pneumobench.datasets.index import Index, content_of, unknown_patients
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.patients import SCHEME_EXAMPLES
from pneumobench.errors import DataError, LeakError
from pneumobench.suite.spec import Suite
from pneumobench.texts import counted

SHOWN: Final = 3


def refusals(index: Index, suite: Suite) -> tuple[DataError, ...]:
    """Return why a run refuses these images, the worst first; nothing for a usable set.

    A LeakError where a patient or a picture is on both sides of the data's own split, a DataError where file names do
    not say whose an image is, one picture has two labels, or a class has no image.

    Args:
        index: the readable images.
        suite: the data and how they are split.
    """
    return tuple(_refusals(index, suite))


def refuse_unfit(index: Index, suite: Suite) -> None:
    """Raise the first of `refusals`.

    Raises:
        LeakError: a patient or a picture is on both sides of the data's own split.
        DataError: patients cannot be told, a picture has two labels, or a class is missing.
    """
    for refusal in refusals(index, suite):
        raise refusal


def examples(names: Iterable[str]) -> str:
    """Return the first few names, and whether there are more."""
    every = list(names)
    return ", ".join(every[:SHOWN]) + (", ..." if len(every) > SHOWN else "")


def _refusals(index: Index, suite: Suite) -> Iterator[DataError]:
    table, layout = index.table, LAYOUTS.get(suite.data.source)
    unknown = table.loc[unknown_patients(table), "image_id"]
    if layout.takes_patient_rule and suite.data.patient_rule != "image" and len(unknown):
        yield DataError(
            f"{index.root}: {len(unknown)} of {len(table)} file names do not say whose image it is: "
            f"{examples(unknown)}. Images of one child may then stand on both sides of a split. Expected names such as "
            f"{SCHEME_EXAMPLES}. Rename or remove these files, list them with their patients in a table (data.source "
            "csv), or set data.patient_rule to image: patients are then unknown, each image counts as one, and every "
            "page says so."
        )
    if not suite.folds.merge_official_test:
        yield from _crossing(table, patients=not layout.split_may_cross)
    labels = table.groupby(content_of(table))["label"].nunique()
    if len(torn := labels[labels > 1]):
        pictures = table[content_of(table) == torn.index[0]].drop_duplicates("label")
        shown = " and ".join(f"{row.image_id} ({CLASS_NAMES[int(row.label)]})" for row in pictures.itertuples())
        yield DataError(
            f"{index.root}: {counted(len(torn), 'picture')} in files of two labels, e.g. {shown}: correct the label "
            "or remove the files."
        )
    for label, name in enumerate(CLASS_NAMES):
        if not (table["label"] == label).any():
            yield DataError(f"{index.root}: no image is labelled {name}; both classes are needed.")


def _crossing(table: pd.DataFrame, *, patients: bool) -> Iterator[LeakError]:
    compared = [("image content", content_of(table))] + ([("patient", table["patient"])] if patients else [])
    for what, values in reversed(compared):
        sides = table.groupby(values)["split"].nunique()
        if crossing := sorted(sides[sides > 1].index):
            first = table[values == crossing[0]].drop_duplicates("split")["image_id"]
            yield LeakError(
                f"{what} {crossing[0]} is in train and in test of the data ({' and '.join(first)}; {len(crossing)} "
                "such in all): give all images of a patient the same split, and remove copies of an image."
            )
