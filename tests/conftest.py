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

# These look at something that takes long to make, once for each process: they run in the same one.
SHARED = {
    "tests/end_to_end/test_evaluate.py": "the smoke run",
    "tests/end_to_end/test_gallery.py": "the smoke run",
    "tests/end_to_end/test_run.py": "the smoke run",
    "tests/lungs/test_prepared_run.py": "the trained segmenter",
    "tests/lungs/test_quality.py": "the trained segmenter",
    "tests/lungs/test_segmented.py": "the trained segmenter",
    "tests/lungs/test_segmenter.py": "the trained segmenter",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and those of files that share."""
    for item in items:
        file = item.path.relative_to(item.config.rootpath).as_posix()
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(SHARED.get(file, file)))
