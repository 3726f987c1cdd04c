"""VinDr-PCXR: DICOM images of children with a table of labels for each official part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from pneumobench.datasets.label_tables import dicom_files, read_label_table, without_file
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing, register_layout
from pneumobench.suite.spec import DataSpec

VINDR_SPLITS = ("train", "test")
VINDR_TREE = """\
    train/<image_id>.dicom    image_labels_train.csv    image_id,rad_ID,No finding,Pneumonia,...
    test/<image_id>.dicom     image_labels_test.csv"""
VINDR_NORMAL = "No finding"
# columns that count as pneumonia, the most specific first; `Brocho-pneumonia` is the spelling of the tables
VINDR_PNEUMONIA = {
    "Brocho-pneumonia": "bronchopneumonia",
    "Pleuro-pneumonia": "pleuropneumonia",
    "Pneumonia": "pneumonia",
}
VINDR_READER = "rad_ID"
OTHER_DISEASE = "other"


def list_vindr_pcxr(root: Path) -> Listing:
    """List the images of VinDr-PCXR with their official split; every image is its own patient, none is published.

    Label 1 is any of the pneumonia columns, label 0 is `No finding`. Images of other diseases alone are neither: they
    are left out and counted in the notes. Where several readers have a row, the verdict of most of them counts.

    Raises:
        DataError: a folder or a table is missing, or lacks a column; shows the expected tree.
    """
    rows, problems, notes = [], [], []
    for split in VINDR_SPLITS:
        name = f"image_labels_{split}.csv"
        table = read_label_table(root, name, ("image_id", VINDR_NORMAL, "Pneumonia"), VINDR_TREE)
        files, of_files = dicom_files(root, split, VINDR_TREE)
        problems += of_files
        verdicts = _vindr_verdicts(table, name)
        other = 0
        for radiograph, image_id in files.items():
            verdict = verdicts.get(radiograph, f"{name} has no row for it")
            if verdict == OTHER_DISEASE:
                other += 1
            elif verdict in ("normal", *VINDR_PNEUMONIA.values()):
                rows.append((image_id, split, int(verdict != "normal"), verdict, radiograph, ""))
            else:
                problems.append(f"{image_id}: {verdict}")
        problems += without_file(verdicts, files, name, f"{split}/")
        if other:
            notes.append(f"{split}: {other} images show other diseases only, neither normal nor pneumonia: left out")
    return Listing(rows=pd.DataFrame(rows, columns=LISTING_COLUMNS), problems=tuple(problems), notes=tuple(notes))


def _vindr_verdicts(table: pd.DataFrame, name: str) -> dict[str, str]:
    """Return `normal`, an etiology of pneumonia, `other`, or what is wrong, for every image_id of a label table."""
    marked = table.drop(columns=["image_id", VINDR_READER], errors="ignore")
    verdict = pd.Series(OTHER_DISEASE, index=table.index)
    for column, kind in reversed(VINDR_PNEUMONIA.items()):
        if column in marked:
            verdict = verdict.mask(marked[column] == "1", kind)
    normal = marked[VINDR_NORMAL] == "1"
    diseased = (marked.drop(columns=VINDR_NORMAL) == "1").any(axis=1)
    verdict = verdict.mask(normal, "normal")
    verdict = verdict.mask(normal & diseased, f"{VINDR_NORMAL!r} and a disease are both marked in {name}")
    verdict = verdict.mask(~normal & ~diseased, f"nothing is marked in {name}, not even {VINDR_NORMAL!r}")
    strange = ~marked.isin(["0", "1"])
    for row in table.index[strange.any(axis=1)]:
        column = strange.columns[strange.loc[row]][0]
        verdict[row] = f"{column!r} is {marked.loc[row, column]!r} in {name} line {row}; expected 0 or 1"
    if VINDR_READER in table:
        again = table.duplicated(["image_id", VINDR_READER])  # one reader is one vote
        verdict = verdict.mask(table["image_id"].isin(table.loc[again, "image_id"]), f"a reader has two rows in {name}")
    readings = verdict.groupby(table["image_id"]).agg(list)
    return {str(radiograph): _majority(list(said), name) for radiograph, said in readings.items()}


def _majority(verdicts: list[str], name: str) -> str:
    """Return the verdict of most readers; etiologies of pneumonia are one verdict until the kind is asked for."""
    kinds = tuple(VINDR_PNEUMONIA.values())
    if wrong := [said for said in verdicts if said not in ("normal", OTHER_DISEASE, *kinds)]:
        return wrong[0]
    votes = Counter("pneumonia" if said in kinds else said for said in verdicts).most_common()
    if len(votes) > 1 and votes[0][1] == votes[1][1]:
        found = ", ".join(f"{count} {said}" for said, count in sorted(votes))
        return f"its {len(verdicts)} readers disagree in {name} ({found}), no verdict has most votes"
    if votes[0][0] != "pneumonia":
        return votes[0][0]
    counted = Counter(said for said in verdicts if said in kinds)
    return max(kinds, key=lambda kind: counted[kind])  # the more specific one where two are named as often


@register_layout(
    "vindr_pcxr",
    tree=VINDR_TREE,
    recognised=lambda folder: any((folder / f"image_labels_{split}.csv").exists() for split in VINDR_SPLITS),
    patients_published=False,
)
def list_vindr_folder(root: Path, _: DataSpec) -> Listing:
    """List the images that show nothing or pneumonia."""
    return list_vindr_pcxr(root)
