from __future__ import annotations

import errno
import hashlib
import math
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from pneumobench.errors import SettingsError
from pneumobench.files import (
    canonical_json,
    read_sealed,
    remove_left_over,
    reserve,
    sha256_of_file,
    sha256_of_text,
    temporary_folder,
    write_json,
    write_sealed,
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


def _write_until_killed(folder: Path) -> None:
    with temporary_folder(folder, "squares") as squares, written_whole(folder / "deep/x.npy") as temporary:
        (squares / "0.npy").write_bytes(b"half")
        temporary.write_bytes(b"half")
        (folder / "ready").touch()
        signal.pause()


def test_what_a_killed_writer_leaves_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    (tmp_path / ".squares-abc").mkdir()  # of version 0.1.0
    (tmp_path / ".lock").touch()
    writer = multiprocessing.get_context("spawn").Process(target=_write_until_killed, args=(tmp_path,))
    writer.start()
    while not (tmp_path / "ready").exists():
        assert writer.is_alive()
        time.sleep(0.01)
    remove_left_over(tmp_path)
    living = {path.name for path in tmp_path.rglob("*")} - {".lock", "ready", "deep"}
    assert len(living) == 3, living
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    remove_left_over(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {".lock", "ready", "deep"}


def test_reserved_room_holds_what_was_written_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    for missing in (False, True):  # macOS has no such call
        if missing:
            monkeypatch.delattr(os, "posix_fallocate")
        path.write_bytes(b"header")
        os.truncate(path, 3 * 2**20)
        assert path.stat().st_blocks * 512 < 2**20
        reserve(path)
        assert path.stat().st_blocks * 512 >= 3 * 2**20
        assert path.read_bytes() == b"header" + bytes(3 * 2**20 - 6)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    (tmp_path / "x").touch()
    os.truncate(tmp_path / "x", 5 * 2**20)
    with pytest.raises(SettingsError, match=r"5 MiB are needed for decoded images.*choose another --output"):
        reserve(tmp_path / "x")


def test_a_sealed_value_comes_back_only_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_sealed(path, {"a": [1, 2]})
    assert read_sealed(path) == {"a": [1, 2]}
    for text in (path.read_text().replace("2", "3"), path.read_text()[:-9], "[]", "", "{}", "null"):
        path.write_text(text)
        assert read_sealed(path) is None
    assert read_sealed(tmp_path / "missing.json") is None
