"""Tests that look at one thing run in one process."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.conftest import SHARED, ByFile


@pytest.mark.parametrize(
    ("nodeid", "process"),
    [
        ("tests/suite/test_suite.py::test_a", "tests/suite/test_suite.py"),
        ("tests/suite/test_suite.py::test_a[x::y@z]", "tests/suite/test_suite.py"),
        ("tests/end_to_end/test_run.py::test_a", "the smoke run"),
        ("tests/end_to_end/test_gallery.py::test_b", "the smoke run"),
    ],
)
def test_a_file_and_those_that_share_stay_together(nodeid: str, process: str) -> None:
    assert ByFile._split_scope(cast("Any", None), nodeid) == process


def test_files_that_share_exist(pytestconfig: pytest.Config) -> None:
    assert all((pytestconfig.rootpath / file).is_file() for file in SHARED)
