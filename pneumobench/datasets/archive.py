"""A downloaded zip archive to a folder: nothing outside of it, nothing beyond its limits, whole or not at all."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pneumobench.datasets.file_names import is_litter
from pneumobench.errors import DataError, SettingsError

CHUNK_BYTES = 1 << 20
ENCRYPTED_FLAG = 0x1


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What an archive of radiographs does not exceed.

    Args:
        files: number of members.
        file_bytes: unpacked size of one.
        total_bytes: unpacked size of all.
        ratio: unpacked over packed size of one of at least `ratio_from_bytes`; radiographs hardly shrink.
        ratio_from_bytes: smaller files, such as tables of zeros, may shrink further.
    """

    files: int = 100_000
    file_bytes: int = 256 * 2**20
    total_bytes: int = 16 * 2**30
    ratio: float = 100.0
    ratio_from_bytes: int = 2**20


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What was written and what was left out of an archive.

    Args:
        files: number of files written.
        size_bytes: their size.
        junk: files of an operating system that were left out.
        copies: files left out because the archive holds the same file once more, one folder of the same name higher.
    """

    files: int
    size_bytes: int
    junk: int
    copies: int


def require_absent(folder: Path) -> None:
    """Refuse to write over anything.

    Raises:
        SettingsError: something is there already, and it is not an empty folder.
    """
    if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise SettingsError(f"{folder}: is there already and is not overwritten; remove it or choose another --to.")


def require_space(folder: Path, size_bytes: int, what: str) -> None:
    """Refuse to start what the disk cannot hold.

    Raises:
        SettingsError: less than `size_bytes` is free where the folder lies.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise SettingsError(
            f"{folder}: {free_bytes / 2**20:,.0f} MiB are free, {what} takes {size_bytes / 2**20:,.0f} MiB; free some "
            "space or choose another --to."
        )


@contextmanager
def staged_beside(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`, which goes away with all it holds, whatever happens.

    What is to stay is renamed to `target` before the end. Only a process that is killed leaves the folder behind, under
    a name that starts with a dot.

    Raises:
        SettingsError: the folder above cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise SettingsError(
            f"cannot write {target}: {error.strerror or error}. Choose a writable folder with --to."
        ) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def unpack(archive: Path, folder: Path, *, limits: ArchiveLimits | None = None) -> Unpacked:
    """Unpack a zip archive into a new folder. All members are judged before the first is written.

    Raises:
        DataError: no zip archive, damaged, or a member that is refused: a path that leaves the folder, a link or
            device, encrypted, named twice, or beyond the limits.
        SettingsError: the disk has not enough space.
    """
    limits = limits or ArchiveLimits()
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _judged(opened.infolist(), limits)
            kept, junk, copies = _wanted(members)
            size_bytes = sum(member.file_size for member in kept.values())
            require_space(folder.parent, size_bytes, "the unpacked data set")
            folder.mkdir()
            for path, member in kept.items():
                place = folder / path
                assert place.resolve().is_relative_to(folder.resolve())  # what was judged is what is written
                place.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as packed, place.open("xb") as written:
                    shutil.copyfileobj(packed, written, CHUNK_BYTES)  # reads at most the declared size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise DataError(f"archive {archive.name}: damaged or no zip archive ({error}); download it again.") from error
    return Unpacked(files=len(kept), size_bytes=size_bytes, junk=junk, copies=copies)


def _judged(infos: list[zipfile.ZipInfo], limits: ArchiveLimits) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of an archive by path.

    Raises:
        DataError: naming the first member that is refused, and why.
    """
    if len(infos) > limits.files:
        raise DataError(f"archive refused: {len(infos):,} members, at most {limits.files:,} are unpacked.")
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    total_bytes = 0
    for info in infos:
        if reason := _reason_to_refuse(info, limits):
            raise DataError(f"archive refused: member {info.orig_filename!r} {reason}; nothing was unpacked.")
        total_bytes += info.file_size
        if total_bytes > limits.total_bytes:
            raise DataError(f"archive refused: more than {limits.total_bytes / 2**30:g} GiB unpacked.")
        path = PurePosixPath(info.filename)
        if info.is_dir():
            continue
        folded = str(path).casefold()  # names that differ in case alone are one file on some disks
        if folded in seen:
            raise DataError(f"archive refused: member {info.filename!r} is named twice; nothing was unpacked.")
        seen.add(folded)
        files[path] = info
    for path in files:
        if any(str(parent).casefold() in seen for parent in path.parents):
            raise DataError(f"archive refused: member {str(path)!r} lies below a file; nothing was unpacked.")
    return files


def _reason_to_refuse(info: zipfile.ZipInfo, limits: ArchiveLimits) -> str:
    """Say why a member is not unpacked; empty where nothing speaks against it."""
    name = info.orig_filename  # as it is stored; `filename` ends at a zero byte
    mode = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
    parts = name.rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or ":" in parts[0]:
        return "has a path that may lead out of the folder"
    if (
        any(ord(letter) < 32 for letter in name)
        or len(name.encode()) > 1000
        or any(len(p.encode()) > 200 for p in parts)
    ):
        return "has a name with control characters or of absurd length"
    if info.filename != name:  # newer Pythons take another name from an extra field
        return f"is called {info.filename!r} as well"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if mode == stat.S_IFLNK else "is neither a file nor a folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way"
    if info.flag_bits & ENCRYPTED_FLAG:
        return "is encrypted"
    if info.file_size > limits.file_bytes:
        return f"has {info.file_size:,} bytes unpacked, at most {limits.file_bytes:,} are taken"
    if info.file_size >= limits.ratio_from_bytes and info.file_size > limits.ratio * info.compress_size:
        return f"shrank more than {limits.ratio:g} times, as no image does"
    return ""


def _wanted(
    members: dict[PurePosixPath, zipfile.ZipInfo],
) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], int, int]:
    """Return the members worth keeping, and how many files of an operating system and second copies are not."""
    kept, junk, copies = {}, 0, 0
    for path, member in members.items():
        if any(is_litter(part) for part in path.parts):
            junk += 1
        elif (original := members.get(_without_doubled_folder(path))) is not None and _equal(original, member):
            copies += 1
        else:
            kept[path] = member
    return kept, junk, copies


def _without_doubled_folder(path: PurePosixPath) -> PurePosixPath:
    """Return a/x.png for a/a/x.png, and another path than any file's for a path without a doubled first folder."""
    doubled = len(path.parts) > 2 and path.parts[0] == path.parts[1]
    return PurePosixPath(*path.parts[1:]) if doubled else PurePosixPath("/")


def _equal(one: zipfile.ZipInfo, other: zipfile.ZipInfo) -> bool:
    return (one.CRC, one.file_size) == (other.CRC, other.file_size)
