"""What every test process has in common: no network, one thread, and which tests share what one of them made."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

# before timm and albumentations are imported: both look at the network otherwise
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
# plugins of tests are not remembered as trusted by whoever runs them
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="pneumobench-state-")
# before PyTorch is imported: tests run side by side, and so do the commands that they start
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.registrations import registrations_forgotten

# a busy machine is no defect, and a test that failed once fails again
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
torch.set_num_threads(1)

# files whose tests look at something that takes long to make, once for each process: they run in the same one
SHARED = {
    **{
        f"tests/end_to_end/test_{name}.py": "the smoke run"
        for name in (
            "audits",
            "bundle",
            "evaluate",
            "export",
            "explain",
            "gallery",
            "nothing_left",
            "plan",
            "reader_study",
            "readme",
            "run",
            "submit",
            "verify",
        )
    },
    **{
        f"tests/lungs/test_{name}.py": "the segmenter"
        for name in ("prepared", "prepared_run", "quality", "required", "segmented", "segmenter")
    },
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole in two processes side by side, and what is named on the command line in this one."""
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # untyped
    """Gives whole files to a process, those that share to the same one.

    pytest-xdist's own groups (`--dist=loadgroup`) have no effect with pytest 9.2: they are written to a name that it no
    longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return SHARED.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Use it."""
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def registrations_end_with_the_test() -> Iterator[None]:
    """Forget what a test registered beside what ships: another one in this process lists all names."""
    with registrations_forgotten():
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, for a file: while one is open no other test of its process can run an event loop."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="uv run --group browser pytest")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium)
        yield launched
        launched.close()
