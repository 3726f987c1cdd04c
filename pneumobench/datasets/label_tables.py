"""Published data sets of DICOM files with tables of labels: what their layouts have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.file_names import is_litter
from pneumobench.datasets.layouts import found_in
from pneumobench.datasets.tables import read_text_table
from pneumobench.errors import DataError, suggestion

DICOM_SUFFIXES: Final = frozenset({".dcm", ".dicom"})


def read_label_table(root: Path, name: str, columns: Iterable[str], tree: str) -> pd.DataFrame:
    """Read a label table of a published set as text; its index is the line of each row.

    Raises:
        DataError: the file is missing, no table of text, empty, or lacks a column.
    """
    path = root / name
    if not path.is_file():
        raise DataError(f"{path}: no such table (found {found_in(root)}). Expected:\n{tree}")
    text = read_text_table(path)
    named = text.named()
    headings = [text.headings[at] for at in named]
    if twice := [heading for heading in headings if headings.count(heading) > 1]:
        raise DataError(f"{path}: column {twice[0]!r} stands twice; download it again.")
    table = pd.DataFrame({text.headings[at]: text.column(at) for at in named})
    for column in columns:
        if column not in table.columns:
            hint = suggestion(column, table.columns, count=1)
            raise DataError(f"{path}: column {column!r} is missing; {hint or 'found ' + ', '.join(table.columns)}")
    for column in table.columns:
        table[column] = table[column].replace({"0.0": "0", "1.0": "1"})  # as spreadsheets write them back
    return table


def dicom_files(root: Path, folder: str, tree: str) -> tuple[dict[str, str], list[str]]:
    """Return the image_id of every DICOM file of a folder by its name without suffix, and what cannot be used.

    Raises:
        DataError: there is no such folder, or no DICOM file in it.
    """
    place = root / folder
    files = sorted(f for f in place.glob("*") if not is_litter(f.name)) if place.is_dir() else []
    radiographs: dict[str, str] = {}
    problems = []
    for file in files:
        image_id = file.relative_to(root).as_posix()
        if file.suffix.lower() not in DICOM_SUFFIXES:
            problems.append(f"{image_id}: not a DICOM file by its name")
        elif file.stem in radiographs:
            problems.append(f"{image_id}: a second file of the image {radiographs[file.stem]}")
        else:
            radiographs[file.stem] = image_id
    if not radiographs:
        state = "has no DICOM file" if place.is_dir() else "is missing"
        raise DataError(f"{place}: folder of images {state}. Expected:\n{tree}")
    return radiographs, problems


def without_file(labelled: Iterable[Hashable], files: Mapping[str, str], table: str, folder: str) -> list[str]:
    """Return one line for every image that a table labels and that has no file."""
    return [
        f"{table}: image {radiograph} has no file in {folder}" for radiograph in labelled if radiograph not in files
    ]
