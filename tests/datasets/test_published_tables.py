"""NIH ChestX-ray14, CheXpert and the COVID-19 collection as published: audit and index without a step by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.layouts.chexpert import list_chexpert
from pneumobench.datasets.layouts.nih import list_nih
from pneumobench.datasets.sources import list_radiographs, recognised_data
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.columns import ColumnSpec
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.published_sets import write_chexpert, write_covid, write_nih

FINDINGS = [
    "Pneumonia",
    "Effusion|Pneumonia",
    "No Finding",
    "No Finding",
    "Mass",
    "No Finding",
    "Pneumonia",
    "Mass|Edema",
]
CHEXPERT = {
    "train": [
        ("Frontal", "", "1.0"),
        ("Lateral", "", "1.0"),
        ("Frontal", "1.0", ""),
        ("Frontal", "", "-1.0"),
        ("Frontal", "", ""),
        ("Frontal", "1.0", "0.0"),
    ],
    "valid": [("Frontal", "0.0", "1.0"), ("Lateral", "1.0", "0.0"), ("Frontal", "1.0", "0.0")],
}
COVID = [
    ("2", "Pneumonia/Viral/COVID-19", "PA", "X-ray"),
    ("2", "Pneumonia/Viral/COVID-19", "L", "X-ray"),
    ("4", "Pneumonia/Bacterial/Streptococcus", "AP Supine", "X-ray"),
    ("5", "No Finding", "AP", "X-ray"),
    ("6", "Tuberculosis", "PA", "X-ray"),
    ("7", "todo", "PA", "X-ray"),
    ("8", "Pneumonia/Viral/COVID-19", "Axial", "CT"),
]


def audited(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    report = tmp_path / "audit.json"
    assert main(["audit", str(root), "--output", str(report)]) == 0
    return json.loads(report.read_text()), capsys.readouterr().out


def test_nih(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, shown = audited(write_nih(tmp_path / "nih", FINDINGS), tmp_path, capsys)
    assert found["source"] == "nih"
    assert {part: (of["normal"], of["pneumonia"]) for part, of in found["splits"].items()} == {
        "train": (2, 2),
        "test": (1, 1),
    }
    assert found["patients"] == 4
    assert "Data_Entry_2017.csv: 2 images of other findings alone (1 'Mass', 1 'Mass|Edema'): left out" in shown
    assert found["problems"] == []


def test_nih_without_lists_and_with_a_part_of_the_archives(tmp_path: Path) -> None:
    root = write_nih(tmp_path, FINDINGS, lists=False)
    (root / "images_001/images/00000000_000.png").unlink()
    listing = list_nih(root)
    assert set(listing.rows["split"]) == {"train"}
    assert len(listing.rows) == 5
    assert "Data_Entry_2017.csv: 1 of 8 rows have no image file below the data folder: not read" in listing.notes


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("test_list.txt", "00000000_000.png\n", "00000000_000.png is on both lists"),
        ("train_val_list.txt", "", "00000000_000.png of Data_Entry_2017.csv is on neither list"),
        ("Data_Entry_2017.csv", "Image Index,Finding Labels\n", "column 'Patient ID' is missing"),
    ],
)
def test_a_damaged_nih_is_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    root = write_nih(tmp_path, FINDINGS)
    (root / name).write_text(text)
    with pytest.raises(DataError) as caught:
        list_nih(root)
    assert words in str(caught.value)


def test_the_table_of_nih_by_columns_of_a_suite(tmp_path: Path) -> None:
    root = write_nih(tmp_path, FINDINGS, lists=False)
    columns = ColumnSpec(image="Image Index", label="Finding Labels", patient="Patient ID")
    data = DataSpec(source="csv", root=str(root), csv="Data_Entry_2017.csv", columns=columns)
    mapped, by_layout = (read_radiographs(Suite(data=spec))[0] for spec in (data, recognised_data(root)))
    assert mapped.to_csv() == by_layout.to_csv()


@pytest.mark.parametrize("below", ["", "CheXpert-v1.0-small", "archive/CheXpert-v1.0"])
def test_chexpert(below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_chexpert(tmp_path / "data" / below, CHEXPERT)
    found, shown = audited(tmp_path / "data", tmp_path, capsys)
    assert found["source"] == "chexpert"
    assert {part: (of["normal"], of["pneumonia"]) for part, of in found["splits"].items()} == {
        "train": (2, 1),
        "test": (1, 1),
    }
    assert found["patients"] == 5
    for words in (
        "train.csv: 1 lateral images: left out",
        "valid.csv: 1 lateral images: left out",
        "train.csv: 1 images of other findings alone",
        "train.csv: 1 images whose label is uncertain",
    ):
        assert words in shown
    assert (f"read from {below}/" in shown) == bool(below)


def test_contradicting_cells_of_chexpert_are_problems(tmp_path: Path) -> None:
    listing = list_chexpert(write_chexpert(tmp_path, {"train": [("Frontal", "1.0", "1.0"), ("Frontal", "", "7")]}))
    assert [line.split(" of ")[0] for line in listing.problems] == [
        "train.csv line 2: label 'no finding|pneumonia'",
        "train.csv line 3: label '7'",
    ]


def test_a_column_of_chexpert_by_columns_of_a_suite(tmp_path: Path) -> None:
    write_chexpert(tmp_path, CHEXPERT)
    data = DataSpec(
        source="csv", root=str(tmp_path), csv="train.csv", columns=ColumnSpec(image="Path", label="Pneumonia")
    )
    _, listing = list_radiographs(Suite(data=data), tmp_path)
    assert listing.problems == ()
    assert listing.rows["label"].tolist() == [1, 0]
    notes = "\n".join(listing.notes)
    assert "1 lateral images: left out" in notes
    assert "1 images whose label is uncertain (the first in line 5): left out" in notes
    assert "2 images without a label (the first in line 4): left out" in notes


def test_the_covid_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, shown = audited(write_covid(tmp_path / "covid", COVID), tmp_path, capsys)
    assert found["source"] == "covid_chestxray"
    (part,) = found["splits"].values()
    assert (part["normal"], part["pneumonia"]) == (1, 2)
    assert part["subtypes"] == {"bacteria": 1, "normal": 1, "virus": 1}
    for words in (
        "metadata.csv: 1 images of another modality than X-ray: left out",
        "metadata.csv: 1 lateral images: left out",
        "metadata.csv: 1 images of other findings alone (1 'Tuberculosis'): left out",
        "metadata.csv: 1 images without a label",
    ):
        assert words in shown


@pytest.mark.parametrize("source", ["nih", "chexpert", "covid_chestxray", "kermany"])
def test_columns_are_for_a_table_only(source: str, tmp_path: Path) -> None:
    data = DataSpec(source=source, root=str(tmp_path), columns=ColumnSpec(label="x"))
    with pytest.raises(SettingsError, match=f"data.columns goes with source csv only, and data.source is {source}"):
        list_radiographs(Suite(data=data), tmp_path)


def test_columns_are_options_of_the_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nih(tmp_path / "nih", FINDINGS)
    table = tmp_path / "nih/mine.csv"
    table.write_text((tmp_path / "nih/Data_Entry_2017.csv").read_text().replace("Patient ID", "Case"))
    report = str(tmp_path / "audit.json")
    assert main(["audit", str(table), "--data.columns.patient", "Case", "--output", report]) == 0
    assert "6 images, 4 patients" in capsys.readouterr().out
    assert main(["audit", str(table), "--training.epochs", "3", "--output", report]) == 2
    assert "option --training.epochs: only settings of the data" in capsys.readouterr().err
