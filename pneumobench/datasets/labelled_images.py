"""From the rows of a table to the list of its images: views, labels, parts and paths, and all that is left out said."""

from __future__ import annotations

import posixpath
from collections import Counter
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from pneumobench.datasets.image_names import ImageFinder
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing
from pneumobench.datasets.spellings import Finding, is_missing, read_label, read_part, read_view
from pneumobench.errors import DataError

SHOWN_NAMES: Final = 8  # labels that are left out by name; the rest is counted
_LABEL_OF: Final = {"normal": 0, "pneumonia": 1}


def labelled_images(
    root: Path,
    table: pd.DataFrame,
    name: str,
    *,
    follow_links: bool = False,
    without_file: Literal["problem", "note"] = "problem",
) -> Listing:
    """List the images of a table.

    Args:
        root: data folder.
        table: text columns `image`, `label` and, where there are any, `patient`, `subtype`, `lung_mask`, `split` and
            `view`, in the spellings that `pneumobench.datasets.spellings` reads; its index is the line of each row.
        name: what the table is called in messages.
        follow_links: `data.follow_links`.
        without_file: what a row without a file is: `note` where people have a part of a published set.

    Returns:
        The images that are pneumonia or not. Lateral images, other diseases, uncertain and missing labels are counted
        in the notes; a label that may be misspelt, and a file that cannot be named, are problems.

    Raises:
        DataError: a part of a split has no known name, or one file is listed twice with two labels, patients or parts.
    """
    problems: list[str] = []
    table, notes = _frontal(table, name)
    parts, of_parts = _parts(table, name)
    finder = ImageFinder(root, follow_links=follow_links)
    found = [finder.find(image) for image in table["image"]]
    problems += [
        f"{name} line {line}: {file.problem}"
        for line, file in zip(table.index, found, strict=True)
        if file.how == "unusable"
    ]
    text = pd.DataFrame(
        {
            "image_id": [file.image_id for file in found],
            "how": [file.how for file in found],
            "written": table["image"].tolist(),
            "split": parts.tolist(),
            "finding": [read_label(label) for label in table["label"]],
            "said": table["label"].tolist(),
            "patient": _column(table, "patient"),
            "subtype": _column(table, "subtype") if "subtype" in table else None,
            "lung_mask": [_mask_path(root, mask) for mask in _column(table, "lung_mask")],
        },
        index=table.index,
    )
    text = text[text["how"] != "unusable"]
    if without_file == "note" and (absent := int((text["how"] == "missing").sum())):
        notes.append(f"{name}: {absent} of {len(text)} rows have no image file below the data folder: not read")
        text = text[text["how"] != "missing"]
    notes += _moved(text, name)
    text, of_copies = _each_once(text, name)
    rows, of_labels, unclear = _labelled(text, name)
    return Listing(
        rows=rows,
        problems=(*problems, *unclear),
        notes=(*notes, *of_parts, *of_copies, *of_labels),
        follow_links=follow_links,
    )


def _column(table: pd.DataFrame, column: str) -> list[str]:
    return table[column].tolist() if column in table else [""] * len(table)


def _frontal(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out what was not taken from front or back, where a table says so."""
    if "view" not in table:
        return table, []
    view = table["view"].map(read_view)
    notes = []
    if lateral := int((view == "lateral").sum()):
        notes.append(f"{name}: {lateral} lateral images: left out")
    if other := Counter(table["view"][view == "other"]):
        notes.append(f"{name}: {other.total()} images of another view ({_counted(other)}): left out")
    if unknown := int((view == "unknown").sum()):
        notes.append(f"{name}: {unknown} images of which no view is stated: kept")
    return table[view.isin(["frontal", "unknown"])], notes


def _parts(table: pd.DataFrame, name: str) -> tuple[pd.Series[str], list[str]]:
    """Return `train` or `test` for every row, and a note of the rows of a validation part.

    Raises:
        DataError: a word that means no part.
    """
    if "split" not in table:
        return pd.Series("train", index=table.index), []
    part = table["split"].map(lambda text: "train" if is_missing(text) else read_part(text))
    if (strange := part.isna()).any():
        word, line = table["split"][strange].iloc[0], table.index[strange][0]
        raise DataError(f"{name} line {line}: split {word!r} is not known; expected train, val or test.")
    validation = int((part == "val").sum())
    words = "are read as train, from which the validation part is cut"
    notes = [f"{name}: {validation} images of a validation part {words}"] if validation else []
    return part.replace("val", "train"), notes


def _mask_path(root: Path, mask: str) -> str:
    """Return the path of a lung mask relative to the data folder, with slashes; no file is searched for."""
    path = mask.replace("\\", "/")
    if is_missing(path):
        return ""
    if path.startswith("/") and Path(path).is_relative_to(root.absolute()):
        path = Path(path).relative_to(root.absolute()).as_posix()
    return posixpath.normpath(path.lstrip("/"))


def _moved(text: pd.DataFrame, name: str) -> list[str]:
    moved = text[text["how"] == "elsewhere"]
    if moved.empty:
        return []
    first = moved.iloc[0]
    written = posixpath.basename(str(first["written"]).replace("\\", "/"))
    return [
        f"{name}: {len(moved)} images lie elsewhere than the table says, or under another suffix, and were found by "
        f"name (the first: {written} is {first['image_id']})"
    ]


def _each_once(text: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Read each file once.

    Raises:
        DataError: two lines about one file say different things.
    """
    again = text["image_id"].duplicated()
    if not again.any():
        return text, []
    said = text.assign(kind=[finding.kind for finding in text["finding"]])
    for image_id, rows in said[said["image_id"].duplicated(keep=False)].groupby("image_id", sort=False):
        for column, what in (("kind", "label"), ("patient", "patient"), ("split", "split"), ("subtype", "subtype")):
            values = rows["said" if column == "kind" else column]
            if rows[column].nunique(dropna=False) > 1:
                other = rows.index[rows[column] != rows[column].iloc[0]][0]
                raise DataError(
                    f"{name} lines {rows.index[0]} and {other}: {image_id} is listed twice, with {what} "
                    f"{values.iloc[0]!r} and {values[other]!r}; keep the right line."
                )
    return text[~again], [f"{name}: {int(again.sum())} rows repeat another row: each image is read once"]


def _labelled(text: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the rows that are pneumonia or not, notes of those left out, and a problem for each unclear label."""
    kind = pd.Series([finding.kind for finding in text["finding"]], index=text.index, dtype=object)
    problems = [
        f"{name} line {line}: label {said!r} of {image_id}; expected pneumonia or normal, in any usual spelling"
        + (f"; did you mean {finding.meant}?" if finding.meant else "")
        for line, said, image_id, finding in zip(
            text.index, text["said"], text["image_id"], text["finding"], strict=True
        )
        if finding.kind == "unclear"
    ]
    notes = []
    if other := Counter(text["said"][kind == "other"]):
        notes.append(f"{name}: {other.total()} images of other findings alone ({_counted(other)}): left out")
    for what, words in (("uncertain", "whose label is uncertain"), ("missing", "without a label")):
        if count := int((kind == what).sum()):
            notes.append(f"{name}: {count} images {words} (the first in line {text.index[kind == what][0]}): left out")
    kept = text[kind.isin(list(_LABEL_OF))]
    rows = pd.DataFrame(
        {
            "image_id": kept["image_id"],
            "split": kept["split"],
            "label": [_LABEL_OF[finding.kind] for finding in kept["finding"]],
            "subtype": [_subtype(*row) for row in zip(kept["subtype"], kept["finding"], strict=True)],
            "patient": kept["patient"].where(kept["patient"] != "", kept["image_id"]),
            "lung_mask": kept["lung_mask"],
        },
        columns=list(LISTING_COLUMNS),
    )
    return rows.reset_index(drop=True), notes, problems


def _subtype(given: str | None, finding: Finding) -> str:
    """Return the subtype of an image: as its column says, else the etiology that its label names, else the label."""
    if given is None:
        return finding.etiology or finding.kind
    return finding.etiology or "unknown" if is_missing(given) else given


def _counted(words: Counter[str]) -> str:
    shown = [f"{count} {word!r}" for word, count in words.most_common(SHOWN_NAMES)]
    rest = len(words) - SHOWN_NAMES
    return ", ".join([*shown, *([f"{rest} other spellings"] if rest > 0 else [])])
