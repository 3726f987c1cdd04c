"""Files written whole or not at all, their hashes, and what a writer that was killed leaves behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pneumobench.errors import NoRoomError, SettingsError

TEMPORARY: Final = ".tmp"  # second suffix of what is being written, which begins with a dot
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
COPIED_BYTES: Final = 2**22
OLD_SQUARES: Final = ".squares-"  # temporary folders of version 0.1.0


@contextmanager
def written_whole(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success sync it and move it over `path`.

    A reader sees the old file or the whole new one, never a part, also after a crash or a full disk; without `sync`
    a crash of the machine may leave an empty one.

    Raises:
        NoRoomError: the disk is full.
        SettingsError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _held_file(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _held_file(path: Path) -> tuple[int, Path]:
    """Make a temporary file beside `path` that `remove_left_over` leaves alone as long as it is open here."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=f"{TEMPORARY}{path.suffix}", dir=path.parent)
        with suppress(OSError):  # a file system without locks, where nothing is tidied
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # tidied away by another process between its making and its lock


@contextmanager
def temporary_folder(parent: Path | None, name: str) -> Iterator[Path]:
    """Give an empty folder in `parent` (None = the system's place for such), which is gone afterwards.

    Raises:
        SettingsError: the parent cannot be written.
    """
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=TEMPORARY, dir=parent))
    except OSError as error:
        raise cannot_write(parent or Path(tempfile.gettempdir()), error) from error
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_left_over(folder: Path) -> None:
    """Delete what killed processes were writing below a folder; what a living one of this machine writes stays."""
    for path in (*folder.rglob(f".*{TEMPORARY}"), *folder.rglob(f".*{TEMPORARY}.*"), *folder.glob(f"{OLD_SQUARES}*")):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:  # gone, or somebody else's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:  # a living process holds it
            continue
        finally:
            os.close(handle)


def reserve(path: Path) -> None:
    """Take the room on the disk for all of a file with holes: a mapped one ends the process where the disk is full.

    Raises:
        NoRoomError: there is no room for it.
    """
    size = path.stat().st_size
    try:
        with path.open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except (AttributeError, OSError) as error:  # macOS, and file systems that know no such thing
                if isinstance(error, OSError) and error.errno in NO_ROOM:
                    raise
                for start in range(0, size, COPIED_BYTES):  # a hole reads as zeros
                    part = os.pread(file.fileno(), COPIED_BYTES, start)
                    os.pwrite(file.fileno(), part, start)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        free = shutil.disk_usage(path.parent).free
        raise NoRoomError(
            f"{path.parent}: {size / 2**20:,.0f} MiB are needed for decoded images, and {free / 2**20:,.0f} MiB are "
            f"free ({error.strerror}). Free some, choose another --output, or set a smaller data.image_side_px."
        ) from error


def cannot_write(path: Path, error: OSError) -> SettingsError:
    """Return what a user is told who may not write somewhere, or has no room to."""
    if error.errno in NO_ROOM:
        return NoRoomError(
            f"no room left to write {path}: {error.strerror or error}. What was finished is kept: free some room and "
            "start again to go on."
        )
    return SettingsError(f"cannot write {path}: {error.strerror or error}. Choose a writable folder with --output.")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode())


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and an end of line; NaN and infinity are refused with ValueError."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as canonical JSON, whole or not at all."""
    write_text(path, canonical_json(value))


def write_sealed(path: Path, value: Any) -> None:
    """Write `value` as JSON with its own SHA-256, whole or not at all."""
    write_json(path, {"sha256": sha256_of_text(canonical_json(value)), "value": value})


def read_sealed(path: Path) -> Any | None:
    """Return what `write_sealed` wrote; None where the file is missing, damaged or changed."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        whole = sha256_of_text(canonical_json(plain["value"])) == plain["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return plain["value"] if whole else None


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of UTF-8 text in hexadecimal."""
    return sha256_of_bytes(text.encode())
