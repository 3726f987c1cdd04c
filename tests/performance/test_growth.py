"""The measurement of growth goes through every stage; its figures here mean nothing."""

from __future__ import annotations

import sys

import pytest

from benchmark.performance import growth


@pytest.mark.long
def test_every_stage_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--rows", "3000", "--networks", "2", "--images", "3000"]
    monkeypatch.setattr(sys, "argv", ["growth", *sizes])
    growth.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows[1].startswith("| 3,000 | ")
    assert [row.split(" | ")[:2] for row in rows[3:]] == [["| 2", "3,000"], ["| 2", "3,000"]]
