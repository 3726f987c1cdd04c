"""A bar moves where it can, and a log gets one line a job."""

from __future__ import annotations

import importlib.util
import io

import pytest
from rich.console import Console

from pneumobench.reporting.progress import is_live


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
