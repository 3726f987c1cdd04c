from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pneumobench.datasets.index import (
    INDEX_COLUMNS,
    SHOWN_PROBLEMS,
    Index,
    contents,
    limit_images,
    problem_error,
    read_index_table,
    unknown_patients,
)
from pneumobench.datasets.layouts import Listing
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.datasets.layouts.kermany import list_kermany
from pneumobench.datasets.opening import open_images
from pneumobench.errors import DataError
from pneumobench.files import sha256_of_file
from tests.datasets.tiny_sets import index_of, synthetic_index, write_image, write_kermany

# folders of Kermany et al.


@pytest.mark.parametrize("below", ["", "chest_xray"])
def test_kermany_folders_are_listed(below: str, tmp_path: Path) -> None:
    write_kermany(tmp_path / below)
    listing = list_kermany(tmp_path, "")
    rows = listing.rows.set_index("image_id")
    assert listing.problems == ()
    assert len(rows) == 10
    assert rows["split"].value_counts().to_dict() == {"train": 8, "test": 2}
    prefix = f"{below}/" if below else ""
    odd = rows.loc[f"{prefix}train/PNEUMONIA/person447_virus_921_1.jpeg"]
    assert (odd["patient"], odd["subtype"], odd["label"]) == ("person447", "virus", 1)
    normal = rows.loc[f"{prefix}train/NORMAL/NORMAL2-IM-0002-0001-0002.jpeg"]
    assert (normal["patient"], normal["subtype"], normal["label"]) == ("NORMAL2-IM-0002", "normal", 0)
    assert rows[rows["patient"] == "person1"]["subtype"].tolist() == ["bacteria", "virus"]
    assert set(rows["lung_mask"]) == {""}


def test_the_official_test_folder_may_be_absent(tmp_path: Path) -> None:
    rows = list_kermany(write_kermany(tmp_path, test=False), "").rows
    assert set(rows["split"]) == {"train"}


@pytest.mark.parametrize("below", ["", "chest_xray"])
def test_lung_masks_mirror_the_image_folders(below: str, tmp_path: Path) -> None:
    write_kermany(tmp_path / below)
    write_image(tmp_path / "lung_masks/train/NORMAL/IM-0001-0002.png")
    rows = list_kermany(tmp_path, "lung_masks").rows
    masked = rows[rows["lung_mask"] != ""]
    assert masked["lung_mask"].tolist() == ["lung_masks/train/NORMAL/IM-0001-0002.png"]
    assert masked["image_id"].tolist()[0].endswith("train/NORMAL/IM-0001-0002.jpeg")


def test_a_missing_mask_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of lung masks; set"):
        list_kermany(write_kermany(tmp_path), "masks")


def test_a_missing_train_folder_shows_what_is_there_and_the_tree(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"(?s)no class folders \(pictures\).*train/NORMAL/\*\.jpeg .*VIRUS/"):
        list_kermany(tmp_path, "")
    with pytest.raises(DataError, match=r"no class folders \(no such folder\)"):
        list_kermany(tmp_path / "gone", "")
    with pytest.raises(DataError, match=r"no class folders \(empty\)"):
        list_kermany(tmp_path / "pictures", "")


@pytest.mark.parametrize("folder", ["train/PNEUMONIA", "test/NORMAL"])
def test_a_missing_or_empty_class_folder_is_named(folder: str, tmp_path: Path) -> None:
    write_kermany(tmp_path)
    shutil.rmtree(tmp_path / folder)
    with pytest.raises(DataError, match=rf"(?s){folder}: class folder is missing. Expected:\n.*train/NORMAL"):
        list_kermany(tmp_path, "")
    (tmp_path / folder).mkdir()
    (tmp_path / folder / ".DS_Store").write_bytes(b"x")
    with pytest.raises(DataError, match=f"{folder}: class folder is empty"):
        list_kermany(tmp_path, "")


def test_a_foreign_file_is_a_problem_and_litter_is_not(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    (tmp_path / "train/NORMAL/notes.docx").write_bytes(b"x")
    (tmp_path / "train/NORMAL/Thumbs.db").write_bytes(b"x")
    (tmp_path / "train/NORMAL/.DS_Store").write_bytes(b"x")
    (tmp_path / "train/NORMAL/._IM-0001-0001.jpeg").write_bytes(b"x")
    listing = list_kermany(tmp_path, "")
    assert listing.problems == ("train/NORMAL/notes.docx: not an image file of a known kind",)
    assert len(listing.rows) == 10


def test_a_foreign_name_has_no_patient_and_unknown_subtype(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    write_image(tmp_path / "train/PNEUMONIA/covid 7.PNG")
    rows = list_kermany(tmp_path, "").rows.set_index("image_id")
    foreign = rows.loc["train/PNEUMONIA/covid 7.PNG"]
    assert (foreign["patient"], foreign["subtype"], foreign["label"]) == ("", "unknown", 1)


# tables


def listed(folder: Path, text: str) -> Listing:
    (folder / "index.csv").write_text(text)
    return list_csv(folder, "index.csv")


def test_a_table_of_two_columns_is_enough(tmp_path: Path) -> None:
    listing = listed(tmp_path, "image,label\na.png,NORMAL\nb.png,PNEUMONIA\nc.png,0\nd.png,1\ne.png,pneumonia\n")
    rows = listing.rows
    assert listing.problems == ()
    assert rows["label"].tolist() == [0, 1, 0, 1, 1]
    assert rows["patient"].tolist() == rows["image_id"].tolist(), "each image is its own patient"
    assert rows["subtype"].tolist() == ["normal", "pneumonia", "normal", "pneumonia", "pneumonia"]
    assert set(rows["split"]) == {"train"}
    assert set(rows["lung_mask"]) == {""}


def test_a_full_table_is_taken_as_it_is_and_gaps_are_filled(tmp_path: Path) -> None:
    rows = listed(
        tmp_path,
        "split,patient,subtype,lung_mask,image,label\n"
        "train,007,virus,masks/a.png,a.png,1\n"
        "test,8,,,b.png,0\n"
        ",,normal,,c.png,0\n",
    ).rows
    assert rows["patient"].tolist() == ["007", "8", "c.png"]
    assert rows["subtype"].tolist() == ["virus", "unknown", "normal"]
    assert rows["split"].tolist() == ["train", "test", "train"]
    assert rows["lung_mask"].tolist() == ["masks/a.png", "", ""]


def test_nobody_is_called_nan_and_spellings_of_a_number_are_one_patient(tmp_path: Path) -> None:
    patients = ["NA", "nan", "12", "00012", "12.0", "", "P1"]
    for number in range(len(patients)):
        write_image(tmp_path / f"{number}.png", seed=number)
    rows = "".join(f"{number}.png,{number % 2},{patient}\n" for number, patient in enumerate(patients))
    index, _ = open_images(tmp_path, listed(tmp_path, f"image,label,patient\n{rows}"))
    assert index.table["patient"].tolist() == ["0.png", "1.png", "00012", "00012", "00012", "5.png", "P1"]
    assert index.table["group"].tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert unknown_patients(index.table).sum() == 3
    assert index.identity.joined == (("00012", "12", "12.0"),)


def test_an_unknown_label_is_a_problem_with_its_line(tmp_path: Path) -> None:
    listing = listed(tmp_path, "image,label\na.png,NORMAL\nb.png,Pnuemonia\nc.png,7\nd.png,1\n")
    assert listing.problems == (
        "index.csv line 3: label 'Pnuemonia' of b.png; expected pneumonia or normal, in any usual spelling; "
        "did you mean pneumonia?",
        "index.csv line 4: label '7' of c.png; expected pneumonia or normal, in any usual spelling",
    )
    assert listing.rows["image_id"].tolist() == ["a.png", "d.png"]
    assert listing.rows["label"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,age\na.png,0\n", "column label is missing; found image, age"),
        ("a;0\nb;1\n", "column image, label is missing; found a, 0"),
        ("image,label\na.png,0\nb.png,1\n./a.png,1\n", "lines 2 and 4: a.png is listed twice, with label '0' and '1'"),
        ("image,label,split\na.png,0,fold1\n", "line 2: split 'fold1' is not known; expected train, val or test"),
        ("image,label\nx/a.png,0\nx/y/../a.png,1\n", "lines 2 and 3: x/a.png is listed twice, with label '0' and '1'"),
        ("", "not a readable CSV table"),
    ],
)
def test_a_wrong_table_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, text)
    assert words in str(caught.value)
    assert "index.csv" in str(caught.value)


def test_a_missing_table_names_the_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv: no such table \(found empty\). Expected columns: image,label\["):
        list_csv(tmp_path, "gone.csv")


# opening


def test_images_are_opened_hashed_measured_and_sorted(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png", seed=1, height_px=7, width_px=9)
    write_image(tmp_path / "a.png", seed=2)
    shutil.copy(tmp_path / "b.png", tmp_path / "copy.png")
    index, problems = open_images(tmp_path, listed(tmp_path, "image,label\nb.png,1\na.png,0\ncopy.png,1\n"))
    table = index.table
    assert problems == ()
    assert list(table.columns) == [*INDEX_COLUMNS, "picture"]
    assert table["image_id"].tolist() == ["a.png", "b.png", "copy.png"]
    assert table["label"].tolist() == [0, 1, 1]
    assert (table["width"].tolist(), table["height"].tolist()) == ([16, 9, 9], [12, 7, 7])
    assert table["sha256"].tolist() == [sha256_of_file(tmp_path / name) for name in table["image_id"]]
    assert table["group"].tolist() == [0, 1, 1], "identical content is one group, whoever the patient is"


def test_all_unusable_images_are_listed_at_once(tmp_path: Path) -> None:
    for name in ("good.jpeg", "cut.jpeg"):
        write_image(tmp_path / name, height_px=40, width_px=40)
    content = (tmp_path / "cut.jpeg").read_bytes()
    (tmp_path / "cut.jpeg").write_bytes(content[: len(content) // 2])
    (tmp_path / "zero.jpeg").write_bytes(b"")
    (tmp_path / "page.jpeg").write_text("<html>not found</html>")
    listing = listed(
        tmp_path,
        "image,label,lung_mask\ngood.jpeg,0,masks/gone.png\ncut.jpeg,1,\nzero.jpeg,0,\npage.jpeg,1,\ngone.jpeg,0,\n"
        "other.png,Nromal,\n",
    )
    index, problems = open_images(tmp_path, listing)
    assert index.table["image_id"].tolist() == ["good.jpeg"]
    expected = [
        "label 'Nromal' of other.png",
        "cut.jpeg: truncated",
        "zero.jpeg: the file is empty",
        "page.jpeg: a web page",
        "gone.jpeg: no such file",
        "masks/gone.png: lung mask of good.jpeg is missing",
    ]
    assert len(problems) == len(expected)
    for words in expected:
        assert sum(words in problem for problem in problems) == 1, words


def test_the_error_shows_the_first_problems_and_counts_the_rest() -> None:
    few = str(problem_error(Path("images"), ("a.png: bad", "b.png: bad")))
    assert "images: 2 files cannot be used:\n  a.png: bad\n  b.png: bad\n" in few
    assert "pneumobench audit" in few
    many = str(problem_error(Path("images"), tuple(f"{n}.png: bad" for n in range(SHOWN_PROBLEMS + 5))))
    assert many.count(": bad") == SHOWN_PROBLEMS
    assert "and 5 more" in many


# index.csv


def test_an_index_survives_its_file(tmp_path: Path) -> None:
    index = index_of([("007", "00e1", 0), ("NA", "12", 1), ("a,b", "c", 1)], subtype=["normal", "01", ""])
    index.table["image_id"] = ["001", "002", "a b.png"]
    index.write(tmp_path / "index.csv")
    again = Index(root=index.root, table=read_index_table(tmp_path / "index.csv"))
    assert again.table.equals(index.table)
    assert again.hash() == index.hash()


def test_an_index_that_is_kept_has_numbers_in_place_of_names() -> None:
    index = index_of([("Erika Muster", "1", 0), ("Max Muster", "2", 1), ("Erika Muster", "3", 0), ("x", "4", 1)])
    index.table["patient"] = [*index.table["patient"][:3], "film-0003.png"]
    kept = index.without_names()
    assert kept.table["patient"].tolist() == ["patient-00001", "patient-00002", "patient-00001", "film-0003.png"]
    assert "Muster" not in kept.to_csv()
    assert kept.table["group"].tolist() == index.table["group"].tolist(), "the split is the same"
    assert index.table["patient"].iloc[0] == "Erika Muster"


def test_an_index_without_pictures_knows_images_by_their_bytes(tmp_path: Path) -> None:
    index = index_of([("a", "1", 0), ("b", "2", 1)])
    index.write(tmp_path / "older.csv")
    assert list(read_index_table(tmp_path / "older.csv").columns) == INDEX_COLUMNS
    assert contents(index.table) == {"1", "2"}
    assert contents(index.table.assign(picture=["p", "q"])) == {"1", "2", "p", "q"}


def test_the_index_hash_sees_content_label_and_patient() -> None:
    rows = [("a", "1", 0), ("b", "2", 1)]
    hashes = {
        index_of(changed).hash()
        for changed in (rows, [("a", "9", 0), rows[1]], [("a", "1", 1), rows[1]], [("c", "1", 0), rows[1]])
    }
    assert len(hashes) == 4
    assert index_of(rows, root=Path("elsewhere")).hash() == index_of(rows).hash(), "the place of the data is no part"


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("image_id,label\na,0\n")
    with pytest.raises(DataError, match=r"expected the columns image_id,split,label.* found image_id,label"):
        read_index_table(tmp_path / "index.csv")


# --limit


@pytest.mark.parametrize("limit", [2, 3, 20, 57])
def test_a_limit_keeps_whole_groups_and_both_classes_of_each_split(limit: int) -> None:
    index = synthetic_index(300, official_test=60)
    limited = limit_images(index, limit, 5).table
    largest = int(index.table.groupby("group").size().max())
    for split, part in limited.groupby("split"):
        whole = index.table[index.table["split"] == split]
        assert set(part["label"]) == {0, 1}
        assert limit <= len(part) < limit + 2 * largest
        assert part.groupby("group").size().equals(whole[whole["group"].isin(part["group"])].groupby("group").size())
    assert limited["image_id"].is_monotonic_increasing


def test_a_limit_depends_on_the_seed_only() -> None:
    index = synthetic_index(200)
    chosen = limit_images(index, 30, 5).table
    assert limit_images(index, 30, 5).table.equals(chosen)
    assert limit_images(index, 30, 6).table["image_id"].tolist() != chosen["image_id"].tolist()


def test_a_limit_above_all_keeps_all() -> None:
    index = synthetic_index(50, official_test=10)
    assert limit_images(index, 1000, 0).table.equals(index.table)
