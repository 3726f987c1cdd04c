"""The queue on disk: whatever step a process is cut off at, nothing is lost and nothing is done twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pneumobench.errors import NoRoomError, RecordError, SettingsError
from pneumobench.prediction.dicom.identity import Kind
from pneumobench.prediction.dicom.spool import Entry, Spool, make_folder

ONE = Entry.of("1.2.3", "a" * 64)
RESULTS: dict[Kind, bytes] = {"picture": b"p", "report": b"r"}
STEPS = ("open", "fsync", "replace", "rename", "unlink", "rmdir")


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(step: int) -> Iterator[list[int]]:
    """Cut off before the so manieth change of the disk; nothing that follows is done either."""
    count = [0]

    def counted(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] > step:
                raise Killed
            return plain(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for home, names in ((os, ("fsync",)), (Path, ("replace", "rename", "unlink", "rmdir"))):
            for name in names:
                patch.setattr(home, name, counted(getattr(home, name)))
        yield count


def through(spool: Spool) -> None:
    """Take an image through all places."""
    if spool.keep(ONE, b"image") == "new" or spool.waiting():
        spool.answered(ONE, RESULTS)
    for path in spool.results(ONE):
        path.unlink()
    if spool.outgoing():
        spool.delivered(ONE)


def state(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}


def test_an_image_goes_from_place_to_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue")
    assert spool.keep(ONE, b"image") == "new"
    assert spool.waiting() == [ONE]
    assert spool.image(ONE).read_bytes() == b"image"
    spool.answered(ONE, RESULTS)
    assert (spool.waiting(), spool.outgoing()) == ([], [ONE])
    assert [path.read_bytes() for path in spool.results(ONE)] == [b"p", b"r"]
    spool.delivered(ONE)
    assert state(tmp_path / "queue") == {"done.txt"}
    assert (tmp_path / "queue").stat().st_mode & 0o077 == 0, "others on this machine do not see images of patients"


def test_duplicates_are_told_apart_in_every_place_and_after_a_restart(tmp_path: Path) -> None:
    other = Entry.of("1.2.3", "b" * 64)
    for last in range(4):
        folder = tmp_path / str(last)
        spool = Spool(folder)
        spool.keep(ONE, b"image")
        if last > 0:
            spool.answered(ONE, RESULTS)
        if last > 1:
            spool.delivered(ONE)
        for one in (spool, Spool(folder)):
            before = state(folder)
            assert one.keep(ONE, b"image") == "same"
            assert one.keep(other, b"other") == "other"
            assert state(folder) == before


def test_what_cannot_be_asked_about_is_kept_and_tried_again_when_it_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(ONE, b"image")
    spool.set_aside(ONE)
    assert spool.waiting() == []
    assert spool.aside() == 1
    assert state(tmp_path) == {"done.txt", f"failed/{ONE.name}.dcm"}
    assert spool.keep(ONE, b"image") == "new"
    assert state(tmp_path) == {"done.txt", f"incoming/{ONE.name}.dcm"}


def test_a_kill_at_any_step_loses_nothing() -> None:
    """Tried at every step: what was kept is there after the next start, and the way goes on to its end."""
    steps = 0
    while True:
        import tempfile

        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            spool = Spool(folder)
            kept = False
            try:
                with killed_at(steps):
                    kept = spool.keep(ONE, b"image") == "new"
                    through(spool)
                return
            except Killed:
                pass
            again = Spool(folder)
            assert len(again.waiting()) + len(again.outgoing()) <= 1, f"twice after step {steps}"
            known = again.keep(ONE, b"image")
            assert known == "same" or not kept, f"lost at step {steps}"
            through(again)
            assert state(folder) == {"done.txt"}, f"after step {steps}"
            assert (folder / "done.txt").read_text().count("\n") == 1, f"after step {steps}"
        steps += 1
        assert steps < 100


def test_the_beginning_of_a_line_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(ONE, b"image")
    spool.answered(ONE, RESULTS)
    spool.delivered(ONE)
    done = tmp_path / "done.txt"
    whole = done.read_text()
    done.write_text(whole + "0123")
    assert Spool(tmp_path).keep(ONE, b"image") == "same"
    assert done.read_text() == whole
    done.write_text("something else\n")
    with pytest.raises(RecordError, match=r"done\.txt: line 1 is no pair of hashes"):
        Spool(tmp_path)


def test_a_folder_that_holds_something_else_is_no_queue(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match=r"--queue .*: is no queue: it holds thesis\.tex\. Name a new folder"):
        make_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755, "it is left as it was"
    with pytest.raises(SettingsError, match=r"--queue .*thesis\.tex: cannot be written: .*Name a folder of your own"):
        Spool(tmp_path / "thesis.tex")


@pytest.mark.parametrize("what", ["keep", "answered", "delivered"])
def test_a_full_disk_is_told_and_leaves_all_as_it_was(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    steps: list[Callable[[], Any]] = [
        lambda: spool.keep(ONE, b"image"),
        lambda: spool.answered(ONE, RESULTS),
        lambda: spool.delivered(ONE),
    ]
    number = ["keep", "answered", "delivered"].index(what)
    for step in steps[:number]:
        step()
    before = state(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoRoomError, match="no room left to write"):
            steps[number]()
    assert state(tmp_path) == before
    for step in steps[number:]:
        step()
    assert state(tmp_path) == {"done.txt"}
