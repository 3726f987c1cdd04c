"""Damaged files are read or refused by the opening of an audit, quietly and in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_MIB = 400  # above what the process takes for whole files


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is asked in the way of Linux")
@pytest.mark.parametrize("count", [pytest.param(5000, marks=pytest.mark.long), 140])
def test_mutants_are_read_or_refused(tmp_path: Path, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.radiographs.fuzzing", str(tmp_path), str(count), "1"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no decoder prints, neither ours nor another one of what was accepted"
    found = json.loads(done.stdout)
    print(done.stdout)
    accepted, refused = sum(found["accepted"].values()), sum(found["refused"].values())
    assert accepted + refused == count
    assert min(accepted, refused) > count // 20, "both happen"
    assert found["undecodable"] == []
    assert found["peak_mib"] < MOST_MIB
