"""Which images are meant: files, folders that are searched, or a table of paths; in a fixed order, each once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pneumobench.datasets.file_names import is_litter
from pneumobench.datasets.tables import TABLE_SUFFIXES, read_text_table
from pneumobench.errors import DataError, SettingsError
from pneumobench.radiographs.formats import IMAGE_SUFFIXES

IMAGE_COLUMN: Final = "image"


def image_files(named: Sequence[Path]) -> list[Path]:
    """Return the files that are meant, in the order in which they were named; those of a folder sorted by their path.

    Args:
        named: image files, of any suffix; folders, which are searched for files that end as images do; tables with a
            column `image` of paths relative to the table.

    Raises:
        SettingsError: nothing is named, or a name leads to nothing.
        DataError: a folder or a table names no image.
    """
    if not named:
        raise SettingsError("found no image named; expected files, folders, or a table with a column image.")
    found: dict[Path, None] = {}
    for one in named:
        if one.is_dir():
            files = list(_below(one))
            if not files:
                raise DataError(f"{one}: found no file that ends in {', '.join(sorted(IMAGE_SUFFIXES))} in the folder.")
        elif one.suffix.lower() in TABLE_SUFFIXES:
            files = _listed(one)
        elif one.is_file():
            files = [one]
        else:
            raise SettingsError(f"{one}: no such file or folder; expected images, folders of images, or a table.")
        found.update(dict.fromkeys(files))
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for home, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not is_litter(name):
                yield Path(home) / name


def _listed(table: Path) -> list[Path]:
    if not table.is_file():
        raise SettingsError(f"{table}: no such table.")
    read = read_text_table(table)
    headings = [heading.casefold() for heading in read.headings]
    if headings.count(IMAGE_COLUMN) != 1:
        raise DataError(f"{table}: found the columns {', '.join(read.headings)}; expected one named {IMAGE_COLUMN}.")
    place = headings.index(IMAGE_COLUMN)
    files = [table.parent / row[place] for row in read.rows if row[place]]
    if not files:
        raise DataError(f"{table}: found no row with a path in the column image.")
    return files
