"""How much lies on two sides of a split, counted on images that were put there on purpose."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from pneumobench.datasets.folds import Folds
from pneumobench.errors import RecordError
from pneumobench.files import write_json
from pneumobench.leaderboard.leak_certificate import NEAR, leak_certificate
from pneumobench.records.loaded_run import GatheredRun
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.verification import certificate_lines

COUNTS = {"pairs": 3, "across_folds": 1}


def _run(folder: Path, *, source: str = "csv", protocol: str = "image_random") -> GatheredRun:
    """Return six images in two folds and two more: one child and one picture lie on both sides."""
    names = [f"chest_xray/train/PNEUMONIA/person{number}_virus_{image}.jpeg" for image, number in enumerate("112234")]
    names += ["chest_xray/test/PNEUMONIA/person1_bacteria_9.jpeg", "chest_xray/test/PNEUMONIA/person9_virus_1.jpeg"]
    index = pd.DataFrame(
        {
            "image_id": names,
            "patient": ["1", "1", "2", "2", "3", "4", "1", "9"],
            "sha256": ["a", "b", "c", "d", "e", "e", "c", "f"],
            "label": 1,
            "subtype": "virus",
            "split": ["train"] * 6 + ["test"] * 2,
        }
    ).set_index("image_id")
    folds = Folds(
        count=2, seed=1, index_hash="", tune_fraction=0.2, tune=((names[1],), (names[0],)),
        test_fold=dict(zip(names[:6], (0, 1, 1, 1, 0, 1), strict=True)), official_test=tuple(names[6:]),
        protocol=cast(Any, protocol),
    )  # fmt: skip
    write_json(folder / "audit.json", {NEAR: COUNTS})
    suite = SimpleNamespace(data=SimpleNamespace(source=source, patient_rule="number"))
    return cast(GatheredRun, SimpleNamespace(folder=RunFolder(folder), index=index, folds=folds, suite=suite))


def test_what_lies_on_two_sides_is_counted(tmp_path: Path) -> None:
    found = leak_certificate(_run(tmp_path))
    assert found.patients == {"number": 1}, "child 1 is tested in both folds, and chosen on in both"
    assert found.contents == 1, "picture e is tested in both folds and trained on in the other"
    assert found.official_patients == {"number": 1}
    assert found.official_contents == 1, "picture c"
    assert found.near_duplicates == COUNTS
    assert "pairs that look alike: 3, across folds 1" in certificate_lines(found)


def test_file_names_of_kermany_are_read_by_both_rules(tmp_path: Path) -> None:
    found = leak_certificate(_run(tmp_path, source="kermany"))
    assert found.patients == {"number": 1, "folder_subtype_number": 1}
    assert found.official_patients == {"number": 1, "folder_subtype_number": 0}, "another folder, another child"


def test_without_an_official_folder_nothing_is_said_of_it(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run = cast(GatheredRun, SimpleNamespace(**{**vars(run), "folds": dataclasses.replace(run.folds, official_test=())}))
    found = leak_certificate(run)
    assert (found.official_patients, found.official_contents) == (None, None)
    assert not [line for line in certificate_lines(found) if line.startswith("official")]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"near_duplicate_counts": {"pairs": "many"}}'])
def test_an_audit_that_did_not_look_is_no_certificate(text: str, tmp_path: Path) -> None:
    run = _run(tmp_path)
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(RecordError, match="run the suite again"):
        leak_certificate(run)
