"""The COVID-19 image data collection and sets of its form: a folder of images and metadata.csv."""

from __future__ import annotations

from pathlib import Path

from pneumobench.datasets.label_tables import read_label_table
from pneumobench.datasets.labelled_images import labelled_images
from pneumobench.datasets.layouts import Listing, register_layout
from pneumobench.datasets.spellings import plain
from pneumobench.datasets.tables import has_headings
from pneumobench.suite.spec import DataSpec

COVID_TABLE = "metadata.csv"
COVID_TREE = f"""\
    images/<filename>    {COVID_TABLE}    patientid,...,finding,...,view,modality,...,filename,..."""
COVID_COLUMNS = {"filename": "image", "finding": "label", "patientid": "patient", "view": "view"}


def list_covid_chestxray(root: Path, *, follow_links: bool = False) -> Listing:
    """List the frontal radiographs that show pneumonia or no finding.

    Label 1 is `Pneumonia` as the first word of the finding (`Pneumonia/Viral/COVID-19`), whose second word is the
    etiology; label 0 is `No Finding`. Other findings, lateral images, slices of computed tomography and rows without a
    file are left out and counted.

    Raises:
        DataError: the table is missing or lacks a column; shows the expected tree.
    """
    table = read_label_table(root, COVID_TABLE, COVID_COLUMNS, COVID_TREE)
    notes = []
    if "modality" in table:
        radiograph = table["modality"].map(plain).isin(["x ray", "xray", "x rays", "cr", "dx", ""])
        if other := int((~radiograph).sum()):
            notes.append(f"{COVID_TABLE}: {other} images of another modality than X-ray: left out")
        table = table[radiograph]
    table = table.rename(columns=COVID_COLUMNS)
    listing = labelled_images(root, table, COVID_TABLE, follow_links=follow_links, without_file="note")
    return Listing(
        rows=listing.rows, problems=listing.problems, notes=(*notes, *listing.notes), follow_links=follow_links
    )


@register_layout("covid_chestxray", tree=COVID_TREE, recognised=lambda f: has_headings(f / COVID_TABLE, *COVID_COLUMNS))
def list_covid_folder(root: Path, data: DataSpec) -> Listing:
    """List the frontal radiographs of pneumonia and of no finding."""
    return list_covid_chestxray(root, follow_links=data.follow_links)
