"""The folders of Kermany et al. 2018: train/ and test/ with NORMAL/ and PNEUMONIA/."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.layouts import LABELS, Listing, found_in, register_layout
from pneumobench.datasets.patients import kermany_facts, kermany_image
from pneumobench.errors import DataError
from pneumobench.radiographs.formats import IMAGE_SUFFIXES
from pneumobench.suite.spec import DataSpec, PatientRule

KERMANY_TREE: Final = """\
    train/NORMAL/*.jpeg    train/PNEUMONIA/*.jpeg
    test/NORMAL/*.jpeg     test/PNEUMONIA/*.jpeg     (optional: the official test folder)"""


def kermany_base(root: Path) -> Path | None:
    """Return the folder that holds train/: the root or chest_xray/ in it; None where neither does."""
    return next((base for base in (root, root / "chest_xray") if (base / "train").is_dir()), None)


def list_kermany(root: Path, lung_masks: str, *, patient_rule: PatientRule = "number") -> Listing:
    """List the folders of Kermany et al. 2018, under the root or under chest_xray/ in it.

    Args:
        root: data folder.
        lung_masks: folder of manual masks below the root; empty = none.
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
    return list_kermany(root, data.lung_masks, patient_rule=data.patient_rule)
