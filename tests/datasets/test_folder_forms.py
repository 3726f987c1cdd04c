"""Class folders in every form that people have, litter and links among them, and roots a level or two too high."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.file_names import is_litter
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing
from pneumobench.datasets.layouts.kermany import list_kermany
from pneumobench.datasets.links import files_below
from pneumobench.datasets.opening import open_images
from pneumobench.datasets.sources import list_radiographs, recognised_data
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.published_sets import write_nih
from tests.datasets.tiny_sets import write_image, write_kermany

LITTER = (
    "Thumbs.db", "thumbs.db", "desktop.ini", ".DS_Store", "._IM-0001-0001.jpeg", "~$list.xlsx", "notes.txt~",
    "IM-0001-0001.jpeg:Zone.Identifier",
)  # fmt: skip
LITTER_FOLDERS = ("__MACOSX", ".ipynb_checkpoints", ".git", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
NAMES = {"normal": "IM-{:04d}-0001.jpeg", "bacteria": "person{}_bacteria_1.jpeg", "virus": "person1{}_virus_1.jpeg"}


def write_classes(base: Path, folders: dict[str, str], *, count: int = 2, first: int = 0) -> Path:
    """Write a few images into each folder, named after its class (normal, bacteria or virus)."""
    for number, (folder, name) in enumerate(folders.items()):
        for image in range(count):
            path = base / folder / NAMES[name].format(first + image)
            write_image(path, seed=first * 1000 + number * 100 + image)
    return base


def listing_of(root: Path, **settings: object) -> Listing:
    data = DataSpec(source="kermany", root=str(root), **settings)  # type: ignore[arg-type]
    return list_radiographs(Suite(data=data), root)[1]


def counts(listing: Listing) -> dict[Hashable, int]:
    return {key: len(rows) for key, rows in listing.rows.groupby(["split", "label", "subtype"])}


FLAT = {("train", 0, "normal"): 2, ("train", 1, "bacteria"): 2}
THREE = {**FLAT, ("train", 1, "virus"): 2}


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"NORMAL": "normal", "PNEUMONIA": "bacteria"}, FLAT),
        ({"normal": "normal", "Pneumonia": "bacteria"}, FLAT),
        ({"No Finding": "normal", "bacterial pneumonia": "bacteria"}, FLAT),
        ({"BACTERIA": "bacteria", "VIRUS": "virus", "NORMAL": "normal"}, THREE),
        ({"bacterial": "bacteria", "Viral": "virus", "Normal": "normal"}, THREE),
        ({"Train/normal": "normal", "Train/pneumonia": "bacteria"}, FLAT),
        ({"training/NORMAL": "normal", "training/BACTERIA": "bacteria", "training/VIRUS": "virus"}, THREE),
        ({"NORMAL/images": "normal", "PNEUMONIA/images": "bacteria"}, FLAT),
    ],
    ids=str,
)
def test_forms_of_class_folders(folders: dict[str, str], expected: Mapping[Hashable, int], tmp_path: Path) -> None:
    write_classes(tmp_path / "data", folders)
    assert recognised_data(tmp_path / "data").source == "kermany"
    listing = listing_of(tmp_path / "data")
    assert (counts(listing), listing.problems, listing.notes) == (expected, (), ())


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "TESTING"), ("TRAIN", "Test_Set")])
def test_official_parts_in_any_spelling(train: str, test: str, tmp_path: Path) -> None:
    write_classes(tmp_path, {f"{train}/NORMAL": "normal", f"{train}/PNEUMONIA": "virus"})
    write_classes(tmp_path, {f"{test}/Normal": "normal", f"{test}/Pneumonia": "virus"}, first=10)
    assert counts(listing_of(tmp_path)) == {
        (part, *rest): 2 for part in ("train", "test") for rest in ((0, "normal"), (1, "virus"))
    }


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_validation_part_is_named_with_its_count(name: str, tmp_path: Path) -> None:
    write_kermany(tmp_path)
    write_classes(tmp_path, {f"{name}/NORMAL": "normal", f"{name}/PNEUMONIA": "virus"}, first=20)
    listing = listing_of(tmp_path)
    assert len(listing.rows) == 10
    assert listing.notes == (f"{name}/: 4 images are not read: the validation part is cut from the training part",)


def test_folders_of_other_classes_are_left_out_by_name_and_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kermany(tmp_path / "data")
    for number in range(3):
        write_image(tmp_path / f"data/train/COVID19/c{number}.png", seed=500 + number)
    write_image(tmp_path / "data/test/Tuberculosis/images/t.png", seed=600)
    (tmp_path / "data/train/empty").mkdir()
    assert main(["audit", str(tmp_path / "data"), "--output", str(tmp_path / "audit.json")]) == 0
    shown = capsys.readouterr().out
    assert "train/COVID19/: 3 images of another class than normal and pneumonia: left out" in shown
    assert "test/Tuberculosis/: 1 image of another class than normal and pneumonia: left out" in shown
    assert "empty" not in shown


def test_images_in_places_that_are_not_read_are_counted(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    before = listing_of(tmp_path)
    for name in (
        "train2/NORMAL/a.png",
        "train2/PNEUMONIA/b.png",
        "NORMAL/c.png",
        "d.png",
        "train/e.png",
        "other/f.png",
    ):
        write_image(tmp_path / name, seed=len(name))
    after = listing_of(tmp_path)
    assert after.rows.equals(before.rows)
    assert set(after.notes) == {
        "1 image in no class folder: left out",
        "train/: 1 image in no class folder: left out",
        "train2/: 2 images beside train/: left out",
        "NORMAL/: 1 image beside train/: left out",
        "other/: 1 image beside train/: left out",
    }


def test_images_beside_images_of_a_class_are_read_too(tmp_path: Path) -> None:
    write_classes(tmp_path, {"NORMAL/images": "normal", "PNEUMONIA/images": "bacteria"})
    write_image(tmp_path / "NORMAL/IM-0077-0001.jpeg", seed=77)
    write_image(tmp_path / "NORMAL/masks/IM-0077-0001.png", seed=78)
    assert len(listing_of(tmp_path).rows) == 5


@pytest.mark.parametrize(
    "name", ["non-COVID pneumonia", "pneumonia ruled out", "NORMAL and PNEUMONIA", "no pneumonia?"]
)
def test_a_folder_whose_name_does_not_say_its_class_is_refused(name: str, tmp_path: Path) -> None:
    write_kermany(tmp_path)
    write_image(tmp_path / "train" / name / "x.png")
    with pytest.raises(DataError, match="does not say whether its images show pneumonia; rename it"):
        listing_of(tmp_path)


def test_litter_is_not_seen_anywhere(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    before = listing_of(tmp_path)
    for folder in ("", "train", "train/NORMAL", "test/PNEUMONIA"):
        for name in LITTER:
            (tmp_path / folder / name).write_bytes(b"x")
        for name in LITTER_FOLDERS:
            write_image(tmp_path / folder / name / "PNEUMONIA/person7_virus_7.jpeg")
    after = listing_of(tmp_path)
    assert after.rows.equals(before.rows)
    assert (after.problems, after.notes) == ((), ())
    assert all(is_litter(name) for name in (*LITTER, *LITTER_FOLDERS))
    assert not any(map(is_litter, ("IM-0001-0001.jpeg", "person1_virus_1.jpeg", "NORMAL", "index.csv", "a~b.png")))


@pytest.mark.parametrize("above", ["archive", "archive/unpacked", "download/chest_xray/chest_xray"])
def test_a_root_a_level_or_two_too_high_is_found_and_said(
    above: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kermany(tmp_path / "data" / above)
    (tmp_path / "data/__MACOSX/train").mkdir(parents=True)
    assert main(["audit", str(tmp_path / "data"), "--output", str(tmp_path / "audit.json")]) == 0
    shown = capsys.readouterr().out
    assert "10 images" in shown
    assert "read from " in shown
    assert "/ in the data folder" in shown


def test_two_places_on_one_level_are_not_guessed(tmp_path: Path) -> None:
    write_kermany(tmp_path / "first")
    write_kermany(tmp_path / "second")
    for ask in (lambda: recognised_data(tmp_path), lambda: listing_of(tmp_path)):
        with pytest.raises(DataError, match=r"first/ and second/ both hold data \(2 such folders\); name one"):
            ask()


def test_the_highest_place_counts(tmp_path: Path) -> None:
    """The archive on Kaggle holds a second copy of itself in a folder of its own name."""
    write_kermany(tmp_path / "chest_xray")
    shutil.copytree(tmp_path / "chest_xray", tmp_path / "chest_xray/chest_xray")
    assert len(listing_of(tmp_path).rows) == 10


def test_a_table_and_a_published_set_are_found_a_level_below(tmp_path: Path) -> None:
    write_nih(tmp_path / "nih/data", ["Pneumonia", "Mass", "No Finding", "No Finding"], lists=False)
    assert recognised_data(tmp_path / "nih").source == "nih"
    write_image(tmp_path / "own/set/a.png")
    (tmp_path / "own/set/labels.tsv").write_text("image\tlabel\na.png\tyes\n")
    spec = recognised_data(tmp_path / "own")
    assert (spec.source, spec.csv) == ("csv", "labels.tsv")
    root, listing = list_radiographs(Suite(data=spec), tmp_path)
    assert root == tmp_path / "own/set"
    assert listing.notes[0] == "read from set/ in the data folder"


def test_a_file_that_is_no_table_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "labels.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="neither a folder of radiographs nor a table"):
        recognised_data(tmp_path / "labels.xlsx")


# names and links


def test_names_that_no_table_can_hold_are_problems(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    folder = os.fsencode(tmp_path / "train/NORMAL")
    for name in (b"IM-\xff.jpeg", b"IM-\n.jpeg", b"IM-\x1b[31m.jpeg"):
        shutil.copy(os.fsencode(tmp_path / "train/NORMAL/IM-0001-0001.jpeg"), folder + b"/" + name)
    problems = listing_of(tmp_path).problems
    assert len(problems) == 3
    for problem in problems:
        assert "has control characters or bytes that are no text in its name; rename it" in problem
        assert problem.isprintable()
        problem.encode()


def test_a_name_and_a_folder_of_two_etiologies_are_a_problem(tmp_path: Path) -> None:
    write_classes(tmp_path, {"NORMAL": "normal", "BACTERIA": "bacteria", "VIRUS": "virus"})
    (tmp_path / "VIRUS/person0_bacteria_1.jpeg").write_bytes(
        (tmp_path / "BACTERIA/person0_bacteria_1.jpeg").read_bytes()
    )
    assert listing_of(tmp_path).problems == (
        "VIRUS/person0_bacteria_1.jpeg: its name says bacteria, its folder virus; move or rename it",
    )


def linked(tmp_path: Path) -> Path:
    """Return a data folder whose class folders are links to a store, and one of whose images is."""
    write_kermany(tmp_path / "store", test=False)
    root = tmp_path / "data"
    (root / "train/PNEUMONIA").mkdir(parents=True)
    (root / "train/NORMAL").symlink_to(tmp_path / "store/train/NORMAL")
    for file in (tmp_path / "store/train/PNEUMONIA").iterdir():
        (root / "train/PNEUMONIA" / file.name).symlink_to(file)
    return root


def test_links_out_of_the_root_need_a_setting(tmp_path: Path) -> None:
    root = linked(tmp_path)
    index, problems = read_radiographs(Suite(data=DataSpec(source="kermany", root=str(root), follow_links=True)))
    assert problems == ()
    assert len(index.table) == 8
    assert "store" not in index.to_csv()
    with pytest.raises(
        DataError, match=r"leads out of the data folder; copy the file into it, or allow links with data\.fo"
    ):
        read_radiographs(Suite(data=DataSpec(source="kermany", root=str(root))))


def test_links_within_the_root_need_none(tmp_path: Path) -> None:
    write_kermany(tmp_path / "data/store", test=False)
    (tmp_path / "data/train").symlink_to(tmp_path / "data/store/train")
    _, problems = read_radiographs(Suite(data=DataSpec(source="kermany", root=str(tmp_path / "data"))))
    assert problems == ()


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_link_in_a_circle_is_a_problem(follow_links: bool, tmp_path: Path) -> None:
    write_kermany(tmp_path)
    (tmp_path / "train/NORMAL/IM-0003-0001.jpeg").symlink_to(tmp_path / "train/NORMAL/IM-0004-0001.jpeg")
    (tmp_path / "train/NORMAL/IM-0004-0001.jpeg").symlink_to(tmp_path / "train/NORMAL/IM-0003-0001.jpeg")
    listing = listing_of(tmp_path, follow_links=follow_links)
    _, problems = open_images(tmp_path, listing)
    assert problems == tuple(
        f"train/NORMAL/IM-000{number}-0001.jpeg: is a link in a circle; remove it" for number in (3, 4)
    )


def test_folders_in_a_circle_are_refused_where_links_are_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png")
    (tmp_path / "images/again").symlink_to(tmp_path)
    assert list(files_below(tmp_path, follow_links=False)) == ["images/a.png"]
    with pytest.raises(DataError, match="images/again: is a link in a circle, to a folder that it lies in; remove it"):
        list(files_below(tmp_path, follow_links=True))


def test_a_table_may_name_linked_images_and_masks(tmp_path: Path) -> None:
    write_image(tmp_path / "store/a.png", seed=1)
    write_image(tmp_path / "store/m.png", seed=2)
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "images/a.png").symlink_to(tmp_path / "store/a.png")
    (root / "images/m.png").symlink_to(tmp_path / "store/m.png")
    (root / "index.csv").write_text("image,label,lung_mask\nimages/a.png,1,images/m.png\n")
    data = DataSpec(source="csv", root=str(root), follow_links=True)
    assert read_radiographs(Suite(data=data))[1] == ()


def test_a_path_with_two_dots_is_no_link_and_never_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / "data").mkdir()
    row = ("../a.png", "train", 1, "x", "p", "")
    listing = Listing(rows=pd.DataFrame([row], columns=list(LISTING_COLUMNS)), follow_links=True)
    _, problems = open_images(tmp_path / "data", listing)
    assert problems == ("../a.png: leads out of the data folder; name the folder above as the data folder",)


@pytest.mark.parametrize("key", ["csv", "lung_masks"])
@pytest.mark.parametrize("path", ["/abs/x", "../x", "a/../../x", "a\0b"])
def test_paths_of_the_settings_are_below_the_root(key: str, path: str, tmp_path: Path) -> None:
    write_kermany(tmp_path)
    with pytest.raises(SettingsError, match=rf"data\.{key} is .*; expected (a path|no line break)"):
        listing_of(tmp_path, **{key: path})


def test_the_official_folders_are_listed_as_before(tmp_path: Path) -> None:
    write_kermany(tmp_path / "chest_xray")
    assert list_kermany(tmp_path, "").rows["image_id"].iloc[0] == "chest_xray/train/NORMAL/IM-0001-0001.jpeg"
