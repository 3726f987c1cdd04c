from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from pneumobench.errors import SettingsError
from pneumobench.files import (
    canonical_json,
    sha256_of_file,
    sha256_of_text,
    write_json,
    write_text,
    written_whole,
)


def test_text_is_written_with_its_folders_and_unix_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "name.txt"
    write_text(path, "eins\nzwei ä\n")
    assert path.read_bytes() == "eins\nzwei ä\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["name.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_exception_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    def fail_half_way() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half of the n")
            assert temporary.parent == path.parent  # a move within a folder is one step
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_makes_no_new_file(tmp_path: Path) -> None:
    def interrupt() -> None:
        with written_whole(tmp_path / "new.json") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    with written_whole(tmp_path / "films.npy") as temporary:  # numpy and OpenCV go by the suffix
        assert temporary.suffix == ".npy"


@pytest.mark.parametrize("inside", ["x.json", "deeper/x.json"])
def test_an_unwritable_folder_names_the_option(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SettingsError, match=r"cannot write .*file.*x\.json: .*Choose a writable folder with --output"):
        write_text(tmp_path / "file" / inside, "text")


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": [0.5, None, "ä"]}) == canonical_json({"a": [0.5, None, "ä"], "b": 1})
    assert canonical_json({"a": "ä"}) == '{\n "a": "ä"\n}\n'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_canonical_json_refuses_what_is_no_json(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"auc": [number]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", number)
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("ä".encode())
    expected = hashlib.sha256("ä".encode()).hexdigest()
    assert sha256_of_text("ä") == expected
    assert sha256_of_file(tmp_path / "x") == expected
