"""A table names its images as another system, program or folder did; no folder of that system comes into the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.image_names import ImageFinder
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.tiny_sets import write_image

FILES = ("images/a.png", "images/b.PNG", "images/deep/c.jpeg", "x/same.png", "y/same.png", "masks/a.png", "scan1.dcm")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file in FILES:
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "data/images/._a.png").write_bytes(b"x")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "image_id", "how"),
    [
        ("images/a.png", "images/a.png", "as written"),
        ("./images//a.png", "images/a.png", "as written"),
        ("images\\a.png", "images/a.png", "as written"),
        (".\\images\\deep\\c.jpeg", "images/deep/c.jpeg", "as written"),
        ("images/deep/../a.png", "images/a.png", "as written"),
        ("images/a", "images/a.png", "elsewhere"),
        ("images/b", "images/b.PNG", "elsewhere"),
        ("images/b.png", "images/b.PNG", "elsewhere"),
        ("IMAGES/A.PNG", "images/a.png", "elsewhere"),
        ("a.png", "images/a.png", "elsewhere"),
        ("a", "images/a.png", "elsewhere"),
        ("c.png", "images/deep/c.jpeg", "elsewhere"),
        ("scan1", "scan1.dcm", "elsewhere"),
        ("/home/me/project/images/a.png", "images/a.png", "elsewhere"),
        ("C:\\Users\\me\\images\\a.png", "images/a.png", "elsewhere"),
        ("\\\\server\\share\\images\\a.png", "images/a.png", "elsewhere"),
        ("file:///home/me/images/a.png", "images/a.png", "elsewhere"),
        ("~/images/a.png", "images/a.png", "elsewhere"),
        ("/elsewhere/y/same.png", "y/same.png", "elsewhere"),
        ("masks/a.png", "masks/a.png", "as written"),
        ("gone.png", "gone.png", "missing"),
        ("images/gone.png", "images/gone.png", "missing"),
    ],
)
def test_a_name_leads_to_its_file(name: str, image_id: str, how: str, root: Path) -> None:
    found = ImageFinder(root).find(name)
    assert (found.image_id, found.how, found.problem) == (image_id, how, "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("same.png", "same.png may be x/same.png or y/same.png; write the path with its folder"),
        ("a\0.png", "has control characters in its name"),
        ("a\x1b[31m.png", "has control characters in its name"),
        ("/home/me/secret/gone.png", "gone.png: no such file below the data folder"),
        ("..\\secret\\gone.png", "gone.png: no such file below the data folder"),
        ("C:/secret/gone.png", "gone.png: no such file below the data folder"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_problem_that_names_no_folder(name: str, words: str, root: Path) -> None:
    found = ImageFinder(root).find(name)
    assert found.how == "unusable"
    assert words in found.problem
    assert "secret" not in found.problem
    assert "\x1b" not in found.problem


def test_absolute_paths_below_the_root_are_stored_relative(root: Path) -> None:
    assert ImageFinder(root).find(str(root / "images/a.png")).image_id == "images/a.png"
    (root.parent / "link").symlink_to(root)
    assert ImageFinder(root.parent / "link").find(str(root / "images/a.png")).image_id == "images/a.png"


def test_a_name_that_is_too_long_for_the_disk_is_missing(root: Path) -> None:
    assert ImageFinder(root).find("a" * 5000 + ".png").how == "missing"


def test_a_file_whose_name_has_a_backslash_is_taken_as_it_is(root: Path) -> None:
    (root / "odd\\name.png").write_bytes(b"x")
    assert ImageFinder(root).find("odd\\name.png").image_id == "odd\\name.png"


def test_every_way_of_naming_images_gives_one_index(tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / f"images/{number}.png", seed=number)
    ways = {
        "plain": "images/{}.png",
        "windows": "images\\{}.png",
        "bare": "{}",
        "absolute": f"{tmp_path}/images/{{}}.png",
        "elsewhere": "/mnt/other/images/{}.png",
    }
    indexes = set()
    for way, form in ways.items():
        rows = "".join(f"{form.format(number)},{number % 2}\n" for number in range(4))
        (tmp_path / f"{way}.csv").write_text(f"image,label\n{rows}")
        data = DataSpec(source="csv", root=str(tmp_path), csv=f"{way}.csv")
        index, problems = read_radiographs(Suite(data=data))
        assert problems == ()
        assert str(tmp_path) not in index.to_csv() + " ".join(index.notes)
        indexes.add(index.hash())
    assert len(indexes) == 1


def test_a_zero_byte_is_a_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_bytes(b"image,label\na\0.png,1\nb.png,0\n")
    listing = list_csv(tmp_path, "index.csv")
    assert listing.problems == ("index.csv line 2: has control characters in its name; correct it",)
