"""Files that were read before, and the hash of their content: a file that nobody has touched since is not read again.

A file is known by its path, its size, and when its content (mtime) and the file itself (ctime) were last changed. Who
writes other content of the same size and puts the date of the content back has still changed the file, and that date
no program sets. A clock that was put back, or a disk that was written past its file system, can deceive this all the
same: `--rehash` reads every file, and records name when the oldest hash was read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from pneumobench.files import read_sealed, write_sealed

READ_FILES_NAME: Final = "read-files-1.json"
# Two changes of a file may bear one date where a file system counts in seconds (FAT: in two). A file that was changed
# so shortly before it was read may have been changed after it, too, and is read again. Git calls such a file racy.
RACY_NS: Final = 2 * 10**9


class Stamp(NamedTuple):
    """What tells, without reading a file, that it was changed: bytes, and nanoseconds of the two last changes."""

    size: int
    modified_ns: int
    changed_ns: int

    def is_older_than(self, moment_ns: int) -> bool:
        """Tell whether the last change was so long before a moment that a later one bears another date."""
        return max(self.modified_ns, self.changed_ns) < moment_ns - RACY_NS


class ReadFile(NamedTuple):
    """A file as it was when it was read.

    Args:
        stamp: as it was before the first byte was read.
        sha256: of the content.
        read: when, in UTC, to the second.
    """

    stamp: Stamp
    sha256: str
    read: str


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file, of what a link leads to; None where nothing is there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def now_ns() -> int:
    """Return the time in nanoseconds, as a file system dates a change."""
    return time.time_ns()


def in_words(moment_ns: int) -> str:
    """Return a time in UTC, to the second.

    >>> in_words(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(moment_ns // 10**9, UTC).isoformat()


def known_files(cache_folder: Path) -> dict[str, ReadFile]:
    """Return the files that were read before, by path; what is damaged is as good as none."""
    plain = read_sealed(cache_folder / READ_FILES_NAME) or {}
    return {path: ReadFile(Stamp(*stamp), sha256, read) for path, (*stamp, sha256, read) in plain.items()}


def keep_files(cache_folder: Path, new: Mapping[str, ReadFile]) -> None:
    """Add files that were read to those of before."""
    files = {**known_files(cache_folder), **new}
    write_sealed(
        cache_folder / READ_FILES_NAME, {path: [*one.stamp, one.sha256, one.read] for path, one in files.items()}
    )
