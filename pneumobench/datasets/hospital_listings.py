"""Images and labels of two published DICOM sets, as their tables state them: RSNA 2018 and VinDr-PCXR."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from pneumobench.datasets.listings import Listing, found_in
from pneumobench.errors import DataError, suggestion

RADIOGRAPH_SUFFIXES = frozenset({".dcm", ".dicom"})
ROW_COLUMNS = ["image_id", "split", "label", "subtype", "patient", "lung_mask"]

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


def list_rsna(root: Path) -> Listing:
    """List the images of the RSNA Pneumonia Detection Challenge 2018 (stage 2) that have a published label.

    Label 1 is Target 1, a lung opacity that readers took for pneumonia. Both kinds of Target 0 are kept as label 0,
    as in the challenge, and told apart by subtype: `normal` and `not_normal` (no opacity, but another finding). Every
    image is its own patient: the tables name no other.

    Raises:
        DataError: the folder of images or a table is missing, or lacks a column; shows the expected tree.
    """
    labels = _read_table(root, RSNA_LABELS, ("patientId", "Target"), RSNA_TREE)
    classes = _read_table(root, RSNA_CLASSES, ("patientId", "class"), RSNA_TREE)
    files, problems = _radiographs(root, RSNA_IMAGES, RSNA_TREE)
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
    problems += _without_file(targets, files, RSNA_LABELS, f"{RSNA_IMAGES}/")
    unlabelled = root / RSNA_UNLABELLED
    count = (
        sum(file.suffix.lower() in RADIOGRAPH_SUFFIXES for file in unlabelled.glob("*")) if unlabelled.is_dir() else 0
    )
    notes = [f"{RSNA_UNLABELLED}/: {count} images without a published label are not read"] if count else []
    return Listing(rows=pd.DataFrame(rows, columns=ROW_COLUMNS), problems=tuple(problems), notes=tuple(notes))


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
        table = _read_table(root, name, ("image_id", VINDR_NORMAL, "Pneumonia"), VINDR_TREE)
        files, of_files = _radiographs(root, split, VINDR_TREE)
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
        problems += _without_file(verdicts, files, name, f"{split}/")
        if other:
            notes.append(f"{split}: {other} images show other diseases only, neither normal nor pneumonia: left out")
    return Listing(rows=pd.DataFrame(rows, columns=ROW_COLUMNS), problems=tuple(problems), notes=tuple(notes))


def _vindr_verdicts(table: pd.DataFrame, name: str) -> dict[str, str]:
    """Return `normal`, a etiology of pneumonia, `other`, or what is wrong, for every image_id of a label table."""
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
        verdict[row] = f"{column!r} is {marked.loc[row, column]!r} in {name} line {row + 2}; expected 0 or 1"
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


def _read_table(root: Path, name: str, columns: Iterable[str], tree: str) -> pd.DataFrame:
    """Read a label table as text, columns and values without the blanks around them.

    Raises:
        DataError: the file is missing, no CSV, empty, or lacks a column.
    """
    path = root / name
    if not path.is_file():
        raise DataError(f"{path}: no such table (found {found_in(root)}). Expected:\n{tree}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more cells than headings
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: not a readable CSV table: {error}; download it again.") from error
    table.columns = table.columns.str.strip()
    if twice := table.columns[table.columns.duplicated()].tolist():
        raise DataError(f"{path}: column {twice[0]!r} stands twice; download it again.")
    for column in columns:
        if column not in table.columns:
            hint = suggestion(column, table.columns, count=1)
            raise DataError(f"{path}: column {column!r} is missing; {hint or 'found ' + ', '.join(table.columns)}")
    for column in table.columns:
        table[column] = table[column].str.strip().replace({"0.0": "0", "1.0": "1"})  # as spreadsheets write them back
    return table


def _radiographs(root: Path, folder: str, tree: str) -> tuple[dict[str, str], list[str]]:
    """Return the image_id of every DICOM file of a folder by its name without suffix, and what cannot be used.

    Raises:
        DataError: there is no such folder, or no DICOM file in it.
    """
    place = root / folder
    files = sorted(f for f in place.glob("*") if not f.name.startswith(".")) if place.is_dir() else []
    radiographs: dict[str, str] = {}
    problems = []
    for file in files:
        image_id = file.relative_to(root).as_posix()
        if file.suffix.lower() not in RADIOGRAPH_SUFFIXES:
            problems.append(f"{image_id}: not a DICOM file by its name")
        elif file.stem in radiographs:
            problems.append(f"{image_id}: a second file of the image {radiographs[file.stem]}")
        else:
            radiographs[file.stem] = image_id
    if not radiographs:
        state = "has no DICOM file" if place.is_dir() else "is missing"
        raise DataError(f"{place}: folder of images {state}. Expected:\n{tree}")
    return radiographs, problems


def _without_file(labelled: Iterable[Hashable], files: Mapping[str, str], table: str, folder: str) -> list[str]:
    return [
        f"{table}: image {radiograph} has no file in {folder}" for radiograph in labelled if radiograph not in files
    ]
