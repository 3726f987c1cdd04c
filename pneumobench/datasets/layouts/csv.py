"""A table of images of one's own: image,label[,patient,subtype,lung_mask,split,view], in any usual dress."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumobench.datasets.file_names import is_litter
from pneumobench.datasets.headings import ROLES, found_columns
from pneumobench.datasets.labelled_images import labelled_images
from pneumobench.datasets.layouts import Listing, found_in, register_layout
from pneumobench.datasets.tables import TABLE_SUFFIXES, read_text_table
from pneumobench.errors import DataError
from pneumobench.suite.columns import ColumnSpec
from pneumobench.suite.spec import DataSpec

EXPECTED = "image,label[,patient,subtype,lung_mask,split,view]"


def list_csv(root: Path, csv: str, columns: ColumnSpec | None = None, *, follow_links: bool = False) -> Listing:
    """List a table `image,label[,patient,subtype,lung_mask,split,view]`.

    Without a patient column every image is its own patient.

    Args:
        root: data folder.
        csv: the table, relative to it.
        columns: headings of the table; None = found by the usual names.
        follow_links: `data.follow_links`.

    Raises:
        DataError: the table or a needed column is missing, or it says two things of one image.
    """
    path = root / csv
    if not path.is_file():
        raise DataError(f"{path}: no such table (found {found_in(path.parent)}). Expected columns: {EXPECTED}.")
    text = read_text_table(path)
    position, notes = found_columns(text.headings, columns or ColumnSpec(), str(path))
    table = pd.DataFrame({role: text.column(position[role]) for role in ROLES if role in position})
    listing = labelled_images(root, table, csv, follow_links=follow_links)
    encoded = [] if text.encoding.startswith("utf") else [f"{csv}: read as Windows-1252, since it is not UTF-8"]
    notes = [*encoded, *(note.replace(str(path), csv, 1) for note in notes)]
    return Listing(
        rows=listing.rows, problems=listing.problems, notes=(*notes, *listing.notes), follow_links=follow_links
    )


def own_table(folder: Path) -> str | None:
    """Return the name of the table of images in a folder: index.csv, else its only table; None = none, or several."""
    files = [item.name for item in folder.iterdir() if item.suffix.lower() in TABLE_SUFFIXES and item.is_file()]
    named = sorted(name for name in files if Path(name).stem.lower() == "index")
    tables = named or [name for name in files if not name.lower().endswith(".txt") and not is_litter(name)]
    return tables[0] if len(tables) == 1 or named else None


@register_layout(
    "csv",
    tree=f"    index.csv    {EXPECTED}",
    # other sets of files may have a table too
    recognised=lambda folder: {None: 0, "index.csv": 0.25}.get(own_table(folder), 0.1),
    reads_table=True,
)
def list_own_table(root: Path, data: DataSpec) -> Listing:
    """List the table that the settings of the data name."""
    return list_csv(root, data.csv, data.columns, follow_links=data.follow_links)
