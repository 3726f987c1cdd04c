"""What is in a data set, and what is wrong with it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumobench.datasets.admission import examples, refusals
from pneumobench.datasets.duplicates import near_counts, near_duplicates, near_lines
from pneumobench.datasets.fold_advice import most_folds
from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import (
    SHOWN_PROBLEMS,
    Index,
    content_of,
    limit_images,
    problem_error,
    subset_images,
    unknown_patients,
)
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.opening import SquareKind, opened_images
from pneumobench.datasets.sources import list_radiographs
from pneumobench.errors import DataError
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.texts import counted

SHOWN_IMAGES = 3  # of a finding; all of them are written to audit.json


def read_radiographs(
    suite: Suite, cache_folder: Path | None = None, *, squares: Sequence[SquareKind] = (), rehash: bool = False
) -> tuple[Index, tuple[str, ...]]:
    """Return the index of a suite's readable images, and one line for every image that cannot be used.

    Args:
        suite: the data, and the seed of a subset.
        cache_folder: where decoded images and what is measured are kept, and phantoms drawn; None = nothing is kept,
            and every image is decoded.
        squares: squares that will be asked for, made while images are decoded; see `wanted_squares`.
        rehash: read every file, whether it was read before or not.

    Raises:
        DataError: the data are missing, or no image is listed or can be read.
        SettingsError: the layout of the data is unknown, or does not understand another setting.
    """
    index, problems = found_radiographs(suite, cache_folder, squares=squares, rehash=rehash)
    if index.table.empty:
        raise problem_error(index.root, problems) if problems else DataError(f"{index.root}: no image is listed.")
    return index, problems


def found_radiographs(
    suite: Suite, cache_folder: Path | None = None, *, squares: Sequence[SquareKind] = (), rehash: bool = False
) -> tuple[Index, tuple[str, ...]]:
    """Return what `read_radiographs` does, also where no image can be read: the index is empty then.

    Raises:
        DataError: the data are missing.
        SettingsError: the layout of the data is unknown, or does not understand another setting.
    """
    root, listing = list_radiographs(suite, cache_folder or Path())
    if (sizes := suite.controls.original_sizes) and not (root / sizes).is_file():  # before images are opened
        raise DataError(f"{root / sizes}: no such table of original sizes; correct or unset controls.original_sizes.")
    with opened_images(root, listing, cache_folder=cache_folder, squares=squares, rehash=rehash) as opened:
        index = opened.index
        if not index.table.empty and suite.data.subset_images is not None:
            index = subset_images(index, suite.data.subset_images, suite.seed)
        if not index.table.empty and suite.data.limit_images is not None:
            index = limit_images(index, suite.data.limit_images, suite.seed)
        if cache_folder is not None:
            opened.keep_squares(index, cache_folder)
    return index, opened.problems


def audit(
    index: Index, problems: tuple[str, ...] = (), *, suite: Suite | None = None, folds: Folds | None = None
) -> dict[str, Any]:
    """Return counts, patients, copies of images and patients on both sides of an official split, JSON-ready.

    Args:
        index: the readable images; may be empty.
        problems: one line for every image that cannot be used.
        suite: what the images are for: the layout of its data may add facts, and what a run of it would refuse is told.
            None = a table of images.
        folds: how the images are split; None = not yet, and nothing is said of duplicates across folds.
    """
    table, suite = index.table, suite or Suite(data=DataSpec(source="csv"))
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
    picture = content_of(table)
    identical = table[picture.duplicated(keep=False)].groupby(picture)
    sides = table.groupby("patient")["split"].nunique()
    content_sides = table.groupby(picture)["split"].nunique()
    unknown = unknown_patients(table)
    metadata = {
        "images": len(table),
        "patients": int(table["patient"].nunique()),
        "patients_unknown": int(unknown.sum()),
        "patient_rule": suite.data.patient_rule,
        "spellings_of_one_patient": [list(spellings) for spellings in index.identity.joined],
        "rounded_identifiers": index.identity.rounded,
        "groups": int(table["group"].nunique()),
        "folds_at_most": most_folds(table),
        "splits": splits,
        "most_films_of_a_patient": int(table.groupby("patient").size().max()) if len(table) else 0,
        "identical_image_groups": [sorted(part["image_id"]) for _, part in identical],
        "identical_in_other_files": int((identical["sha256"].nunique() > 1).sum()),
        "identical_across_patients": [
            sorted(part["patient"].unique()) for _, part in identical if part["patient"].nunique() > 1
        ],
        "identical_with_two_labels": [sorted(part["image_id"]) for _, part in identical if part["label"].nunique() > 1],
        "near_duplicates": (near := near_duplicates(index, folds)),
        "near_duplicate_counts": near_counts(near),
        "patients_in_train_and_test": sorted(sides[sides > 1].index),
        "identical_in_train_and_test": int((content_sides > 1).sum()),
        "width_px": _spread(table["width"]),
        "height_px": _spread(table["height"]),
        "left_out": list(index.notes),
        "refusals": [str(refusal).removeprefix(f"{index.root}: ") for refusal in refusals(index, suite)],
        "findings": index.images_by_finding(),
        "problems": list(problems),
    }
    layout = LAYOUTS.get(suite.data.source)
    return metadata if layout.audit_facts is None else {**metadata, **layout.audit_facts(table)}


def _spread(values: pd.Series[int]) -> dict[str, int]:
    if values.empty:
        return {"smallest": 0, "median": 0, "largest": 0}
    return {"smallest": int(values.min()), "median": int(values.median()), "largest": int(values.max())}


def audit_text(metadata: dict[str, Any]) -> str:
    """Return the facts of `audit` as lines for a terminal."""
    lines = [
        f"{metadata['images']} images, {metadata['patients']} patients, {metadata['groups']} groups "
        "(patient or content)",
        *_patient_lines(metadata),
    ]
    for split, part in metadata["splits"].items():
        subtypes = ", ".join(f"{size} {name}" for name, size in part["subtypes"].items())
        lines += [
            f"{split}: {part['images']} images ({part['normal']} normal, {part['pneumonia']} pneumonia; {subtypes})",
            f"    patients: {part['patients_normal']} normal, {part['patients_pneumonia']} pneumonia; "
            f"manual lung masks: {part['with_drawn_lung_mask']}",
        ]
    crossing = metadata["patients_in_train_and_test"]
    problems = metadata["problems"]
    lines += [
        f"most images of one patient: {metadata['most_films_of_a_patient']}",
        f"groups of identical images: {len(metadata['identical_image_groups'])} (of files that differ: "
        f"{metadata['identical_in_other_files']}), across patients: {len(metadata['identical_across_patients'])}, with "
        f"two labels: {len(metadata['identical_with_two_labels'])}, across train and test: "
        f"{metadata['identical_in_train_and_test']}",
        *near_lines(metadata["near_duplicates"]),
        f"patient names in both train and official test: {len(crossing)}"
        + (f" (e.g. {', '.join(crossing[:3])}): read official test scores with care" if crossing else ""),
        *(
            f"under patient rule {rule}: {counts['patients']} patients, {counts['groups']} groups"
            for rule, counts in metadata.get("patient_rules", {}).items()
        ),
        f"most folds by patient with both classes in every part: {metadata['folds_at_most'] or 'none'}",
        f"width {metadata['width_px']['smallest']}-{metadata['width_px']['largest']} px, "
        f"height {metadata['height_px']['smallest']}-{metadata['height_px']['largest']} px",
        *metadata["left_out"],
        *(
            f"{len(images)} image{'s' * (len(images) > 1)} to look at: {finding} "
            f"({', '.join(images[:SHOWN_IMAGES])}{', ...' * (len(images) > SHOWN_IMAGES)})"
            for finding, images in metadata["findings"].items()
        ),
        f"files that cannot be used: {len(problems)}",
        *(f"    {problem}" for problem in problems[:SHOWN_PROBLEMS]),
        *([f"    and {len(problems) - SHOWN_PROBLEMS} more in the report"] if len(problems) > SHOWN_PROBLEMS else []),
        *([f"a run refuses this set: {counted(len(metadata['refusals']), 'reason')}"] if metadata["refusals"] else []),
        *(f"    {refusal}" for refusal in metadata["refusals"]),
    ]
    return "\n".join(lines)


def _patient_lines(metadata: dict[str, Any]) -> list[str]:
    """Say what is not certain about who is who."""
    unknown, joined = metadata["patients_unknown"], metadata["spellings_of_one_patient"]
    names = metadata.get("file_names", {})
    schemes = ", ".join(f"{count} {scheme}" for scheme, count in names.get("schemes", {}).items())
    unexplained, contrary = names.get("unexplained", []), names.get("of_another_class", [])
    return [
        *([f"patients not known: {unknown} images, each counts as a patient of its own"] if unknown else []),
        *(
            [
                f"patients spelled in several ways: {len(joined)} (e.g. "
                f"{' = '.join(repr(spelling) for spelling in joined[0])}), taken for one each"
            ]
            if joined
            else []
        ),
        *(
            [
                f"patient identifiers that look rounded by a spreadsheet (such as 1.01E+06): {rounded} images; "
                "different patients may have been given one name: read the original table"
            ]
            if (rounded := metadata["rounded_identifiers"])
            else []
        ),
        *([f"naming schemes: {schemes}; names of copied files: {names['copies']}"] if schemes else []),
        *([f"file names of no known scheme: {len(unexplained)} ({examples(unexplained)})"] if unexplained else []),
        *(
            [f"file names of another class than their folder: {len(contrary)} ({examples(contrary)})"]
            if contrary
            else []
        ),
    ]
