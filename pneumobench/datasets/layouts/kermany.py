"""Class folders as those of Kermany et al. 2018: NORMAL/ and PNEUMONIA/, in train/ and test/ or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.file_names import is_litter, is_unusable
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing, found_in, register_layout
from pneumobench.datasets.links import files_below
from pneumobench.datasets.patients import kermany_facts, kermany_image
from pneumobench.datasets.spellings import Finding, class_of_folder, read_part, unclear_class
from pneumobench.errors import DataError
from pneumobench.radiographs.formats import IMAGE_SUFFIXES
from pneumobench.suite.spec import DataSpec, PatientRule
from pneumobench.texts import counted

KERMANY_TREE: Final = """\
    train/NORMAL/*.jpeg    train/PNEUMONIA/*.jpeg
    test/NORMAL/*.jpeg     test/PNEUMONIA/*.jpeg     (optional: the official test folder)"""
FURTHER_FORMS: Final = """\
    NORMAL/  PNEUMONIA/                              (no official split)
    NORMAL/  BACTERIA/  VIRUS/                       (three classes, with train/ and test/ or without)"""
_WRITTEN: Final = {"normal": "NORMAL", "pneumonia": "PNEUMONIA"}
_IMAGES: Final = "images"  # within a class folder, beside folders of masks
_MASK: Final = "mask"
SUFFIXES: Final = tuple(IMAGE_SUFFIXES)


@dataclass(frozen=True)
class ClassFolder:
    """A folder whose images have one label.

    Args:
        folder: where it is.
        part: `train`, `test`, or `val`, which is not read.
        finding: what its images show.
    """

    folder: Path
    part: str
    finding: Finding


def kermany_base(root: Path) -> Path | None:
    """Return the folder that holds train/ or class folders: the root or chest_xray/ in it; None where neither does."""
    for base in (root, root / "chest_xray"):
        parts = _part_folders(base)
        if "train" in parts or {"normal", "pneumonia"} <= {one.finding.kind for one in _classes_in(base, "train")}:
            return base
    return None


def class_folders(base: Path) -> list[ClassFolder]:
    """Return the class folders below the folder that `kermany_base` found, by part and name."""
    parts = _part_folders(base)
    own = [] if "train" in parts else _classes_in(base, "train")
    return own + [one for part, folders in parts.items() for folder in folders for one in _classes_in(folder, part)]


def image_files(folder: Path) -> Iterator[Path]:
    """Yield what lies in a class folder and in images/ in it, sorted, without litter and folders of masks beside it."""
    items = _items(folder)
    inner = [item for item in items if item.is_dir() and item.name.casefold() == _IMAGES]
    for item in items:
        if item in inner:
            yield from _items(item)
        elif not (inner and item.is_dir() and _MASK in item.name.casefold()):
            yield item


def list_kermany(
    root: Path, lung_masks: str, *, patient_rule: PatientRule = "number", follow_links: bool = False
) -> Listing:
    """List class folders, under the root or under chest_xray/ in it.

    A folder of another class, and a folder of a validation part, is left out by name and with its count.

    Args:
        root: data folder.
        lung_masks: folder of manual masks below the root; empty = none.
        patient_rule: which images count as one child, see `pneumobench.datasets.patients.kermany_image`.
        follow_links: `data.follow_links`.

    Raises:
        DataError: the folder or a class folder is missing; shows the expected tree.
    """
    base = kermany_base(root)
    if base is None:
        tree = f"{KERMANY_TREE}\n{FURTHER_FORMS}"
        raise DataError(f"{root}: no train/ folder and no class folders ({found_in(root)}). Expected below it:\n{tree}")
    if lung_masks and not (root / lung_masks).is_dir():
        raise DataError(f"{root / lung_masks}: no such folder of lung masks; set data.lung_masks to one, or to ''.")
    folders = [one for one in class_folders(base) if one.part != "val"]
    _require_classes(base, folders)
    rows, problems = [], []
    for one in folders:
        for file in image_files(one.folder):
            name = file.relative_to(root).as_posix()
            if is_unusable(name):
                problems.append(f"{name!r}: has control characters or bytes that are no text in its name; rename it")
            elif file.suffix.lower() not in IMAGE_SUFFIXES:
                what = "a folder in a class folder" if file.is_dir() else "not an image file of a known kind"
                problems.append(f"{name}: {what}")
            else:
                patient, subtype = kermany_image(file.stem, one.part, patient_rule)
                if problem := _contradiction(one.finding, subtype):
                    problems.append(f"{name}: {problem}")
                mask = root / lung_masks / file.relative_to(base).with_suffix(".png") if lung_masks else None
                written = mask.relative_to(root).as_posix() if mask and mask.is_file() else ""
                label = int(one.finding.kind == "pneumonia")
                subtype = _subtype(one.finding, subtype)
                rows.append((name, one.part, label, subtype, patient, written))
    return Listing(
        rows=pd.DataFrame(rows, columns=list(LISTING_COLUMNS)),
        problems=tuple(problems),
        notes=tuple(_left_out(base)),
        follow_links=follow_links,
    )


def _items(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if not is_litter(item.name)) if folder.is_dir() else []


def _part_folders(base: Path) -> dict[str, list[Path]]:
    """Return the folders train, val and test in a folder, in any usual spelling, by part."""
    parts: dict[str, list[Path]] = defaultdict(list)
    for item in _items(base):
        if (part := read_part(item.name)) and item.is_dir():
            parts[part].append(item)
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _classes_in(folder: Path, part: str) -> list[ClassFolder]:
    found = ((item, class_of_folder(item.name)) for item in _items(folder) if item.is_dir())
    return [ClassFolder(item, part, finding) for item, finding in found if finding is not None]


def _require_classes(base: Path, folders: list[ClassFolder]) -> None:
    """Check that each part has images of both classes.

    Raises:
        DataError: naming the class folder that is missing or empty.
    """
    parts = _part_folders(base)
    read = {"train": base, **{part: parts[part][0] for part in ("train", "test") if part in parts}}
    for part, place in read.items():
        for kind, name in _WRITTEN.items():
            of_kind = [one.folder for one in folders if one.part == part and one.finding.kind == kind]
            if not any(True for folder in of_kind for _ in image_files(folder)):
                state = "is empty" if of_kind else "is missing"
                folder = of_kind[0] if of_kind else place / name
                tree = f"{KERMANY_TREE}\n{FURTHER_FORMS}"
                raise DataError(f"{folder}: class folder {state}. Expected:\n{tree}")


def _left_out(base: Path) -> Iterator[str]:
    """Yield a line for each place that holds images and is not read, with their number.

    Raises:
        DataError: the name of a folder beside class folders speaks of pneumonia and does not say which class it is.
    """
    parts = _part_folders(base)
    for folder in parts.get("val", []):
        count = sum(_count(one.folder) for one in _classes_in(folder, "val"))
        yield f"{folder.name}/: {count} images are not read: the validation part is cut from the training part"
    read = [*parts.get("train", [base]), *parts.get("test", [])]
    for place in dict.fromkeys([base, *read]):
        if direct := sum(item.suffix.lower() in IMAGE_SUFFIXES for item in _items(place) if item.is_file()):
            where = "" if place == base else f"{place.relative_to(base).as_posix()}/: "
            yield f"{where}{counted(direct, 'image')} in no class folder: left out"
        for item in _items(place):
            if not item.is_dir() or item in read or _MASK in item.name.casefold() or item in parts.get("val", []):
                continue
            name = item.relative_to(base).as_posix()
            if place in read and class_of_folder(item.name) is not None:
                continue
            if place in read and unclear_class(item.name):
                raise DataError(
                    f"{item}: its name does not say whether its images show pneumonia; rename it to NORMAL or "
                    "PNEUMONIA, or move it out of the data folder."
                )
            if count := sum(file.lower().endswith(SUFFIXES) for file in files_below(item, follow_links=False)):
                what = "of another class than normal and pneumonia" if place in read else "beside train/"
                yield f"{name}/: {counted(count, 'image')} {what}: left out"


def _count(folder: Path) -> int:
    return sum(file.suffix.lower() in IMAGE_SUFFIXES for file in image_files(folder))


def _contradiction(finding: Finding, subtype: str) -> str:
    """Say what is wrong where the name of an image and its folder name two etiologies."""
    etiologies = {"bacteria", "virus"}
    if finding.etiology and subtype in etiologies - {finding.etiology}:
        return f"its name says {subtype}, its folder {finding.etiology}; move or rename it"
    return ""


def _subtype(finding: Finding, of_name: str) -> str:
    """Return the subtype that the name of an image says, else the one of its folder."""
    if of_name != "unknown":
        return of_name
    return "normal" if finding.kind == "normal" else finding.etiology or of_name


@register_layout(
    "kermany",
    tree=KERMANY_TREE,
    recognised=lambda folder: 0.5 if kermany_base(folder) else 0,  # other data sets have a folder train/ too
    takes_lung_masks=True,
    takes_patient_rule=True,
    split_may_cross=True,  # its numbers may or may not be the same children
    audit_facts=kermany_facts,
)
def list_kermany_folder(root: Path, data: DataSpec) -> Listing:
    """List the folders as the settings of the data say."""
    return list_kermany(root, data.lung_masks, patient_rule=data.patient_rule, follow_links=data.follow_links)
