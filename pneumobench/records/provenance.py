"""Which software and machine made a result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from pneumobench.files import sha256_of_file, sha256_of_text

NAMED_PACKAGES = (
    "torch", "torchvision", "timm", "lightning", "torchmetrics", "captum", "albumentations", "numpy", "scikit-learn",
    "opencv-python-headless",
)  # fmt: skip


@cache
def software_versions() -> dict[str, str]:
    """Return versions of pneumobench, Python and the packages that shape a result, with the git commit.

    `commit` is `none` and `dirty` is `unknown` for an installed package without its repository; `code` is the SHA-256
    of the package's own files, repository or not.
    """
    versions = {"pneumobench": _version("pneumobench"), "python": platform.python_version()}
    versions |= {name: _version(name) for name in NAMED_PACKAGES}
    source = Path(__file__).resolve().parents[2]
    commit, dirty = "none", "unknown"
    if (source / "pyproject.toml").is_file():
        found = _git(source, "rev-parse", "HEAD")
        if found:
            commit = found
            dirty = "yes" if _git(source, "status", "--porcelain", "--", "pneumobench", "benchmark") else "no"
    return {**versions, "commit": commit, "dirty": dirty, "code": _code_hash(Path(__file__).resolve().parents[1])}


def _code_hash(package: Path) -> str:
    """Return the SHA-256 of all Python files of a package, by name and content."""
    files = sorted(package.rglob("*.py"))
    return sha256_of_text("\n".join(f"{file.relative_to(package).as_posix()} {sha256_of_file(file)}" for file in files))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def machine() -> dict[str, str | int]:
    """Return operating system, processor and the number of cores this process may use; no host or user name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"system": f"{platform.system()} {platform.machine()}", "processor": _processor(), "cores": cores}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
