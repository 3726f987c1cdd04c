"""NIH ChestX-ray14: PNG images of adults with one table of findings, and the official lists of training and test."""

from __future__ import annotations

from pathlib import Path

from pneumobench.datasets.label_tables import read_label_table
from pneumobench.datasets.labelled_images import labelled_images
from pneumobench.datasets.layouts import Listing, register_layout
from pneumobench.errors import DataError
from pneumobench.suite.spec import DataSpec

NIH_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", "sample_labels.csv")
NIH_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
NIH_TREE = """\
    images*/**/<Image Index>    Data_Entry_2017*.csv    Image Index,Finding Labels,...,Patient ID,...,View Position,...
    train_val_list.txt          test_list.txt           (optional: the official split)"""
NIH_COLUMNS = {
    "Image Index": "image",
    "Finding Labels": "label",
    "Patient ID": "patient",
    "View Position": "view",
}


def list_nih(root: Path, *, follow_links: bool = False) -> Listing:
    """List the images of NIH ChestX-ray14 that show pneumonia or no finding.

    Label 1 is `Pneumonia` among the findings, label 0 is `No Finding`. Images of other findings alone are left out and
    counted, and so are rows without a file: many have a part of the twelve archives. Where both official lists are
    there, an image is in the part whose list names it; else all are split into folds.

    Raises:
        DataError: the table is missing or lacks a column, or an image is on no list or on both.
    """
    name = next((table for table in NIH_TABLES if (root / table).is_file()), NIH_TABLES[-2])
    table = read_label_table(root, name, list(NIH_COLUMNS)[:3], NIH_TREE).rename(columns=NIH_COLUMNS)
    lists = {
        part: set((root / file).read_text(encoding="utf-8").split())
        for file, part in NIH_LISTS.items()
        if (root / file).is_file()
    }
    if len(lists) == len(NIH_LISTS):
        if both := lists["train"] & lists["test"]:
            raise DataError(f"{root}: {min(both)} is on both lists, {' and '.join(NIH_LISTS)}; download them again.")
        part_of = {image: part for part, images in lists.items() for image in images}
        if (unlisted := ~table["image"].isin(list(part_of))).any():
            image = table["image"][unlisted].iloc[0]
            raise DataError(f"{root}: {image} of {name} is on neither list, {' nor '.join(NIH_LISTS)}.")
        table["split"] = table["image"].map(part_of)
    return labelled_images(root, table, name, follow_links=follow_links, without_file="note")


@register_layout(
    "nih", tree=NIH_TREE, recognised=lambda folder: any((folder / table).is_file() for table in NIH_TABLES)
)
def list_nih_folder(root: Path, data: DataSpec) -> Listing:
    """List the images of pneumonia and of no finding."""
    return list_nih(root, follow_links=data.follow_links)
