"""What is in a data set, and what is wrong with it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumobench.datasets.index import Index, limit_images, problem_error, subset_images
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.opening import SquareKind, opened_images
from pneumobench.datasets.sources import list_radiographs
from pneumobench.errors import DataError, LeakError
from pneumobench.suite.spec import Suite

SHOWN_IMAGES = 3  # of a finding; all of them are written to audit.json


def read_radiographs(
    suite: Suite, cache_folder: Path | None = None, *, squares: Sequence[SquareKind] = ()
) -> tuple[Index, tuple[str, ...]]:
    """Return the index of a suite's readable images, and one line for every image that cannot be used.

    Args:
        suite: the data, and the seed of a subset.
        cache_folder: where decoded images and their sizes are kept, and phantoms drawn; None = nothing is kept, and
            every image is decoded.
        squares: squares that will be asked for, made while images are decoded; see `wanted_squares`.

    Raises:
        DataError: the data are missing, or no image can be read.
        LeakError: a patient or an image is on both sides of the data's own split.
        SettingsError: the layout of the data is unknown, or does not understand another setting.
    """
    root, listing = list_radiographs(suite, cache_folder or Path())
    if listing.rows.empty:
        if listing.problems:
            raise problem_error(root, listing.problems)
        raise DataError(f"{root}: no image is listed.")
    with opened_images(root, listing, cache_folder=cache_folder, squares=squares) as opened:
        if opened.index.table.empty:
            raise problem_error(root, opened.problems)
        index = _chosen_images(opened.index, suite)
        if cache_folder is not None:
            opened.keep_squares(index, cache_folder)
    return index, opened.problems


def _chosen_images(index: Index, suite: Suite) -> Index:
    if not LAYOUTS.get(suite.data.source).split_may_cross:
        _refuse_crossing(index)
    if suite.data.subset_images is not None:
        index = subset_images(index, suite.data.subset_images, suite.seed)
    if suite.data.limit_images is not None:
        index = limit_images(index, suite.data.limit_images, suite.seed)
    return index


def _refuse_crossing(index: Index) -> None:
    """Refuse an own train/test split of the data that a patient or an image crosses.

    Raises:
        LeakError: naming the first patient or image content on both sides.
    """
    for column, what in (("patient", "patient"), ("sha256", "image content")):
        sides = index.table.groupby(column)["split"].nunique()
        if crossing := sorted(sides[sides > 1].index):
            raise LeakError(
                f"{what} {crossing[0]} is in train and in test of the data ({len(crossing)} such in all): give all "
                "images of a patient the same split, and remove copies of an image."
            )


def audit(index: Index, problems: tuple[str, ...] = (), *, source: str = "csv") -> dict[str, Any]:
    """Return counts, patients, identical images and patients on both sides of an official split, JSON-ready.

    Args:
        index: the readable images.
        problems: one line for every image that cannot be used.
        source: `data.source` of the suite, whose layout may add facts.
    """
    table = index.table
    splits: dict[str, Any] = {}
    for split, part in table.groupby("split"):
        splits[str(split)] = {
            "images": len(part),
            "normal": int((part["label"] == 0).sum()),
            "pneumonia": int((part["label"] == 1).sum()),
            "subtypes": {str(name): int(size) for name, size in part["subtype"].value_counts().sort_index().items()},
            "patients_normal": int(part.loc[part["label"] == 0, "patient"].nunique()),
            "patients_pneumonia": int(part.loc[part["label"] == 1, "patient"].nunique()),
            "groups": int(part["group"].nunique()),
            "with_drawn_lung_mask": int((part["lung_mask"] != "").sum()),
        }
    identical = table[table["sha256"].duplicated(keep=False)].groupby("sha256")
    sides = table.groupby("patient")["split"].nunique()
    content_sides = table.groupby("sha256")["split"].nunique()
    radiographs = table.groupby("patient").size()
    metadata = {
        "images": len(table),
        "patients": int(table["patient"].nunique()),
        "groups": int(table["group"].nunique()),
        "splits": splits,
        "most_films_of_a_patient": int(radiographs.max()),
        "identical_image_groups": [sorted(part["image_id"]) for _, part in identical],
        "identical_across_patients": [
            sorted(part["patient"].unique()) for _, part in identical if part["patient"].nunique() > 1
        ],
        "identical_with_two_labels": [sorted(part["image_id"]) for _, part in identical if part["label"].nunique() > 1],
        "patients_in_train_and_test": sorted(sides[sides > 1].index),
        "identical_in_train_and_test": int((content_sides > 1).sum()),
        "width_px": _spread(table["width"]),
        "height_px": _spread(table["height"]),
        "left_out": list(index.notes),
        "findings": index.images_by_finding(),
        "problems": list(problems),
    }
    layout = LAYOUTS.get(source)
    return metadata if layout.audit_facts is None else {**metadata, **layout.audit_facts(table)}


def _spread(values: pd.Series[int]) -> dict[str, int]:
    return {"smallest": int(values.min()), "median": int(values.median()), "largest": int(values.max())}


def audit_text(metadata: dict[str, Any]) -> str:
    """Return the facts of `audit` as lines for a terminal."""
    lines = [
        f"{metadata['images']} images, {metadata['patients']} patients, {metadata['groups']} groups "
        "(patient or content)"
    ]
    for split, part in metadata["splits"].items():
        subtypes = ", ".join(f"{size} {name}" for name, size in part["subtypes"].items())
        lines += [
            f"{split}: {part['images']} images ({part['normal']} normal, {part['pneumonia']} pneumonia; {subtypes})",
            f"    patients: {part['patients_normal']} normal, {part['patients_pneumonia']} pneumonia; "
            f"manual lung masks: {part['with_drawn_lung_mask']}",
        ]
    crossing = metadata["patients_in_train_and_test"]
    lines += [
        f"most images of one patient: {metadata['most_films_of_a_patient']}",
        f"byte-identical groups: {len(metadata['identical_image_groups'])}, across patients: "
        f"{len(metadata['identical_across_patients'])}, with two labels: {len(metadata['identical_with_two_labels'])}, "
        f"across train and test: {metadata['identical_in_train_and_test']}",
        f"patient names in both train and official test: {len(crossing)}"
        + (f" (e.g. {', '.join(crossing[:3])}): read official test scores with care" if crossing else ""),
        *(
            f"under patient rule {rule}: {counts['patients']} patients, {counts['groups']} groups"
            for rule, counts in metadata.get("patient_rules", {}).items()
        ),
        f"width {metadata['width_px']['smallest']}-{metadata['width_px']['largest']} px, "
        f"height {metadata['height_px']['smallest']}-{metadata['height_px']['largest']} px",
        *metadata["left_out"],
        *(
            f"{len(images)} image{'s' * (len(images) > 1)} to look at: {finding} "
            f"({', '.join(images[:SHOWN_IMAGES])}{', ...' * (len(images) > SHOWN_IMAGES)})"
            for finding, images in metadata["findings"].items()
        ),
        f"files that cannot be used: {len(metadata['problems'])}",
        *(f"    {problem}" for problem in metadata["problems"]),
    ]
    return "\n".join(lines)
