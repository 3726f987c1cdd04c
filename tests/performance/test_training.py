"""The measurements of trainings run; what they measure here means nothing."""

from __future__ import annotations

import sys

import pytest

from benchmark.performance import timm_train, training

TINY = ["--batch", "4", "--repeats", "1"]


def test_steps_and_epochs_are_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--architectures", "test_resnet", "--side", "32", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["training", *words, *TINY])
    training.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| ---", "| input ", "| step test_resnet", "| epoch test_resnet"]
    assert all(float(row.split(" | ")[4]) > 0 for row in rows[1:])


def test_timm_trains_on_the_same_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--architecture", "test_resnet", "--side", "32", "--images", "8", "--epochs", "1", "--workers", "0"]
    monkeypatch.setattr(sys, "argv", ["timm_train", *words, *TINY])
    timm_train.main()
    assert "| timm, 0 loader processes | " in capsys.readouterr().out
