from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.admission import refuse_unfit
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.folds import check_folds
from pneumobench.datasets.layouts.rsna import list_rsna
from pneumobench.datasets.layouts.vindr_pcxr import list_vindr_pcxr
from pneumobench.datasets.opening import open_images
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError, LeakError
from pneumobench.radiographs.formats import read_gray
from pneumobench.suite.spec import DataSpec, FoldSpec, Suite
from tests.datasets.published_sets import vindr_row, write_rsna, write_vindr
from tests.radiographs.dicom_files import CANARY


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# RSNA


@pytest.fixture
def rsna(tmp_path: Path) -> Path:
    return write_rsna(tmp_path / "rsna")


def test_rsna_is_one_row_an_image_however_many_boxes(rsna: Path) -> None:
    listing = list_rsna(rsna)
    rows = listing.rows
    assert (listing.problems, listing.notes) == ((), ())
    assert rows["image_id"].tolist() == [f"stage_2_train_images/film-{number:02d}.dcm" for number in range(6)]
    assert rows["label"].tolist() == [0, 0, 1, 0, 0, 1]
    assert rows["subtype"].tolist() == ["normal", "not_normal", "opacity"] * 2
    assert rows["patient"].tolist() == [f"film-{number:02d}" for number in range(6)], "each image is its own patient"
    assert set(rows["split"]) == {"train"}


def test_rsna_images_are_opened_the_inverted_ones_too(rsna: Path) -> None:
    index, problems = open_images(rsna, list_rsna(rsna))
    assert problems == ()
    assert len(index.table) == 6
    assert (index.table["height"].tolist(), index.table["width"].tolist()) == ([20] * 6, [30] * 6)
    upright, inverted = (read_gray(rsna / image) for image in index.table["image_id"].tolist()[:2])
    assert upright[0, 0] < upright[-1, -1]
    assert inverted[0, 0] > inverted[-1, -1], "MONOCHROME1: low levels are white"


@pytest.mark.parametrize(
    ("table", "old", "new", "problem"),
    [
        ("train_labels", "film-02,10.0,10.0,50.0,60.0,1", "film-02,,,,,0", "film-02.dcm: Target is '0' and '1'"),
        ("train_labels", "film-00,,,,,0", "film-00,,,,,2", "film-00.dcm: Target is '2'"),
        (
            "train_labels",
            "film-00,,,,,0",
            "film-00,,,,,1",
            "film-00.dcm: Target is 1 in stage_2_train_labels.csv, but",
        ),
        ("train_labels", "film-00,,,,,0\n", "", "film-00.dcm: stage_2_train_labels.csv has no row for it"),
        (
            "train_labels",
            "film-00,,,,,0\n",
            "film-00,,,,,0\nghost,,,,,0\n",
            "image ghost has no file in stage_2_train_",
        ),
        ("detailed_class_info", "film-00,Normal\n", "", "film-00.dcm: stage_2_detailed_class_info.csv has no row"),
        ("detailed_class_info", "film-00,Normal", "film-00,Healthy", "class is 'Healthy'"),
        (
            "detailed_class_info",
            "film-00,Normal",
            "film-00,Normal\nfilm-00,Lung Opacity",
            "'Normal' and 'Lung Opacity'",
        ),
    ],
)
def test_what_rsna_tables_get_wrong_is_a_problem_of_one_image(
    table: str, old: str, new: str, problem: str, rsna: Path
) -> None:
    edit(rsna / f"stage_2_{table}.csv", old, new)
    listing = list_rsna(rsna)
    (line,) = listing.problems
    assert problem in line
    assert len(listing.rows) == 6 - (0 if "ghost" in new else 1)


def test_spreadsheet_numbers_and_blanks_are_understood(rsna: Path) -> None:
    labels = rsna / "stage_2_train_labels.csv"
    labels.write_text(labels.read_text().replace(",1\n", ",1.0\n").replace("film-00,", "film-00 ,"))
    assert list_rsna(rsna).problems == ()


def test_foreign_files_and_second_files_of_an_image_are_problems(rsna: Path) -> None:
    folder = rsna / "stage_2_train_images"
    shutil.copy(folder / "film-00.dcm", folder / "film-00.dicom")
    (folder / "notes.txt").write_text("x")
    (folder / ".DS_Store").write_bytes(b"x")
    assert list_rsna(rsna).problems == (
        "stage_2_train_images/film-00.dicom: a second file of the image stage_2_train_images/film-00.dcm",
        "stage_2_train_images/notes.txt: not a DICOM file by its name",
    )


def test_images_without_published_labels_are_counted(rsna: Path) -> None:
    shutil.copytree(rsna / "stage_2_train_images", rsna / "stage_2_test_images")
    assert list_rsna(rsna).notes == ("stage_2_test_images/: 6 images without a published label are not read",)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stage_2_train_images", "stage_2_train_images: folder of images is missing"),
        ("stage_2_train_labels.csv", "stage_2_train_labels.csv: no such table"),
        ("stage_2_detailed_class_info.csv", "stage_2_detailed_class_info.csv: no such table"),
    ],
)
def test_an_incomplete_rsna_folder_shows_the_tree(name: str, words: str, rsna: Path) -> None:
    (rsna / name).rename(rsna / "away")
    with pytest.raises(DataError, match=r"(?s)Expected:\n    stage_2_train_images/<patientId>\.dcm") as caught:
        list_rsna(rsna)
    assert words in str(caught.value)


def test_a_table_without_its_column_is_refused(rsna: Path) -> None:
    edit(rsna / "stage_2_train_labels.csv", "Target", "Targets")
    with pytest.raises(DataError, match=r"column 'Target' is missing; did you mean Targets\?"):
        list_rsna(rsna)
    (rsna / "stage_2_train_labels.csv").write_text("")
    with pytest.raises(DataError, match="not a readable CSV table"):
        list_rsna(rsna)


def test_rsna_goes_from_the_folder_to_folds_by_kind(tmp_path: Path) -> None:
    root = write_rsna(tmp_path / "rsna", images_per_kind=6)
    suite = Suite(data=DataSpec(source="rsna", root=str(root)), folds=FoldSpec(count=2, tune_fraction=0.3))
    index, problems = read_radiographs(suite, tmp_path)
    assert problems == ()
    folds = make_folds(index, suite.folds, seed=0)
    check_folds(index, folds)
    tested = index.table["image_id"].map(folds.test_fold)
    assert index.table.groupby([tested, "subtype"]).size().tolist() == [3] * 6


# VinDr-PCXR


@pytest.fixture
def vindr(tmp_path: Path) -> Path:
    train = [
        vindr_row("a", "No finding"),
        vindr_row("b", "Pneumonia"),
        vindr_row("c", "Brocho-pneumonia", "Pneumonia"),
        vindr_row("d", "Pleuro-pneumonia", "Bronchitis"),
        vindr_row("e", "Bronchitis"),
        vindr_row("f", "Other disease", "Bronchitis"),
    ]
    test = [vindr_row("g", "No finding"), vindr_row("h", "Brocho-pneumonia")]
    return write_vindr(tmp_path / "vindr", {"train": train, "test": test})


def test_vindr_labels_are_pneumonia_against_no_finding(vindr: Path) -> None:
    listing = list_vindr_pcxr(vindr)
    rows = listing.rows
    assert listing.problems == ()
    assert rows["image_id"].tolist() == [
        *(f"train/{radiograph}.dicom" for radiograph in "abcd"),
        "test/g.dicom",
        "test/h.dicom",
    ]
    assert rows["label"].tolist() == [0, 1, 1, 1, 0, 1]
    kinds = ["normal", "pneumonia", "bronchopneumonia", "pleuropneumonia", "normal", "bronchopneumonia"]
    assert rows["subtype"].tolist() == kinds
    assert rows["split"].tolist() == ["train"] * 4 + ["test"] * 2
    assert rows["patient"].tolist() == list("abcdgh")
    assert listing.notes == ("train: 2 images show other diseases only, neither normal nor pneumonia: left out",)


def readers(*verdicts: str) -> list[str]:
    return [vindr_row("x", verdict, reader=f"R{number}") for number, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "subtype"),
    [
        (["Pneumonia", "Pneumonia", "No finding"], "pneumonia"),
        (["No finding", "Pneumonia", "No finding"], "normal"),
        (["Brocho-pneumonia", "Pneumonia", "No finding"], "bronchopneumonia"),
        (["Pneumonia", "Pneumonia", "Pleuro-pneumonia"], "pneumonia"),
        (["Bronchitis", "Bronchitis", "Pneumonia"], None),
        (["No finding", "No finding"], "normal"),
    ],
)
def test_most_readers_decide(verdicts: list[str], subtype: str | None, vindr: Path) -> None:
    write_vindr(vindr, {"train": [vindr_row("a", "No finding"), *readers(*verdicts)]})
    for radiograph in "bcdef":
        (vindr / f"train/{radiograph}.dicom").unlink()
    listing = list_vindr_pcxr(vindr)
    assert listing.problems == ()
    found = listing.rows.set_index("patient")["subtype"].to_dict().get("x")
    assert found == subtype


def test_a_tie_of_readers_is_a_problem(vindr: Path) -> None:
    with (vindr / "image_labels_test.csv").open("a") as table:
        table.write(vindr_row("h", "No finding", reader="R2") + "\n")
    listing = list_vindr_pcxr(vindr)
    (problem,) = listing.problems
    assert problem.startswith("test/h.dicom: its 2 readers disagree in image_labels_test.csv (1 normal, 1 pneumonia)")
    assert "h" not in set(listing.rows["patient"])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (vindr_row("g", "No finding", "Pneumonia"), "test/g.dicom: 'No finding' and a disease are both marked"),
        (vindr_row("g"), "test/g.dicom: nothing is marked in image_labels_test.csv, not even 'No finding'"),
        ("g,R1,1,0,maybe,0,0,0", "'Brocho-pneumonia' is 'maybe' in image_labels_test.csv line 2; expected 0 or 1"),
        ("z,R1,1,0,0,0,0,0", "test/g.dicom: image_labels_test.csv has no row for it"),
    ],
)
def test_what_a_vindr_table_gets_wrong_is_a_problem_of_one_image(row: str, problem: str, vindr: Path) -> None:
    edit(vindr / "image_labels_test.csv", vindr_row("g", "No finding"), row)
    listing = list_vindr_pcxr(vindr)
    assert problem in listing.problems[0]
    assert "g" not in set(listing.rows["patient"])
    if row.startswith("z"):
        assert listing.problems[1] == "image_labels_test.csv: image z has no file in test/"


def test_one_reader_is_one_vote(vindr: Path) -> None:
    with (vindr / "image_labels_test.csv").open("a") as table:
        table.write(vindr_row("h", "Pneumonia") + "\n")
    (problem,) = list_vindr_pcxr(vindr).problems
    assert problem == "test/h.dicom: a reader has two rows in image_labels_test.csv"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Pneumonia,Pleuro", "Pneumonia, Pneumonia,Pleuro", "column 'Pneumonia' stands twice"),
        (vindr_row("g", "No finding"), vindr_row("g", "No finding") + ",1", "line 2: 9 cells, and 8 headings"),
    ],
)
def test_a_table_whose_cells_do_not_fit_its_headings_is_refused(old: str, new: str, words: str, vindr: Path) -> None:
    edit(vindr / "image_labels_test.csv", old, new)
    with pytest.raises(DataError, match=words):
        list_vindr_pcxr(vindr)


def test_an_image_in_both_official_parts_is_refused(vindr: Path, tmp_path: Path) -> None:
    shutil.copy(vindr / "train/a.dicom", vindr / "test/g.dicom")
    suite = Suite(data=DataSpec(source="vindr_pcxr", root=str(vindr)))
    with pytest.raises(LeakError, match="is in train and in test of the data"):
        refuse_unfit(read_radiographs(suite, tmp_path)[0], suite)


def test_a_table_of_fewer_diseases_is_read(vindr: Path) -> None:
    (vindr / "image_labels_test.csv").write_text("image_id,No finding,Pneumonia\ng,1,0\nh,0,1\n")
    rows = list_vindr_pcxr(vindr).rows.set_index("patient")
    assert rows.loc[["g", "h"], "subtype"].tolist() == ["normal", "pneumonia"]


@pytest.mark.parametrize("name", ["train", "test", "image_labels_train.csv", "image_labels_test.csv"])
def test_an_incomplete_vindr_folder_shows_the_tree(name: str, vindr: Path) -> None:
    (vindr / name).rename(vindr / "away")
    with pytest.raises(DataError, match=rf"(?s){name}: .*Expected:\n    train/<image_id>\.dicom"):
        list_vindr_pcxr(vindr)


# audit


def test_the_audit_recognises_both(rsna: Path, vindr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "audit.json"
    assert main(["audit", str(rsna), "--output", str(report)]) == 0
    shown = capsys.readouterr().out
    assert "read as: rsna" in shown
    assert "train: 6 images (4 normal, 2 pneumonia; 2 normal, 2 not_normal, 2 opacity)" in shown
    assert (
        "images by part and class as published (card rsna): no\n    train normal: 4 images, 20672 are published"
        in shown
    )
    assert main(["audit", str(vindr), "--output", str(report)]) == 0
    shown = capsys.readouterr().out
    assert "read as: vindr_pcxr" in shown
    assert "train: 2 images show other diseases only" in shown
    metadata = json.loads(report.read_text())
    assert metadata["source"] == "vindr_pcxr"
    assert metadata["splits"]["test"]["pneumonia"] == 1
    assert metadata["left_out"] == ["train: 2 images show other diseases only, neither normal nor pneumonia: left out"]
    assert "patient_rules" not in metadata
    assert CANARY not in shown + report.read_text()


def test_a_damaged_image_is_a_problem_of_the_audit(
    rsna: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    radiograph = rsna / "stage_2_train_images/film-03.dcm"
    radiograph.write_bytes(radiograph.read_bytes()[:-200])
    (rsna / "stage_2_train_images/film-04.dcm").write_bytes(b"")
    assert main(["audit", str(rsna), "--source", "rsna", "--output", str(tmp_path / "audit.json")]) == 3
    shown = capsys.readouterr().out
    assert "files that cannot be used: 2" in shown
    assert "film-03.dcm: truncated" in shown
    assert "film-04.dcm: the file is empty" in shown


def test_a_set_of_problems_alone_names_them(rsna: Path) -> None:
    (rsna / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height,Target\n")
    with pytest.raises(DataError, match=r"(?s)6 files cannot be used.*film-00\.dcm: stage_2_train_labels\.csv has no"):
        read_radiographs(Suite(data=DataSpec(source="rsna", root=str(rsna))), Path())
