"""What every test process has in common: no network, one thread, and which tests share what one of them made."""

from __future__ import annotations

import os

# before timm and albumentations are imported: both look at the network otherwise
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
# before PyTorch is imported: tests run side by side, and so do the commands that they start
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings

# a busy machine is no defect, and a test that failed once fails again
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
torch.set_num_threads(1)

# fixtures that take long to make: the tests that ask for them, in whatever file, run in the process that made them
SHARED_FIXTURES = ("smoke", "network")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole in two processes side by side, and what is named on the command line in this one."""
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together the tests that share a costly fixture, and the other tests of each file."""
    for item in items:
        shared = [name for name in SHARED_FIXTURES if name in getattr(item, "fixturenames", ())]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.path.as_posix()))
