"""Whose a folder is: claims that end with their process, and short turns for what two processes both write."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from pneumobench.errors import InUseError
from pneumobench.files import cannot_write, remove_left_over

_held: set[TextIO] = set()  # locks of this process
LOCKS: Final = (".lock", ".turn")
MOMENT_S: Final = 2.0  # longer than another process holds a folder to look whether it is free, or to begin to share it


def _let_go() -> None:
    """Close the locks in a forked process: a loader process that outlives a killed run would hold them on."""
    for lock in _held:
        lock.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def _lock_file(folder: Path, name: str) -> Iterator[TextIO]:
    """Open a file that stands for a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise cannot_write(folder, error) from error
    _held.add(lock)
    try:
        yield lock
    finally:
        _held.discard(lock)
        lock.close()


@contextmanager
def claim_folder(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a folder for this process.

    Args:
        folder: of a run, a job or a trial; made where it is not there.
        shared: others may hold it too, if they share it as well.

    Raises:
        InUseError: another process holds it.
        SettingsError: the folder cannot be written.
    """
    with _lock_file(folder, ".lock") as lock:
        if _locked(lock, fcntl.LOCK_EX):
            with suppress(OSError):  # a full disk: who holds it stays unsaid
                os.ftruncate(lock.fileno(), 0)
                os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
            remove_left_over(folder)
            free = not shared or _locked_soon(lock, fcntl.LOCK_SH)
        else:
            free = _locked_soon(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        if not free:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise InUseError(
                f"{folder} is in use by another run (process {owner}): wait for it, or choose another --output."
            )
        with _no_empty_folder(folder):
            yield


def _locked(lock: TextIO, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _locked_soon(lock: TextIO, how: int) -> bool:
    """Lock a file that another process may hold for a moment: locks are not turned from one kind to another at once."""
    until = time.monotonic() + MOMENT_S
    while not (locked := _locked(lock, how)) and time.monotonic() < until:
        time.sleep(0.01)
    return locked


@contextmanager
def _no_empty_folder(folder: Path) -> Iterator[None]:
    """Take a folder away again that an error leaves with nothing in it but our own locks."""
    try:
        yield
    except BaseException:
        left = list(folder.iterdir()) if folder.is_dir() else []
        if left and all(path.name in LOCKS for path in left):
            for path in left:
                path.unlink(missing_ok=True)
            folder.rmdir()
        raise


_turns = threading.local()  # folders whose turn this thread has


@contextmanager
def waited_for(folder: Path) -> Iterator[None]:
    """Hold a folder for a short while; other processes that ask for it wait instead of being refused.

    Who has the turn may ask for it again.

    Raises:
        SettingsError: the folder cannot be written.
    """
    mine: set[Path] = _turns.__dict__.setdefault("folders", set())
    if folder in mine:
        yield
        return
    with _lock_file(folder, ".turn") as lock, _no_empty_folder(folder):
        fcntl.flock(lock, fcntl.LOCK_EX)
        mine.add(folder)
        try:
            yield
        finally:
            mine.discard(folder)


def is_claimed(folder: Path) -> bool:
    """Tell whether a living process of this machine holds a folder; the claim of a killed one is gone with it."""
    try:
        with (folder / ".lock").open("r", encoding="utf-8") as lock:
            return not _locked(lock, fcntl.LOCK_EX)
    except FileNotFoundError:
        return False
    except OSError:
        return True
