"""A bar moves where it can, and a log gets one line a job."""

from __future__ import annotations

import importlib.util
import io

import pytest
from rich.console import Console

from pneumobench.reporting.progress import RunProgress, is_live
from pneumobench.reporting.search import SearchProgress


@pytest.mark.parametrize(
    ("terminal", "notebook", "widgets", "live"),
    [(True, False, False, True), (False, False, True, False), (False, True, True, True), (False, True, False, False)],
)
def test_a_bar_needs_a_terminal_or_a_notebook_with_widgets(
    terminal: bool, notebook: bool, widgets: bool, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if widgets else None)
    console = Console(file=io.StringIO(), force_terminal=terminal, force_jupyter=notebook)
    assert is_live(console) is live


@pytest.mark.parametrize(("epoch_s", "lines"), [(1.0, 1), (20.0, 4), (90.0, 12)])
def test_a_log_has_a_line_a_minute_and_at_most_one_an_epoch(
    epoch_s: float, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    file = io.StringIO()
    shown = RunProgress(Console(file=file, width=40), jobs=1, epochs=12)
    shown.job_started("resnet18", 3)
    for epoch in range(12):
        clock[0] += epoch_s
        shown.epoch_done("resnet18", 3, epoch, {"tune_auc": 0.9})
    written = file.getvalue().splitlines()
    assert len(written) == (lines if epoch_s > 1 else 0)
    assert all(line.startswith("resnet18 fold 3 epoch ") and "tune AUC 0.900" in line for line in written)


def test_a_search_tells_of_long_trials_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    file = io.StringIO()
    shown = SearchProgress(Console(file=file), trials=2, monitor="tune_auc")
    shown.trial_started(1, 0)
    for epoch in range(3):
        clock[0] += 61
        shown.epoch_done(epoch, {"tune_auc": 0.5})
    assert file.getvalue().count("trial 1 fold 0  epoch") == 3
