from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pneumobench.datasets.audit import audit, audit_text, read_radiographs
from pneumobench.datasets.index import Index
from pneumobench.datasets.sources import list_radiographs
from pneumobench.errors import DataError
from pneumobench.files import canonical_json
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.spec import DATA_VARIABLE, DataSpec, Suite
from tests.datasets.tiny_sets import index_of, write_image, write_kermany


@pytest.fixture
def kermany(tmp_path: Path) -> Path:
    root = write_kermany(tmp_path / "kermany")
    shutil.copy(root / "train/NORMAL/IM-0001-0001.jpeg", root / "train/NORMAL/IM-0005-0001.jpeg")
    shutil.copy(root / "train/PNEUMONIA/person1_virus_6.jpeg", root / "test/NORMAL/IM-0100-0001.jpeg")
    write_image(root / "test/PNEUMONIA/person1_bacteria_3.jpeg", seed=70)
    write_image(root / "lung_masks/train/NORMAL/IM-0001-0002.png")
    return root


def kermany_suite(root: Path, **data: object) -> Suite:
    return Suite(name="x", data=DataSpec(source="kermany", root=str(root), **data))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of images is kept in the working folder here."""
    monkeypatch.chdir(tmp_path_factory.mktemp("kept"))


def test_the_facts_of_a_set(kermany: Path) -> None:
    index, problems = read_radiographs(kermany_suite(kermany, lung_masks="lung_masks"), Path())
    metadata = audit(index, problems)
    assert (metadata["images"], metadata["patients"]) == (13, 8)
    train, test = metadata["splits"]["train"], metadata["splits"]["test"]
    assert (train["images"], train["normal"], train["pneumonia"]) == (9, 5, 4)
    assert (test["images"], test["normal"], test["pneumonia"]) == (4, 2, 2)
    assert train["subtypes"] == {"bacteria": 1, "normal": 5, "virus": 3}
    assert (train["patients_normal"], train["patients_pneumonia"]) == (3, 2)
    assert (train["with_drawn_lung_mask"], test["with_drawn_lung_mask"]) == (1, 0)
    assert metadata["most_films_of_a_patient"] == 3
    assert metadata["identical_image_groups"] == [
        ["test/NORMAL/IM-0100-0001.jpeg", "train/PNEUMONIA/person1_virus_6.jpeg"],
        ["train/NORMAL/IM-0001-0001.jpeg", "train/NORMAL/IM-0005-0001.jpeg"],
    ] or metadata["identical_image_groups"] == [
        ["train/NORMAL/IM-0001-0001.jpeg", "train/NORMAL/IM-0005-0001.jpeg"],
        ["test/NORMAL/IM-0100-0001.jpeg", "train/PNEUMONIA/person1_virus_6.jpeg"],
    ]
    assert sorted(metadata["identical_across_patients"]) == [["IM-0001", "IM-0005"], ["IM-0100", "person1"]]
    assert metadata["identical_with_two_labels"] == [
        ["test/NORMAL/IM-0100-0001.jpeg", "train/PNEUMONIA/person1_virus_6.jpeg"]
    ]
    assert metadata["identical_in_train_and_test"] == 1
    assert metadata["patients_in_train_and_test"] == ["person1"]
    # person1, IM-0100 are one group by content; IM-0001, IM-0005 another
    assert metadata["groups"] == 6
    assert metadata["width_px"] == {"smallest": 16, "median": 16, "largest": 16}
    assert metadata["problems"] == []
    assert json.loads(canonical_json(metadata)) == metadata


def test_the_text_says_what_to_be_careful_about(kermany: Path) -> None:
    (kermany / "train/NORMAL/notes.docx").write_bytes(b"x")
    text = audit_text(audit(*read_radiographs(kermany_suite(kermany), Path())))
    assert "13 images, 8 patients, 6 groups" in text
    assert "train: 9 images (5 normal, 4 pneumonia; 1 bacteria, 5 normal, 3 virus)" in text
    words = (
        "groups of identical images: 2 (of files that differ: 0), across patients: 2, with two labels: 1, across train"
    )
    assert f"{words} and test: 1" in text
    assert "in both train and official test: 1 (e.g. person1): read official test scores with care" in text
    assert "files that cannot be used: 1\n    train/NORMAL/notes.docx: not an image file of a known kind" in text


def test_both_patient_rules_are_counted_and_one_is_used(kermany: Path) -> None:
    counts = {
        # person1 in train (bacteria, virus) and test; the two byte-identical pairs join two groups each
        "number": {"patients": 8, "groups": 6},
        "folder_subtype_number": {"patients": 10, "groups": 8},
        "image": {"patients": 13, "groups": 11},
    }
    for rule in counts:
        suite = kermany_suite(kermany, patient_rule=rule)
        index, _ = read_radiographs(suite, Path())
        metadata = audit(index, suite=suite)
        assert metadata["patient_rules"] == counts, "whichever rule is used"
        assert {"patients": metadata["patients"], "groups": metadata["groups"]} == counts[rule]
        assert metadata["patients_in_train_and_test"] == (["person1"] if rule == "number" else [])
        assert metadata["patients_unknown"] == (13 if rule == "image" else 0)
        assert "under patient rule folder_subtype_number: 10 patients, 8 groups" in audit_text(metadata)
    assert "patient_rules" not in audit(index)


def test_a_clean_set_has_no_warnings() -> None:
    metadata = audit(index_of([("a", "1", 0), ("b", "2", 1)]))
    assert metadata["identical_image_groups"] == []
    assert "with care" not in audit_text(metadata)
    assert "files that cannot be used: 0" in audit_text(metadata)


def test_unreadable_files_are_problems_and_the_rest_is_read(kermany: Path) -> None:
    (kermany / "train/NORMAL/IM-0001-0002.jpeg").write_bytes(b"")
    index, problems = read_radiographs(kermany_suite(kermany), Path())
    assert len(index.table) == 12
    assert len(problems) == 1
    assert "IM-0001-0002.jpeg: the file is empty" in problems[0]


def test_a_set_without_one_readable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("image,label\ngone.png,0\nlost.png,1\n")
    with pytest.raises(DataError, match=r"(?s)2 files cannot be used.*gone\.png: no such file"):
        read_radiographs(Suite(data=DataSpec(source="csv", root=str(tmp_path))), Path())


def test_missing_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"gone: no such data folder\. Name one with --data FOLDER"):
        read_radiographs(kermany_suite(tmp_path / "gone"), Path())
    (tmp_path / "index.csv").write_text("image,label\n")
    with pytest.raises(DataError, match="no image is listed"):
        read_radiographs(Suite(data=DataSpec(source="csv", root=str(tmp_path))), Path())
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(DataError, match="no such data folder"):
        read_radiographs(Suite(data=DataSpec(source="kermany")), Path())


def test_a_limit_is_applied_with_the_seed_of_the_suite(kermany: Path) -> None:
    limited = read_radiographs(kermany_suite(kermany, limit_images=2), Path())[0]
    assert len(limited.table) < 13
    assert set(limited.table.loc[limited.table["split"] == "train", "label"]) == {0, 1}


def test_phantoms_are_drawn_and_listed(tmp_path: Path) -> None:
    phantoms = PhantomSpec(patients=4, official_test_patients=2, side_px=64)
    suite = Suite(data=DataSpec(source="phantoms", phantoms=phantoms))
    root, listing = list_radiographs(suite, tmp_path)
    index, problems = read_radiographs(suite, tmp_path)
    assert problems == ()
    assert isinstance(index, Index)
    assert len(index.table) == len(listing.rows)
    assert all((root / mask).is_file() for mask in index.table["lung_mask"])
    assert index.table[index.table["split"] == "train"]["patient"].nunique() == 4
