"""The declared part of the benchmark that is shipped, suites among it, and where suites and their data are found."""

from __future__ import annotations

import os
from pathlib import Path

from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite.spec import DATA_VARIABLE, Suite


def declared_folder() -> Path:
    """Return the folder of declared files: inside the installed package, or benchmark/ of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "declared_files"
    return installed if installed.is_dir() else package.parent / "benchmark"


def suite_names() -> list[str]:
    """Return the names of the shipped suites.

    >>> "quickstart" in suite_names()
    True
    """
    return sorted(path.stem for path in (declared_folder() / "suites").glob("*.yaml"))


def suite_path(name_or_path: str) -> Path:
    """Find a shipped suite by name, or any suite by path.

    Raises:
        SettingsError: neither exists.
    """
    if name_or_path in suite_names():
        return declared_folder() / "suites" / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    hint = suggestion(name_or_path, suite_names())
    raise SettingsError(
        f"suite {name_or_path!r} is neither a shipped suite ({', '.join(suite_names())}) nor a file. {hint}"
    )


def data_root(suite: Suite) -> Path:
    """Return the data folder of a suite that reads files.

    Raises:
        SettingsError: neither `data.root` nor PNEUMOBENCH_DATA is set.
    """
    root = suite.data.root or os.environ.get(DATA_VARIABLE, "")
    if not root:
        raise SettingsError(
            f"suite {suite.name!r} reads radiographs from a folder, and none is named: add --data FOLDER, set "
            f"the variable {DATA_VARIABLE}, or write data.root in the suite."
        )
    return Path(root).expanduser()
