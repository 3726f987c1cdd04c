"""Published data sets of DICOM files with tables of labels: what their layouts have in common."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.layouts import found_in
from pneumobench.errors import DataError, suggestion

DICOM_SUFFIXES: Final = frozenset({".dcm", ".dicom"})


def read_label_table(root: Path, name: str, columns: Iterable[str], tree: str) -> pd.DataFrame:
    """Read a label table as text, columns and values without the blanks around them.

    Raises:
        DataError: the file is missing, no CSV, empty, or lacks a column.
    """
    path = root / name
    if not path.is_file():
        raise DataError(f"{path}: no such table (found {found_in(root)}). Expected:\n{tree}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more cells than headings
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: not a readable CSV table: {error}; download it again.") from error
    table.columns = table.columns.str.strip()
    if twice := table.columns[table.columns.duplicated()].tolist():
        raise DataError(f"{path}: column {twice[0]!r} stands twice; download it again.")
    for column in columns:
        if column not in table.columns:
            hint = suggestion(column, table.columns, count=1)
            raise DataError(f"{path}: column {column!r} is missing; {hint or 'found ' + ', '.join(table.columns)}")
    for column in table.columns:
        table[column] = table[column].str.strip().replace({"0.0": "0", "1.0": "1"})  # as spreadsheets write them back
    return table


def dicom_files(root: Path, folder: str, tree: str) -> tuple[dict[str, str], list[str]]:
    """Return the image_id of every DICOM file of a folder by its name without suffix, and what cannot be used.

    Raises:
        DataError: there is no such folder, or no DICOM file in it.
    """
    place = root / folder
    files = sorted(f for f in place.glob("*") if not f.name.startswith(".")) if place.is_dir() else []
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
