"""Runs killed at any moment end with the bytes of one that was left alone, in every variant of training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark.reliability import kills


def trials(folder: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    code = kills.main([str(folder / "kills"), "--trials", str(count), "--report", str(folder / "kills.md")])
    printed = capsys.readouterr().out
    assert code == 0, printed
    killed = re.search(rf"^{count} of {count} equal, (\d+) killed", printed, flags=re.MULTILINE)
    assert killed is not None, printed
    assert int(killed[1]) > count * 2 // 3, printed
    report = (folder / "kills.md").read_text()
    for variant in kills.VARIANTS:
        assert f"| {variant} | " in report


def test_kills_over_all_variants_end_as_runs_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials(tmp_path, len(kills.VARIANTS), capsys)


@pytest.mark.long
def test_sixty_kills_over_all_variants_end_as_runs_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials(tmp_path, 60, capsys)


def test_other_bytes_missing_and_further_files_are_found() -> None:
    expected = {"a": "1", "b": "2", "c": ""}
    assert kills.differences(expected, {"a": "1", "b": "3", ".x.tmp": ""}) == {
        "b": "differs", "c": "missing", ".x.tmp": "left over",
    }  # fmt: skip
    assert kills.differences(expected, dict(expected)) == {}
