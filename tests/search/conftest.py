"""Small searches over phantoms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

SUITE = """\
name: tiny
seed: 2
data: {image_side_px: 32, phantoms: {patients: 24, official_test_patients: 6, side_px: 64, seed: 1}}
folds: {count: 2, tune_fraction: 0.25}
architectures: {names: [test_resnet]}
training: {epochs: 2, batch_size: 8, monitor: tune_auc, precision: 32-true, accelerator: cpu}
"""

SuiteWith = Callable[[str], Suite]


@pytest.fixture
def suite_with(tmp_path: Path) -> SuiteWith:
    """Return a function that reads the tiny suite with a group `search` below it; the file is `tiny.yaml`."""

    def read(search: str) -> Suite:
        path = tmp_path / "tiny.yaml"
        path.write_text(f"{SUITE}search:\n{search}")
        return load_suite(path)

    return read
