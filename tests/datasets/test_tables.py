"""One table in every dress that people, spreadsheets and pandas give it; what cannot be read is said with its line."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.datasets.layouts import Listing
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.datasets.tables import read_text_table
from pneumobench.errors import DataError
from pneumobench.suite.columns import ColumnSpec

ROWS = [
    ("image", "label", "patient", "age"),
    ("images/a.png", "PNEUMONIA", "Müller, Ä", "3"),
    ("images/b.png", "NORMAL", "007", "4"),
]


def written(separator: str, *, line_end: str = "\n", quoted: bool = False) -> str:
    def cell(text: str) -> str:
        return f'"{text}"' if quoted or separator in text else text

    return line_end.join(separator.join(cell(text) for text in row) for row in ROWS) + line_end


def listed(
    folder: Path, content: str | bytes, *, name: str = "table.csv", columns: ColumnSpec | None = None
) -> Listing:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return list_csv(folder, name, columns)


def check(listing: Listing) -> None:
    assert listing.problems == ()
    assert listing.rows["image_id"].tolist() == ["images/a.png", "images/b.png"]
    assert listing.rows["label"].tolist() == [1, 0]
    assert listing.rows["patient"].tolist() == ["Müller, Ä", "007"]
    assert any("columns that are not read: age" in note for note in listing.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_encodings(separator: str, encoding: str, tmp_path: Path) -> None:
    listing = listed(tmp_path, written(separator).encode(encoding))
    check(listing)
    assert any("Windows-1252" in note for note in listing.notes) == (encoding == "cp1252")


@pytest.mark.parametrize("name", ["index.csv", "index.tsv", "LABELS.TXT"])
def test_suffixes(name: str, tmp_path: Path) -> None:
    check(listed(tmp_path, written("\t"), name=name))


@pytest.mark.parametrize(
    "content",
    [
        written(",", line_end="\r\n"),
        written(",", line_end="\r"),
        written(";", quoted=True),
        "sep=;\r\n" + written(";", line_end="\r\n"),
        "\n\n" + written(","),
        written(",") + ",,,\n\n , ,,\n",
        written(",").replace("\n", ",,\n"),
        written(",").replace("\n", "\n\n"),
        written(";").replace(";", " ; "),
        written(",").replace("image,", " Image ,").replace("label", "LABEL").replace("patient", "Patient"),
        written(",") + "\x1a",
        written(",").rstrip("\n"),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_spreadsheets_leave_behind(content: str, tmp_path: Path) -> None:
    check(listed(tmp_path, content))


@pytest.mark.parametrize("separator", [",", "\t"])
def test_what_pandas_leaves_behind(separator: str, tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS[1:], columns=list(ROWS[0]))
    once = table.to_csv(sep=separator)
    check(listed(tmp_path, once))
    twice = pd.read_csv(io.StringIO(once), sep=separator, dtype=str).to_csv(sep=separator)
    assert "Unnamed: 0" in twice
    check(listed(tmp_path, twice))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "table.csv: not a readable CSV table but a spreadsheet workbook"),
        (b"\xd0\xcf\x11\xe0rest", "an old spreadsheet workbook"),
        (b"\x1f\x8brest", "a gzip archive"),
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"image,label\na.png,\x81\n", "neither UTF-8, UTF-16 nor Windows-1252"),
        (b'image,label\na.png,"0\nb.png,1\n', "line 3: not a readable CSV table: unexpected end of data"),
        (b"image,label\na.png,0\nb,1.png,1\n", "line 3: 3 cells, and 2 headings"),
        (b"image,label,Label\na.png,0,1\n", "column 'label' stands twice"),
        (
            b"path,file,label\na.png,a.png,0\n",
            "'path' and 'file' may be the column image; say which with data.columns.image",
        ),
        (b"image,label,pateint\na.png,0,p\n", "column 'pateint' seems to name the patients; rename it to patient"),
        (b"filename label\na.png 0\n", "column image, label is missing; found filename label"),
    ],
)
def test_a_table_that_cannot_be_read_says_where_and_why(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, content)
    assert words in str(caught.value)


def test_the_lines_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\nsep=,\nimage,label,note\n\na.png,0,"two\nlines"\nb.png,1,\n')
    table = read_text_table(tmp_path / "t.csv")
    assert dict(zip((row[0] for row in table.rows), table.lines, strict=True)) == {"a.png": 6, "b.png": 7}


@pytest.mark.parametrize(
    ("headings", "role"),
    [
        ("filename,finding,patientid", "patient"),
        ("Image Index,Finding Labels,Patient ID", "patient"),
        ("Path,Pneumonia,Subject_ID", "patient"),
        ("IMAGE_PATH,class,Patients", "patient"),
        ("X_ray_image_name,Label,PatientNumber", "patient"),
    ],
)
def test_usual_headings_are_found_and_said(headings: str, role: str, tmp_path: Path) -> None:
    listing = listed(tmp_path, f"{headings}\na.png,1,p7\nb.png,0,p8\n")
    assert listing.rows["patient"].tolist() == ["p7", "p8"]
    assert any(note.endswith(f"is read as {role}") for note in listing.notes)


def test_ages_and_sexes_are_no_patients(tmp_path: Path) -> None:
    listing = listed(tmp_path, "image,label,Patient Age,Patient Gender\na.png,0,50,M\nb.png,1,50,M\n")
    assert listing.rows["patient"].tolist() == ["a.png", "b.png"]
    assert listing.notes == ("table.csv: columns that are not read: Patient Age, Patient Gender",)


COLUMNS = ColumnSpec(image="Image Index", label="Finding Labels", patient="Patient ID")


def test_columns_are_named_in_the_suite(tmp_path: Path) -> None:
    text = "Image Index,Finding Labels,image,label,Patient ID\na.png,Pneumonia|Mass,x,y,1\nb.png,No Finding,x,y,2\n"
    listing = listed(tmp_path, text, columns=COLUMNS)
    assert listing.rows["label"].tolist() == [1, 0]
    assert listing.rows["patient"].tolist() == ["1", "2"]
    assert listing.notes == ("table.csv: columns that are not read: image, label",)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            ColumnSpec(image="Image Indx"),
            "column 'Image Indx' (data.columns.image) is missing; did you mean Image Index?",
        ),
        (ColumnSpec(image="Patient ID", patient="Patient ID"), "column 'Patient ID' is named for image and patient"),
    ],
)
def test_a_column_that_is_named_has_to_be_there(columns: ColumnSpec, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, "Image Index,Finding Labels,Patient ID\na.png,1,1\n", columns=columns)
    assert words in str(caught.value)


def test_what_is_neither_is_left_out_by_name_and_counted(tmp_path: Path) -> None:
    listing = listed(
        tmp_path,
        "image,label,view\na.png,1,PA\nb.png,0,\nc.png,COVID-19,AP\nd.png,COVID-19,AP\ne.png,TB,AP\nf.png,-1,AP\n"
        "g.png,,AP\nh.png,1,L\ni.png,1,Axial\n",
    )
    assert listing.rows["image_id"].tolist() == ["a.png", "b.png"]
    assert listing.problems == ()
    assert listing.notes == (
        "table.csv: 1 lateral images: left out",
        "table.csv: 1 images of another view (1 'Axial'): left out",
        "table.csv: 1 images of which no view is stated: kept",
        "table.csv: 3 images of other findings alone (2 'COVID-19', 1 'TB'): left out",
        "table.csv: 1 images whose label is uncertain (the first in line 7): left out",
        "table.csv: 1 images without a label (the first in line 8): left out",
    )


def test_parts_are_read_in_any_spelling_and_val_is_train(tmp_path: Path) -> None:
    listing = listed(
        tmp_path, "image,label,Split\na.png,1,Training\nb.png,0,TEST\nc.png,1,valid\nd.png,0,\ne.png,0,nan\n"
    )
    assert listing.rows["split"].tolist() == ["train", "test", "train", "train", "train"]
    assert "1 images of a validation part are read as train" in listing.notes[0]


def test_three_classes_as_labels(tmp_path: Path) -> None:
    rows = listed(tmp_path, "image,label\na.png,BACTERIA\nb.png,Viral pneumonia\nc.png,Normal\n").rows
    assert rows["label"].tolist() == [1, 1, 0]
    assert rows["subtype"].tolist() == ["bacteria", "virus", "normal"]


def test_a_row_that_repeats_another_is_read_once_and_said(tmp_path: Path) -> None:
    listing = listed(tmp_path, "image,label,patient\na.png,1,p\nb.png,0,q\na.png,yes,p\n.\\a.png,1,p\n")
    assert listing.rows["image_id"].tolist() == ["a.png", "b.png"]
    assert listing.notes == ("table.csv: 2 rows repeat another row: each image is read once",)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.png,1,p,\nb.png,0,q,\na.png,0,p,\n", "lines 2 and 4: a.png is listed twice, with label '1' and '0'"),
        ("a.png,1,p,\n./a.png,COVID,p,\n", "lines 2 and 3: a.png is listed twice, with label '1' and 'COVID'"),
        ("a.png,1,p,\nb/../a.png,1,q,\n", "lines 2 and 3: a.png is listed twice, with patient 'p' and 'q'"),
        ("a.png,1,p,train\na.png,1,p,test\n", "lines 2 and 3: a.png is listed twice, with split 'train' and 'test'"),
    ],
)
def test_one_file_with_two_meanings_is_refused_with_both_lines(rows: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, f"image,label,patient,split\n{rows}")
    assert words in str(caught.value)


def test_comments_above_the_headings_are_passed_over(tmp_path: Path) -> None:
    check(listed(tmp_path, "# made by a colleague\n# in May\n" + written(",")))


def test_text_of_four_bytes_a_letter_is_read(tmp_path: Path) -> None:
    check(listed(tmp_path, written(";").encode("utf-32")))


def test_a_table_without_headings_is_named_as_that(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its first line is that of an image, not of headings \(images/a\.png"):
        listed(tmp_path, "\n".join(written(",").splitlines()[1:]))
