"""The RSNA Pneumonia Detection Challenge 2018 (stage 2): DICOM images with two tables of labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumobench.datasets.label_tables import DICOM_SUFFIXES, dicom_files, read_label_table, without_file
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing, register_layout
from pneumobench.suite.spec import DataSpec

RSNA_IMAGES = "stage_2_train_images"
RSNA_LABELS = "stage_2_train_labels.csv"
RSNA_CLASSES = "stage_2_detailed_class_info.csv"
RSNA_UNLABELLED = "stage_2_test_images"
RSNA_TREE = f"""\
    {RSNA_IMAGES}/<patientId>.dcm
    {RSNA_LABELS}           patientId,x,y,width,height,Target
    {RSNA_CLASSES}    patientId,class"""
# the detailed class of an image, its Target in the challenge, and what it is called here
RSNA_SUBTYPES = {
    "Normal": (0, "normal"),
    "No Lung Opacity / Not Normal": (0, "not_normal"),
    "Lung Opacity": (1, "opacity"),
}


def list_rsna(root: Path) -> Listing:
    """List the images of the RSNA Pneumonia Detection Challenge 2018 (stage 2) that have a published label.

    Label 1 is Target 1, a lung opacity that readers took for pneumonia. Both kinds of Target 0 are kept as label 0,
    as in the challenge, and told apart by subtype: `normal` and `not_normal` (no opacity, but another finding). Every
    image is its own patient: the tables name no other.

    Raises:
        DataError: the folder of images or a table is missing, or lacks a column; shows the expected tree.
    """
    labels = read_label_table(root, RSNA_LABELS, ("patientId", "Target"), RSNA_TREE)
    classes = read_label_table(root, RSNA_CLASSES, ("patientId", "class"), RSNA_TREE)
    files, problems = dicom_files(root, RSNA_IMAGES, RSNA_TREE)
    targets = labels.groupby("patientId")["Target"].unique().to_dict()  # several rows an image, one for each box
    detailed = classes.groupby("patientId")["class"].unique().to_dict()
    rows = []
    for radiograph, image_id in files.items():
        if radiograph not in targets:
            problems.append(f"{image_id}: {RSNA_LABELS} has no row for it")
        elif radiograph not in detailed:
            problems.append(f"{image_id}: {RSNA_CLASSES} has no row for it")
        elif len(target := targets[radiograph]) > 1 or target[0] not in ("0", "1"):
            found = " and ".join(repr(value) for value in target)
            problems.append(f"{image_id}: Target is {found} in {RSNA_LABELS}; expected 0 or 1, equal in all its rows")
        elif len(kind := detailed[radiograph]) > 1 or kind[0] not in RSNA_SUBTYPES:
            found = " and ".join(repr(value) for value in kind)
            problems.append(
                f"{image_id}: class is {found} in {RSNA_CLASSES}; expected one of {', '.join(RSNA_SUBTYPES)}"
            )
        elif RSNA_SUBTYPES[kind[0]][0] != int(target[0]):
            problems.append(f"{image_id}: Target is {target[0]} in {RSNA_LABELS}, but class is {kind[0]!r}")
        else:
            label, subtype = RSNA_SUBTYPES[kind[0]]
            rows.append((image_id, "train", label, subtype, radiograph, ""))
    problems += without_file(targets, files, RSNA_LABELS, f"{RSNA_IMAGES}/")
    unlabelled = root / RSNA_UNLABELLED
    count = sum(file.suffix.lower() in DICOM_SUFFIXES for file in unlabelled.glob("*")) if unlabelled.is_dir() else 0
    notes = [f"{RSNA_UNLABELLED}/: {count} images without a published label are not read"] if count else []
    return Listing(rows=pd.DataFrame(rows, columns=LISTING_COLUMNS), problems=tuple(problems), notes=tuple(notes))


@register_layout(
    "rsna",
    tree=RSNA_TREE,
    recognised=lambda folder: any((folder / name).exists() for name in (RSNA_IMAGES, RSNA_LABELS, RSNA_CLASSES)),
    patients_published=False,
)
def list_rsna_folder(root: Path, _: DataSpec) -> Listing:
    """List the images that have a label."""
    return list_rsna(root)
