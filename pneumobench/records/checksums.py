"""SHA256SUMS of a published folder: the SHA-256 of every other file in it, as `sha256sum -c` reads it.

Its own bytes are those that the files give and no others, so that a changed byte is found in it as in any other file.
Of a comparison it names the SHA256SUMS of each run, in place of the run's files.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file, write_text
from pneumobench.records.differences import NOTHING, Difference, short

CHECKSUMS: Final = "SHA256SUMS"
SHA256: Final = "SHA-256"  # field of a difference
LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\\\n\r]+)")  # other names sha256sum writes in another form


def checksums_text(files: Mapping[str, str]) -> str:
    """Return the text for SHA-256 by name.

    >>> checksums_text({"b": "1" * 64, "a": "0" * 64}).splitlines()[0][-6:]
    '000  a'
    """
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))


def checksum_differences(listed: bytes, files: Mapping[str, str]) -> list[Difference]:
    """Compare SHA256SUMS with the files that lie in its folder.

    Args:
        listed: its bytes.
        files: SHA-256 of every file beside it, by name.

    Returns:
        Nothing exactly where its bytes are those that the files give.
    """
    expected = checksums_text(files).encode(errors="surrogateescape")
    if listed == expected:
        return []
    named = dict(_entries(listed))
    found = [
        Difference(file=name, field=SHA256, found=_start(files[name]), expected=f"{_start(sha256)} ({CHECKSUMS})")
        for name, sha256 in named.items()
        if name in files and files[name] != sha256
    ]
    found += [
        Difference(file=name, found="no file", expected=f"one ({CHECKSUMS} names it)")
        for name in named
        if name not in files
    ]
    found += [
        Difference(file=name, found="a file", expected=f"none ({CHECKSUMS} does not name it)")
        for name in files
        if name not in named
    ]
    if named and checksums_text(named).encode(errors="surrogateescape") == listed:  # its form is right
        return found
    lines = itertools.zip_longest(listed.splitlines(keepends=True), expected.splitlines(keepends=True))
    number, pair = next((number, pair) for number, pair in enumerate(lines, start=1) if pair[0] != pair[1])
    told = [NOTHING if line is None else short(repr(line)[2:-1]) for line in pair]
    form = Difference(file=CHECKSUMS, field=f"line {number}", found=told[0], expected=told[1])
    return [form, *found] if named else [form]  # where it names nothing, every file would be unexpected


def files_below(folder: Path, *, but: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield every file below a folder, links too, except SHA256SUMS; of the folders of `but` their SHA256SUMS alone."""
    left_out = set(but)
    for home, folders, names in os.walk(folder):
        here = Path(home)
        for one in [one for one in folders if here / one in left_out]:
            folders.remove(one)
            if (here / one / CHECKSUMS).is_file():
                yield here / one / CHECKSUMS
        yield from (here / one for one in folders if (here / one).is_symlink())
        yield from (here / one for one in names if (here, one) != (folder, CHECKSUMS))


def write_checksums(folder: Path, *, runs: Iterable[str] = ()) -> None:
    """Write SHA256SUMS of a folder that is published.

    Args:
        folder: of a run or a comparison.
        runs: names of the runs in a comparison, which have one already.

    Raises:
        RecordError: a name of a file cannot stand in it.
    """
    paths = files_below(folder, but=[folder / run for run in runs])
    files = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in paths}
    for name in files:
        if LINE.fullmatch(f"{'0' * 64}  {name}") is None:
            raise RecordError(f"{folder}: found a file named {name!r}, expected no line break and no backslash in it.")
    write_text(folder / CHECKSUMS, checksums_text(files))


def renew_checksums(folder: Path, written: Iterable[Path]) -> None:
    """Renew what SHA256SUMS of a published folder says of files that were just written, or taken away.

    Nothing is done where there is none.

    All other lines stay, so that what was changed by somebody else is still found.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    files = dict(_entries(path.read_bytes()))
    if checksums_text(files).encode() != path.read_bytes():  # damaged: that is to be seen
        return
    for one in written:
        name = one.relative_to(folder).as_posix()
        if one.is_file():
            files[name] = sha256_of_file(one)
        else:
            files.pop(name, None)
    write_text(path, checksums_text(files))
    if f"{folder.name}/{CHECKSUMS}" in dict(_entries(_bytes(folder.parent / CHECKSUMS))):  # of the comparison around it
        renew_checksums(folder.parent, [path])


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _entries(listed: bytes) -> Iterator[tuple[str, str]]:
    for line in listed.decode(errors="surrogateescape").split("\n"):
        if (found := LINE.fullmatch(line)) is not None:
            yield found[2], found[1]


def _start(sha256: str) -> str:
    return sha256[:12]
