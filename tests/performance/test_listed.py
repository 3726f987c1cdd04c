"""The table of measurements names every script with a command that exists, and every file of figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / "benchmark/performance"
ROWS = re.findall(
    r"^\| (\w+\.py) \| ([^|]+) \| `([^`|]+)` \| ([^|]+) \|$", (HOME / "README.md").read_text(), re.MULTILINE
)
SCRIPTS = sorted(path.name for path in HOME.glob("*.py") if '__name__ == "__main__"' in path.read_text())


def test_every_script_is_listed() -> None:
    assert sorted(script for script, *_ in ROWS) == SCRIPTS


@pytest.mark.parametrize(("script", "what", "command", "figures"), ROWS, ids=[row[0] for row in ROWS])
def test_a_command_names_its_script_and_options_that_it_has(script: str, what: str, command: str, figures: str) -> None:
    name = Path(script).stem
    assert command.startswith((f"python -m benchmark.performance.{name} ", f"python benchmark/performance/{script} "))
    text = (HOME / script).read_text()
    for option in re.findall(r"--[a-z-]+", command):
        assert f'"{option}"' in text, option
    there = (HOME / f"{name}.md").is_file()
    assert (figures == f"[{name}.md]({name}.md)") == there, "figures that are there are linked, others are not"
