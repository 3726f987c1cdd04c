"""A table of images of one's own: image,label[,patient,subtype,lung_mask,split]."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.index import refuse_listed_twice
from pneumobench.datasets.layouts import LABELS, Listing, register_layout
from pneumobench.errors import DataError, suggestion
from pneumobench.suite.spec import DataSpec

CSV_COLUMNS: Final = ("image", "label", "patient", "subtype", "lung_mask", "split")


def list_csv(root: Path, csv: str) -> Listing:
    """List a table `image,label[,patient,subtype,lung_mask,split]`; label NORMAL/PNEUMONIA or 0/1.

    Patients are listed as they are written, see `pneumobench.datasets.identifiers`; without a patient column every
    image is its own patient. `split` is `train` (default) or `test`.

    Raises:
        DataError: the table or a needed column is missing, or names an image twice.
    """
    path = root / csv
    if not path.is_file():
        raise DataError(f"{path}: no such table. Expected columns: image,label[,patient,subtype,lung_mask,split].")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a readable CSV table: {error}") from error
    if missing := {"image", "label"} - set(table.columns):
        raise DataError(f"{path}: column {', '.join(sorted(missing))} is missing; found {', '.join(table.columns)}.")
    if unknown := [name for name in table.columns if name not in CSV_COLUMNS]:
        raise DataError(
            f"{path}: unknown column {unknown[0]!r}; {suggestion(unknown[0], CSV_COLUMNS, count=1)} "
            f"Known: {', '.join(CSV_COLUMNS)}. Rename or remove it, so that no patient column is overlooked."
        )
    words = table["label"].str.upper().map({name: ("NORMAL", "PNEUMONIA")[value] for name, value in LABELS.items()})
    lines = range(2, len(table) + 2)
    refuse_listed_twice(path, table["image"].tolist(), words.fillna(table["label"]).tolist(), lines)
    problems = []
    for line, (image, label) in enumerate(zip(table["image"], table["label"], strict=True), start=2):
        if label.upper() not in LABELS:
            problems.append(f"{csv} line {line}: label {label!r} of {image}; expected NORMAL or PNEUMONIA, 0 or 1")
    known = table["label"].str.upper().isin(list(LABELS))
    label = table["label"].str.upper().map(LABELS).fillna(0).astype(int)
    column = {name: table[name] if name in table else pd.Series("", index=table.index) for name in table.columns}
    rows = pd.DataFrame(
        {
            "image_id": table["image"],
            "split": column.get("split", pd.Series("train", index=table.index)).replace("", "train"),
            "label": label,
            "subtype": column.get("subtype", label.map({0: "normal", 1: "pneumonia"})).replace("", "unknown"),
            "patient": column.get("patient", table["image"]),
            "lung_mask": column.get("lung_mask", pd.Series("", index=table.index)),
        }
    )
    if strange := set(rows["split"]) - {"train", "test"}:
        raise DataError(f"{path}: split {', '.join(sorted(strange))} is not known; expected train or test.")
    return Listing(rows=rows[known].reset_index(drop=True), problems=tuple(problems))


@register_layout(
    "csv",
    tree="    index.csv    image,label[,patient,subtype,lung_mask,split]",
    recognised=lambda folder: 0.25 if (folder / "index.csv").is_file() else 0,  # a set of files may have a table too
    reads_table=True,
)
def list_own_table(root: Path, data: DataSpec) -> Listing:
    """List the table that the settings of the data name."""
    return list_csv(root, data.csv)
