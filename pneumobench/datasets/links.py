"""Links in a data folder: none leads out of it unless the suite allows it, and none leads back to where it stands."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from pneumobench.datasets.file_names import is_litter
from pneumobench.errors import DataError


def link_problem(root: Path, name: str, *, real_root: Path, follow_links: bool) -> str:
    """Say why a file of a data folder is not opened; empty where nothing speaks against it.

    Args:
        root: the data folder.
        name: path of the file, relative to it.
        real_root: the data folder with all links followed.
        follow_links: links may lead out of the data folder (`data.follow_links`).
    """
    if ".." in PurePath(name).parts:
        return "leads out of the data folder; name the folder above as the data folder"
    try:
        real = os.path.realpath(root / name, strict=True)
    except OSError as error:
        return "is a link in a circle; remove it" if error.errno == errno.ELOOP else ""  # what is missing is said later
    except ValueError:
        return "has a zero byte in its name; correct it"
    if follow_links or Path(real).is_relative_to(real_root):
        return ""
    return "leads out of the data folder; copy the file into it, or allow links with data.follow_links true"


def files_below(root: Path, *, follow_links: bool) -> Iterator[str]:
    """Yield the path of every file below a data folder, relative to it with slashes, sorted, litter left out.

    Raises:
        DataError: a link leads back to a folder that it lies in.
    """
    for folder, folders, files in os.walk(root, followlinks=follow_links):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        place = Path(folder)
        for name in folders if follow_links else ():
            if (place / name).is_symlink() and place.resolve().is_relative_to((place / name).resolve()):
                where = (place / name).relative_to(root).as_posix()
                raise DataError(f"{where}: is a link in a circle, to a folder that it lies in; remove it.")
        yield from ((place / name).relative_to(root).as_posix() for name in sorted(files) if not is_litter(name))
