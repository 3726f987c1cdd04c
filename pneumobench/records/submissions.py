"""A published run as one file: a ZIP of its folder, the same bytes from the same files, unpacked without trust."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import written_whole

SUBMISSION_END: Final = ".zip"
BYTES_MAX: Final = 5_000_000
UNPACKED_MAX: Final = 200_000_000
MEMBERS_MAX: Final = 5_000
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,99}")  # of a file or folder in it
KINDS: Final = frozenset({".json", ".csv", ".gz", ".yaml", ".md", ".html", ".svg", ""})  # SHA256SUMS has none
FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)  # of every member: when a file was written says nothing about it
READ_BYTES: Final = 2**20


def is_submission(path: Path) -> bool:
    """Tell whether a path is a file of this kind, by its name."""
    return path.suffix == SUBMISSION_END and path.is_file()


def write_submission(folder: Path, more: dict[str, str], to: Path) -> None:
    """Write a folder, and texts beside it, as one file; the same files give the same bytes.

    Args:
        folder: published run.
        more: text by name of files that lie beside the folder in it.
        to: the file.

    Raises:
        SettingsError: it would have more than BYTES_MAX bytes; nothing is written then.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    members = {f"{folder.name}/{path.relative_to(folder).as_posix()}": path for path in files}
    with written_whole(to) as place:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted([*members, *more]):
                about = zipfile.ZipInfo(name, FIRST_DATE)
                about.external_attr = (stat.S_IFREG | 0o644) << 16
                data = more[name].encode() if name in more else members[name].read_bytes()
                archive.writestr(about, data, zipfile.ZIP_DEFLATED, 9)
        size = place.stat().st_size
        if size > BYTES_MAX:
            raise SettingsError(
                f"{to}: would have {size:,} bytes, expected at most {BYTES_MAX:,}: submit a run of fewer architectures "
                "or folds."
            )


def unpack_submission(path: Path, to: Path) -> Path:
    """Unpack a submitted file that anybody may have made into an empty folder, and return the folder of its run there.

    Only plain files of the kinds that a published run has are written, all below `to`, and not more than UNPACKED_MAX
    bytes of them, whatever the file says of their size.

    Raises:
        RecordError: it is no such file.
    """
    if path.stat().st_size > BYTES_MAX:
        _refuse(path, f"{path.stat().st_size:,} bytes", f"at most {BYTES_MAX:,}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS_MAX:
                _refuse(path, f"{len(members):,} files", f"at most {MEMBERS_MAX:,}")
            names = [_checked_name(path, one) for one in members]
            if len(set(names)) < len(names):
                _refuse(path, "two files of one name", "one of each")
            room = UNPACKED_MAX
            for one, name in zip(members, names, strict=True):
                room = _unpacked(path, archive, one, to / name, room)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        _refuse(path, f"no whole ZIP file ({error})", "the file that `pneumobench submit` writes")
    except OSError as error:  # a file where another member needs a folder
        _refuse(path, f"files that cannot lie beside each other ({error.strerror})", "one published run")
    folders = sorted(one for one in to.iterdir() if one.is_dir())
    if len(folders) != 1:
        _refuse(path, f"{len(folders)} folders", "that of one published run")
    return folders[0]


def _checked_name(path: Path, one: zipfile.ZipInfo) -> PurePosixPath:
    """Return the name of a member, which can lie nowhere but below the folder that it is unpacked into."""
    name = PurePosixPath(one.filename)
    kind = stat.S_IFMT(one.external_attr >> 16)
    plain = not one.is_dir() and kind in (0, stat.S_IFREG) and not one.flag_bits & 1
    parts = one.filename.split("/")
    if not plain or len(parts) > 8 or not all(NAME.fullmatch(part) for part in parts):
        _refuse(path, f"a member {one.filename[:80]!r}", "plain files with plain names, none encrypted")
    if name.suffix not in KINDS:
        _refuse(path, f"a file {one.filename[:80]!r}", f"only files that end in {', '.join(sorted(KINDS - {''}))}")
    return name


def _unpacked(path: Path, archive: zipfile.ZipFile, one: zipfile.ZipInfo, to: Path, room: int) -> int:
    """Write one member and return how many bytes may still be unpacked."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(one) as source, to.open("xb") as target:
        while part := source.read(READ_BYTES):
            room -= len(part)
            if room < 0:
                _refuse(path, f"more than {UNPACKED_MAX:,} bytes in it", "a published run")
            target.write(part)
    return room


def _refuse(path: Path, found: str, expected: str) -> NoReturn:
    raise RecordError(f"{path}: found {found}, expected {expected}.")
