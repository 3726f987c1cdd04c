"""A run with finished jobs, which faults are then put to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.commands import pneumobench
from tests.reliability.faults import FAULTY, SETTINGS


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder with the plugin and runs/smoke, in which both folds of `quick` are finished."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "faulty.py").write_text(FAULTY)
    done = pneumobench("run", "smoke", *SETTINGS, "--architectures", "quick", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(quick: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return shutil.copytree(quick, tmp_path / "quick")
