"""A file that is not what is computed again is named with its field and both values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pneumobench.errors import LeakError, RecordError
from pneumobench.records.differences import difference_of, leaves, numbers_in, text_differences

CSV = "architecture,auc,plugin\nresnet18,0.99,\nvit,0.98,film.py\n"


@pytest.mark.parametrize(
    ("file", "found", "expected", "said"),
    [
        ("a.json", '{"rows": [{"auc": 0.9}]}', '{"rows": [{"auc": 0.8}]}',
         ["a.json, rows.0.auc: found 0.9, expected 0.8"]),
        ("a.json", '{"a": 1}', '{"a": true}', ["a.json, a: found 1, expected true"]),
        ("a.json", '{"a": 1}', '{"a": 1, "b": "x"}', ["a.json, b: found nothing, expected x"]),
        ("a.json", '{"a": 1, "b": ""}', '{"a": 1}', ['a.json, b: found "", expected nothing']),
        ("a.json", '{"a":1}', '{"a": 1}', ['a.json, line 1: found {"a":1}, expected {"a": 1}']),
        ("a.json", '{"a": ', '{"a": 1}', ["a.json: found text that is not JSON (Expecting value"]),
        ("a.csv", CSV.replace("0.98", "0.97"), CSV, ["a.csv, line 3 (vit).auc: found 0.97, expected 0.98"]),
        ("a.csv", CSV.replace("auc", "acc"), CSV, ["a.csv, heading 2: found acc, expected auc"]),
        ("a.csv", CSV.replace("\nv", "\r\nv"), CSV, ["a.csv, line 2: found "]),
        ("a.csv", CSV + "swin,0.9,\n", CSV, ["a.csv, line 4 (swin).auc: found 0.9, expected nothing"]),
        ("a.csv", "", CSV, ["a.csv, line 2 (resnet18).auc: found nothing, expected 0.99"]),
        ("a.md", "one\ntwo \n", "one\ntwo\n", [r"a.md, line 2: found two \n, expected two\n"]),
        ("a.md", "one\n", "one\ntwo\n", [r"a.md, line 2: found nothing, expected two\n"]),
        ("a.md", "x" * 200 + "1", "x" * 200 + "2",
         ["a.md, line 1: found …xxxxxxxxxxxxxxxxxxxx1, expected …xxxxxxxxxxxxxxxxxxxx2"]),
    ],
)  # fmt: skip
def test_what_differs_is_named(file: str, found: str, expected: str, said: list[str]) -> None:
    told = "\n".join(map(str, text_differences(file, found.encode(), expected)))
    assert all(words in told for words in said), told
    assert text_differences(file, expected.encode(), expected) == []


@pytest.mark.parametrize("file", ["a.json", "a.csv", "a.md"])
def test_binary_garbage_is_named(file: str) -> None:
    (one,) = text_differences(file, b"\xff\x00", "{}")
    assert str(one) == f"{file}: found bytes that are not UTF-8 (at 0), expected text"
    assert text_differences(file, b"[" * 100_000, "{}"), "nested too deeply"


def test_numbers_are_counted() -> None:
    assert numbers_in("a.csv", CSV) == 2
    assert numbers_in("a.json", json.dumps({"a": [1, 2.5, None, True, "3"], "b": {"c": 0}})) == 3
    assert numbers_in("a.md", "0.5") == 0
    assert dict(leaves({"a": [], "b": {}})) == {"a": [], "b": {}}


def test_an_error_of_a_reader_is_a_difference(tmp_path: Path) -> None:
    record = tmp_path / "resnet18/record.json"
    record.parent.mkdir()
    record.write_text('{"training": {"train_images": 5000}}')
    said = f"{record}: found train_images 5000, expected 3348 (index.csv and folds.json). Delete the job's folder."
    one = difference_of(RecordError(said), tmp_path)
    assert (one.file, one.field) == ("resnet18/record.json", "training.train_images")
    assert (one.found, one.expected) == ("5000", "3348 (index.csv and folds.json)")
    leak = "patient 12 (e.g. train/1.png) is in test and train of fold 3 (folds.json): delete folds.json."
    one = difference_of(LeakError(leak), tmp_path)
    assert str(one) == "folds.json: patient 12 (e.g. train/1.png) is in test and train of fold 3 (folds.json)"
    one = difference_of(ValueError("mad"), tmp_path, file="audit.json")
    assert str(one) == "audit.json: found content that cannot be read (ValueError: mad), expected what a run has"
    assert difference_of(RecordError("all is lost"), tmp_path).file == "."
