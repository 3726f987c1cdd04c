"""Images and labels as a data set states them, before any file is opened: folders of Kermany et al., and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumobench.datasets.patients import kermany_image
from pneumobench.errors import DataError, suggestion
from pneumobench.radiographs.formats import IMAGE_SUFFIXES
from pneumobench.suite.spec import PatientRule

CSV_COLUMNS = ("image", "label", "patient", "subtype", "lung_mask", "split")
LABELS = {"NORMAL": 0, "PNEUMONIA": 1, "0": 0, "1": 1}
KERMANY_TREE = """\
    train/NORMAL/*.jpeg    train/PNEUMONIA/*.jpeg
    test/NORMAL/*.jpeg     test/PNEUMONIA/*.jpeg     (optional: the official test folder)"""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Image files and what the data set says of them, before any is opened.

    Args:
        rows: columns image_id (path relative to the root), split, label, subtype, patient, lung_mask.
        problems: one line for everything that cannot be used.
        notes: one line for everything that is left out on purpose, with its count.
    """

    rows: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def found_in(folder: Path) -> str:
    """Return the first few names in a folder, for an error that shows what was found there."""
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(item.name for item in folder.iterdir())[:6]) or "empty"


def kermany_base(root: Path) -> Path | None:
    """Return the folder that holds train/: the root or chest_xray/ in it; None where neither does."""
    return next((base for base in (root, root / "chest_xray") if (base / "train").is_dir()), None)


def list_kermany(root: Path, lung_masks: str, *, patient_rule: PatientRule = "number") -> Listing:
    """List the folders of Kermany et al. 2018, under the root or under chest_xray/ in it.

    Args:
        root: data folder.
        lung_masks: folder of drawn masks below the root; empty = none.
        patient_rule: which images count as one child, see `pneumobench.datasets.patients.kermany_image`.

    Raises:
        DataError: the folder or a class folder is missing; shows the expected tree.
    """
    base = kermany_base(root)
    if base is None:
        raise DataError(f"{root}: no train/ folder ({found_in(root)}). Expected below it:\n{KERMANY_TREE}")
    if lung_masks and not (root / lung_masks).is_dir():
        raise DataError(f"{root / lung_masks}: no such folder of lung masks; set data.lung_masks to one, or to ''.")
    rows, problems = [], []
    for split in ("train", "test"):
        if split == "test" and not (base / "test").is_dir():
            continue
        for class_name in ("NORMAL", "PNEUMONIA"):
            folder = base / split / class_name
            files = sorted(f for f in folder.glob("*") if not f.name.startswith(".")) if folder.is_dir() else []
            if not files:
                state = "is empty" if folder.is_dir() else "is missing"
                raise DataError(f"{folder}: class folder {state}. Expected:\n{KERMANY_TREE}")
            for file in files:
                if file.suffix.lower() not in IMAGE_SUFFIXES:
                    problems.append(f"{file.relative_to(root)}: not an image file of a known kind")
                    continue
                patient, subtype = kermany_image(file.stem, split, patient_rule)
                mask = root / lung_masks / file.relative_to(base).with_suffix(".png") if lung_masks else None
                rows.append(
                    {
                        "image_id": file.relative_to(root).as_posix(),
                        "split": split,
                        "label": LABELS[class_name],
                        "subtype": subtype,
                        "patient": patient,
                        "lung_mask": mask.relative_to(root).as_posix() if mask and mask.is_file() else "",
                    }
                )
    return Listing(rows=pd.DataFrame(rows), problems=tuple(problems))


def list_csv(root: Path, csv: str) -> Listing:
    """List a table `image,label[,patient,subtype,lung_mask,split]`; label NORMAL/PNEUMONIA or 0/1.

    Without a patient column every image is its own patient. `split` is `train` (default) or `test`.

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
    if twice := table["image"][table["image"].duplicated()].tolist():
        raise DataError(f"{path}: {len(twice)} images are listed twice, first {twice[0]}; keep one line each.")
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
            "patient": column.get("patient", table["image"]).str.strip().where(lambda p: p != "", table["image"]),
            "lung_mask": column.get("lung_mask", pd.Series("", index=table.index)),
        }
    )
    if strange := set(rows["split"]) - {"train", "test"}:
        raise DataError(f"{path}: split {', '.join(sorted(strange))} is not known; expected train or test.")
    return Listing(rows=rows[known].reset_index(drop=True), problems=tuple(problems))
