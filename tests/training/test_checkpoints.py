from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file
from pneumobench.training import checkpoints
from pneumobench.training.checkpoints import SafeCheckpointIO, can_resume, is_whole, remove_checkpoint


def _save(path: Path, value: int) -> None:
    SafeCheckpointIO().save_checkpoint({"value": torch.tensor(value)}, path)


def _value(path: Path) -> int:
    return int(SafeCheckpointIO().load_checkpoint(path)["value"])


def test_a_damaged_checkpoint_gives_way_to_the_previous_one(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    _save(path, 1)
    _save(path, 2)
    assert _value(path) == 2
    path.write_bytes(path.read_bytes()[:-7])
    assert not is_whole(path)
    assert can_resume(path)
    assert _value(path) == 1


def test_two_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    _save(path, 1)
    path.write_bytes(b"")
    assert not can_resume(path)
    with pytest.raises(RecordError, match=r"resume.ckpt: the checkpoint and the one before it are damaged"):
        _value(path)


@pytest.mark.parametrize("crash_in", ["_HashedFile.flush", "_HashedFile.write", "write_text"])
def test_a_crash_while_writing_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_in: str
) -> None:
    path = tmp_path / "resume.ckpt"
    _save(path, 1)

    def crash(*_: object) -> str:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(f"{checkpoints.__name__}.{crash_in}", crash)
        with pytest.raises(OSError, match="disk full"):
            _save(path, 2)
    assert _value(path) == 1
    _save(path, 3)
    assert _value(path) == 3


def test_a_kill_between_two_renames_leaves_the_previous_epoch(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    _save(path, 1)
    _save(path, 2)
    path.replace(path.with_name("resume.ckpt.previous"))  # the first of the renames of a third save
    assert can_resume(path)
    assert _value(path) == 2


def test_the_hash_is_that_of_the_file_which_is_not_read_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resume.ckpt"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "sha256_of_file", None)
        SafeCheckpointIO().save_checkpoint({"value": torch.arange(300_000), "words": ["a"] * 9}, path)
    assert path.with_name("resume.ckpt.sha256").read_text().strip() == sha256_of_file(path)
    assert is_whole(path)


def test_removal_takes_everything(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    _save(path, 1)
    _save(path, 2)
    remove_checkpoint(path)
    assert list(tmp_path.iterdir()) == []


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "resume.ckpt"
    SafeCheckpointIO().save_checkpoint({"value": Path("/")}, path)  # a class: needs pickle to run code
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        SafeCheckpointIO().load_checkpoint(path)
