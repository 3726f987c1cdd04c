"""Where the declared part of the benchmark lies: suites, and files that users may copy from."""

from __future__ import annotations

from pathlib import Path


def declared_folder() -> Path:
    """Return the folder of declared files: inside the installed package, or benchmark/ of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "declared_files"
    return installed if installed.is_dir() else package.parent / "benchmark"
