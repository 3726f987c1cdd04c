"""From what a table calls an image to its file: paths of other systems, missing suffixes, absolute paths."""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from urllib.parse import unquote

from pneumobench.datasets.file_names import is_unusable
from pneumobench.datasets.links import files_below
from pneumobench.radiographs.formats import IMAGE_SUFFIXES

How = Literal["as written", "elsewhere", "missing", "unusable"]
_ABSOLUTE: Final = re.compile(r"(/|~|[a-zA-Z]:/|[a-zA-Z][a-zA-Z0-9+.\-]+://)")
_MASK: Final = "mask"


@dataclass(frozen=True)
class FoundImage:
    """The file that a table means.

    Args:
        image_id: its path relative to the data folder, with slashes; for `missing` where it was expected.
        how: found where the table says, found elsewhere below the data folder, missing, or not to be used.
        problem: for `unusable` what is wrong; names no folder outside of the data folder.
    """

    image_id: str
    how: How
    problem: str = ""


class ImageFinder:
    """Finds the files that a table names below one data folder.

    Args:
        root: the data folder.
        follow_links: folders that are links are searched too.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self._root, self._real_root, self._follow_links = root, root.resolve(), follow_links

    def find(self, name: str) -> FoundImage:
        """Return the file that a name means.

        A file where the name says comes first. Where there is none, the file with this name (a suffix may be missing or
        another one) whose path ends like the name's is taken, if there is only one.
        """
        if is_unusable(name):
            return FoundImage("", "unusable", "has control characters in its name; correct it")
        if "\\" in name and _is_file(self._root / name):  # a file of Linux may be called so
            return FoundImage(name, "as written")
        path = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
        path = path.replace("\\", "/")
        if outside := _ABSOLUTE.match(path):
            below = self._below(path)
            if below:
                return FoundImage(below, "elsewhere")
            path = path[outside.end() :]
        relative = posixpath.normpath(path.lstrip("/")) if path.strip("/") else ""
        inside = not outside and not relative.startswith("../")
        if inside and _is_file(self._root / relative):
            return FoundImage(relative, "as written")
        alike = self._alike(relative)
        if len(alike) == 1:
            return FoundImage(alike[0], "elsewhere")
        last = PurePosixPath(relative).name
        if alike:
            words = f"{last} may be {alike[0]} or {alike[1]}; write the path with its folder and suffix"
            return FoundImage("", "unusable", words)
        if not inside:
            words = f"{last}: no such file below the data folder, and a path that starts outside of it is not followed"
            return FoundImage(last, "unusable", words)
        return FoundImage(relative, "missing")

    def _below(self, path: str) -> str:
        """Return an absolute path relative to the data folder, or an empty text where it lies elsewhere."""
        for base in (self._root.absolute(), self._real_root):
            if Path(path).is_relative_to(base) and _is_file(Path(path)):
                return Path(os.path.normpath(path)).relative_to(base).as_posix()
        return ""

    def _alike(self, name: str) -> list[str]:
        """Return the files whose path ends like a name, the longest common end first; files of masks are no images."""
        parts = [part for part in name.casefold().split("/") if part not in ("", ".", "..")]
        if not parts:
            return []
        stem, suffix = posixpath.splitext(parts[-1])
        files = self._by_name.get(parts[-1]) or self._by_stem.get(stem if suffix in IMAGE_SUFFIXES else parts[-1], [])
        if not any(_MASK in part for part in parts):
            files = [file for file in files if _MASK not in file.casefold()]
        folders = parts[:-1]
        common = {file: _common_end(folders, file.casefold().split("/")[:-1]) for file in files}
        return [file for file in files if common[file] == max(common.values())]

    @cached_property
    def _files(self) -> tuple[str, ...]:
        return tuple(files_below(self._root, follow_links=self._follow_links))

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        named = defaultdict(list)
        for file in self._files:
            named[posixpath.basename(file).casefold()].append(file)
        return named

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        named = defaultdict(list)
        for file in self._files:
            stem, suffix = posixpath.splitext(posixpath.basename(file).casefold())
            if suffix in IMAGE_SUFFIXES:
                named[stem].append(file)
        return named


def _is_file(path: Path) -> bool:
    """Tell whether a file is there; a name that is too long for the disk is no error."""
    return os.path.isfile(path)  # noqa: PTH113 # Path.is_file raises OSError for such a name


def _common_end(one: list[str], other: list[str]) -> int:
    """Return how many folders two paths have in common, counted from their ends."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count
