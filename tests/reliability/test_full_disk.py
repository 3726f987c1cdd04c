"""A disk that is full at any write: the run stops with one message, keeps what is finished, and goes on later."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pneumobench.cli.exit_codes import WRONG_SETTINGS
from pneumobench.cli.main import main
from pneumobench.files import TEMPORARY
from tests.end_to_end.commands import pneumobench
from tests.end_to_end.test_side_by_side import results
from tests.reliability.faults import (
    MS_RDONLY,
    MS_REMOUNT,
    SETTINGS,
    finished,
    largest_file,
    mount,
    temporary_files,
)

WORDS = "What was finished is kept: free some room and start again to go on."
# pictures and checks of heat maps are written too
ALL = (
    "run", "smoke", "--controls.names", "[majority]", "--explanation.images_per_fold", "4",
    "--explanation.overlays_per_fold", "1", "--explanation.checked_images_per_fold", "2",
    "--architectures", "test_resnet", "--training.epochs", "2",
)  # fmt: skip


@contextmanager
def full_at(chosen: Callable[[Path], bool], place: str) -> Iterator[list[Path]]:
    """Have writes of chosen files find no room where their temporary file is made, or where it is synced."""
    hit: list[Path] = []

    def no_room(path: Path) -> None:
        if chosen(path):
            hit.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    make, sync = tempfile.mkstemp, os.fsync

    def mkstemp(*arguments: Any, **options: Any) -> tuple[int, str]:
        if place == "made" and TEMPORARY in str(options.get("suffix", "")):
            no_room(Path(options["dir"]) / options["prefix"].strip("."))
        return make(*arguments, **options)

    def fsync(handle: int) -> None:
        if place == "synced":
            temporary = Path(f"/proc/self/fd/{handle}").readlink()
            no_room(temporary.parent / temporary.name[1:].split(TEMPORARY)[0].rpartition(".")[0])
        sync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", mkstemp)
        patch.setattr(os, "fsync", fsync)
        yield hit


def kept(run: Path, before: dict[str, str]) -> None:
    assert before.items() <= finished(run).items()


KEY_FILES = ("resume.ckpt.new", "weights.safetensors", "record.json", "index.html")
EVERY_FILE = (
    "suite.yaml", "folds.json", "manifest.json", "resume.ckpt.new", "resume.ckpt.sha256", "weights.safetensors",
    "history.csv", "predictions.csv", "record.json", "attention.csv", "maps.npz", "explanation.json", "gradcam.csv",
    "index.html", "leaderboard.json",
)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("synced", KEY_FILES),
        pytest.param("synced", EVERY_FILE, marks=pytest.mark.long),
        pytest.param("made", EVERY_FILE, marks=pytest.mark.long),
    ],
    ids=["key files", "every file", "every file is made"],
)
def test_a_disk_that_is_full_once_at_each_file_costs_no_finished_job(
    place: str,
    names: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*ALL, "--folds", "0"]
    assert main([*command, "--output", "whole"]) == 0
    met: set[Path] = set()
    run = tmp_path / "runs/smoke"
    while True:  # each start gets as far as the next file that was never written before
        before = finished(run)
        with full_at(lambda path: path not in met and (names == EVERY_FILE or path.name in names), place) as hit:
            code = main(command)
        said = capsys.readouterr().err
        kept(run, before)
        assert temporary_files(tmp_path) == []
        if not hit:
            break
        assert code == WRONG_SETTINGS, (hit, said)
        assert said.startswith("pneumobench: no room left to write "), said
        name = (tmp_path / hit[0]).relative_to(tmp_path)
        assert said.endswith(f"{name}: No space left on device. {WORDS}\n"), (
            said,
            hit,
        )
        assert len(hit) == 1, "the run stops there"
        met.update(hit)
    assert code == 0
    assert {path.name for path in met} >= set(names)
    assert results(run) == results(tmp_path / "whole/smoke")
    assert main(["leaderboard", "runs/smoke"]) == 0, "the manifest holds"


@pytest.mark.long
def test_a_disk_that_is_full_at_the_nth_write_costs_no_finished_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*ALL, "--output", "whole"]) == 0
    expected, n, code = results(tmp_path / "whole/smoke"), 0, 2
    while code:
        n += 1
        left = [n]

        def nth(path: Path, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == 0

        shutil.rmtree("runs", ignore_errors=True)
        with full_at(nth, "synced") as hit:
            code = main(list(ALL))
        said = capsys.readouterr().err
        if hit:
            assert (code, said.endswith(f"{WORDS}\n")) == (WRONG_SETTINGS, True), (n, hit, said)
        before = finished(tmp_path / "runs/smoke")
        assert main(list(ALL)) == 0
        kept(tmp_path / "runs/smoke", before)
        assert results(tmp_path / "runs/smoke") == expected, n
        assert temporary_files(tmp_path) == []
    assert n > 40, "writes"


@pytest.mark.long
def test_a_limit_of_the_system_on_the_size_of_files_is_a_full_disk(folder: Path) -> None:
    before = finished(folder / "runs/smoke")
    command = ("run", *ALL[1:], "--folds", "0", "--name", "limited")
    size, seen = 2**14, set()
    while size <= 2**26:
        done = pneumobench(*command, cwd=folder, before=partial(largest_file, size))
        if done.returncode == 0:
            break
        assert done.returncode == WRONG_SETTINGS, done.stderr
        assert "Traceback" not in done.stderr
        assert WORDS in done.stderr or "are needed for decoded images" in done.stderr
        seen.add(done.stderr)
        assert temporary_files(folder) == []
        size *= 4
    assert done.returncode == 0
    assert any("File too large" in words for words in seen)
    assert finished(folder / "runs/smoke") == before


@pytest.mark.long
def test_jobs_side_by_side_stop_with_the_run_that_finds_no_room(folder: Path) -> None:
    before = finished(folder / "runs/smoke")
    command = ("run", "smoke", *SETTINGS, "--architectures", "waits,quick", "--jobs", "2")
    shutil.rmtree(folder / "runs/smoke/quick/fold-1")
    before = {name: sha256 for name, sha256 in before.items() if not name.startswith("quick/fold-1/")}
    done = pneumobench(*command, cwd=folder, before=partial(largest_file, 2**9))
    assert done.returncode == WRONG_SETTINGS, done.stderr
    assert WORDS in done.stderr
    assert "Traceback" not in done.stderr
    assert finished(folder / "runs/smoke") == before
    again = pneumobench(*command, cwd=folder)
    assert again.returncode == 0, again.stderr
    kept(folder / "runs/smoke", before)


def _on_a_growing_disk(folder: Path, answers: Any) -> None:
    """Start a run on a disk of 256 KiB, and again with some more each time it is full, to its end."""
    os.chdir(folder)
    disk = folder / "disk"
    disk.mkdir()
    kib = 256
    try:
        mount(disk, f"size={kib}k")
    except OSError:
        answers.put(None)
        return
    codes: list[int] = []
    lost = 0
    while not codes or (codes[-1] and kib < 2**15):
        before = finished(disk / "smoke")
        codes.append(main([*ALL, "--output", str(disk)]))
        lost += not before.items() <= finished(disk / "smoke").items()
        kib += 256
        mount(disk, f"size={kib}k", MS_REMOUNT)
    whole = results(disk / "smoke")
    mount(disk, "", MS_REMOUNT | MS_RDONLY)
    again = main([*ALL, "--output", str(disk)])  # all is finished: nothing is written
    other = main([*ALL, "--output", str(disk), "--name", "other"])
    answers.put((codes, lost, whole, again, other))


@pytest.mark.long
def test_a_disk_that_is_really_full_or_read_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    processes = multiprocessing.get_context("fork")
    answers: Any = processes.Queue()
    process = processes.Process(target=_on_a_growing_disk, args=(tmp_path, answers))
    process.start()
    answer = answers.get(timeout=280)
    process.join()
    if answer is None:
        pytest.skip("this system lets this user mount nothing")
    codes, lost, whole, again, other = answer
    said = capfd.readouterr().err
    assert codes[-1] == 0
    assert set(codes[:-1]) == {WRONG_SETTINGS}
    assert said.count("No space left on device") + said.count("are needed for decoded images") == len(codes) - 1
    assert "Traceback" not in said
    assert lost == 0
    assert (again, other) == (0, WRONG_SETTINGS)
    assert "Read-only file system. Choose a writable folder with --output." in said
    done = pneumobench(*ALL, cwd=tmp_path)
    assert done.returncode == 0
    assert results(tmp_path / "runs/smoke") == whole
