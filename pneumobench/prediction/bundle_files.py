"""The files of a bundle: by name from a folder or a ZIP file, and whole into one."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import sha256_of_bytes, temporary_folder, written_whole

SUMS: Final = "SHA256SUMS"
ZIP: Final = ".zip"
FILE_BYTES_MAX: Final = 4 * 2**30
FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)  # of every file in a ZIP: the same files give the same bytes


def files_of(path: Path) -> tuple[Callable[[str], bytes], set[str]]:
    """Return a reader of files by name and their names, of a folder or a ZIP file; names with a `/` are left out.

    Raises:
        SettingsError: nothing that could be a bundle is there.
        RecordError: a file of it is too large; the reader: is damaged.
    """
    if path.is_dir():
        names = {one.name for one in path.iterdir() if one.is_file() and not one.name.startswith(".")}
        return lambda name: (path / name).read_bytes(), names
    if not path.is_file():
        raise SettingsError(f"{path}: no such file or folder; expected a bundle, or the folder of a run.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist() if "/" not in one.filename}
    except zipfile.BadZipFile as error:
        raise SettingsError(f"{path}: found no bundle ({error}); expected a folder or a {ZIP} file.") from error
    if any(size > FILE_BYTES_MAX for size in sizes.values()):
        raise damaged(path, "a file of more than 4 GiB", "a bundle")

    def read(name: str) -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as member:
                content = member.read(sizes[name] + 1)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
            raise damaged(path, f"{name} damaged ({error})", "a whole file") from error
        if len(content) > sizes[name]:
            raise damaged(path, f"more of {name} than it declares", "a whole file")
        return content

    return read, set(sizes)


def sums_text(files: Mapping[str, bytes]) -> str:
    """Return SHA256SUMS of the files of a bundle, as `sha256sum -c` reads it."""
    return "".join(f"{sha256_of_bytes(content)}  {name}\n" for name, content in sorted(files.items()))


def write_bundle(to: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a bundle to a new folder or a file NAME.zip, whole or not at all."""
    if to.suffix == ZIP:
        with written_whole(to) as place, zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted(files.items()):
                about = zipfile.ZipInfo(name, FIRST_DATE)
                about.external_attr = 0o100644 << 16
                archive.writestr(about, content)
        return
    with temporary_folder(to.parent, to.name) as place:
        folder = place / to.name
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        folder.rename(to)


def damaged(path: Path, found: str, expected: str) -> RecordError:
    """Return the error of a bundle that is not as it was written."""
    return RecordError(f"{path}: found {found}, expected {expected}. Copy the bundle again, or make it anew.")
