"""CheXpert: JPEG images of adults by patient and study, with a table of uncertain labels for each part."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from pneumobench.datasets.label_tables import read_label_table
from pneumobench.datasets.labelled_images import labelled_images
from pneumobench.datasets.layouts import Listing, found_in, register_layout
from pneumobench.datasets.tables import has_headings
from pneumobench.errors import DataError
from pneumobench.suite.spec import DataSpec

CHEXPERT_PARTS = {"train.csv": "train", "valid.csv": "test"}
CHEXPERT_TREE = """\
    train/patientN/studyN/viewN_frontal.jpg    train.csv    Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,...,Pneumonia
    valid/patientN/studyN/viewN_frontal.jpg    valid.csv    (read as test)"""
CHEXPERT_COLUMNS = ("Path", "No Finding", "Pneumonia")
CHEXPERT_VALUES = {"": "", "0": "0", "1": "1", "-1.0": "-1", "-1": "-1"}
_PATIENT = re.compile(r"(?:^|/)(patient\d+)/")


def list_chexpert(root: Path, *, follow_links: bool = False) -> Listing:
    """List the frontal images of CheXpert that show pneumonia or no finding.

    Label 1 is 1 in the column `Pneumonia`, label 0 is 1 in the column `No Finding`. Uncertain pneumonia (-1), images of
    other findings alone and lateral images are left out and counted. `valid.csv`, which radiologists labelled, is
    read as the test part.

    Raises:
        DataError: both tables are missing, or one lacks a column; shows the expected tree.
    """
    listings = []
    for name, part in CHEXPERT_PARTS.items():
        if not (root / name).is_file():
            continue
        table = read_label_table(root, name, CHEXPERT_COLUMNS, CHEXPERT_TREE)
        path = table["Path"].str.replace("\\", "/", regex=False)
        table = pd.DataFrame(
            {
                "image": path,
                "label": [_label(*row) for row in zip(table["No Finding"], table["Pneumonia"], strict=True)],
                "patient": [match[1] if (match := _PATIENT.search(one)) else "" for one in path],
                "split": part,
                "view": table["Frontal/Lateral"] if "Frontal/Lateral" in table else path.map(_view_of_name),
            }
        )
        listings.append(labelled_images(root, table, name, follow_links=follow_links, without_file="note"))
    if not listings:
        tables = " or ".join(CHEXPERT_PARTS)
        raise DataError(f"{root}: no {tables} (found {found_in(root)}). Expected:\n{CHEXPERT_TREE}")
    return Listing(
        rows=pd.concat([listing.rows for listing in listings], ignore_index=True),
        problems=tuple(line for listing in listings for line in listing.problems),
        notes=tuple(line for listing in listings for line in listing.notes),
        follow_links=follow_links,
    )


def _label(no_finding: str, pneumonia: str) -> str:
    """Return the label of two cells of 1, 0, -1 or nothing, in words that every table may use."""
    values = [CHEXPERT_VALUES.get(value) for value in (no_finding, pneumonia)]
    if None in values:
        return pneumonia if values[1] is None else no_finding
    if values == ["1", "1"]:
        return "no finding|pneumonia"
    if values[1] == "1":
        return "pneumonia"
    if values[1] == "-1":
        return "uncertain"
    return "no finding" if values[0] == "1" else "other findings"


def _view_of_name(path: str) -> str:
    return "lateral" if path.rpartition("/")[2].casefold().find("lateral") >= 0 else "frontal"


@register_layout(
    "chexpert",
    tree=CHEXPERT_TREE,
    recognised=lambda folder: any(has_headings(folder / name, *CHEXPERT_COLUMNS) for name in CHEXPERT_PARTS),
)
def list_chexpert_folder(root: Path, data: DataSpec) -> Listing:
    """List the frontal images of pneumonia and of no finding."""
    return list_chexpert(root, follow_links=data.follow_links)
