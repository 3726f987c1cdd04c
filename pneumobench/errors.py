"""Every error a user can meet. Each message says what was found, where, what was expected and how to fix it."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Iterable
from typing import Final

TERMINATED: Final = 143  # exit code of a process that was asked to end (SIGTERM), as shells give it


class PneumobenchError(Exception):
    """Base of all errors shown to a user as one clear message, without a traceback.

    >>> try:
    ...     raise UnreadableImageError("image.png: no such file.")
    ... except PneumobenchError as error:
    ...     print(error, error.exit_code)
    image.png: no such file. 3
    """

    exit_code = 1


class SettingsError(PneumobenchError):
    """A suite, an option or an architecture name is wrong."""

    exit_code = 2


class NoRoomError(SettingsError):
    """A disk is full, or no more may be written; it stops a run, whose finished jobs are kept."""


class InUseError(SettingsError):
    """Another process holds the folder of a run, a job or a trial."""


class NotAvailableError(SettingsError):
    """An attribution method does not exist for this kind of network; other methods may."""


class DataError(PneumobenchError):
    """Radiographs, lung masks, labels or folds are missing, unreadable or inconsistent."""

    exit_code = 3


class UnreadableImageError(DataError):
    """One image file cannot be turned into a gray radiograph."""


class LeakError(DataError):
    """The same patient or the same image content stands on two sides of a split."""


class RecordError(DataError):
    """A record, a predictions table or a run folder is damaged or does not belong with the others."""


class DivergedError(PneumobenchError):
    """The training loss became infinite or not a number."""


def warn(text: str) -> None:
    """Print one line on stderr about something that was put right, or that a user should know."""
    print(f"pneumobench: warning: {text}", file=sys.stderr)


def nearest_names(name: str, known: Iterable[str], *, count: int = 3, cutoff: float = 0.4) -> list[str]:
    """Return up to `count` known names that look most like `name`, best first; `cutoff` in [0, 1], 1 = equal.

    >>> nearest_names("resnet19", ["resnet18", "vit_base", "resnet50"], count=1)
    ['resnet18']
    """
    return difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)


def suggestion(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """Return `did you mean a, b or c?`, or an empty string when nothing known looks like `name`."""
    names = nearest_names(name, known, count=count)
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
    return f"did you mean {listed}?"


def require_packages(extra: str, *packages: str, why: str) -> None:
    """Refuse to go on where a package of an extra is missing.

    Args:
        extra: of this package.
        packages: as they are imported.
        why: what needs them.

    Raises:
        SettingsError: naming the first that is missing, and how it is installed.

    Example:
        >>> require_packages("serve", "json", why="a server")
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise SettingsError(f"{why} needs the package {name}, which is not installed: {install_words(extra)}.")


def install_words(extra: str) -> str:
    """Return how the packages of an extra are installed.

    >>> install_words("ray")
    'pip install "pneumobench[ray]" (in a clone: uv run --extra ray pneumobench ...)'
    """
    return f'pip install "pneumobench[{extra}]" (in a clone: uv run --extra {extra} pneumobench ...)'
