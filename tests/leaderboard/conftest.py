from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pneumobench.records.run_folder import RunFolder
from tests.leaderboard.fake_run import make_fake_run


@pytest.fixture(scope="session")
def fake_run_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic run folder, made once; tests get their own copy."""
    return make_fake_run(tmp_path_factory.mktemp("template") / "run", overlays=True).path


@pytest.fixture
def run(tmp_path: Path, fake_run_template: Path) -> RunFolder:
    shutil.copytree(fake_run_template, tmp_path / "run")
    return RunFolder(tmp_path / "run")
