"""The tables of measurements and simulations name every script with a command that exists, and all figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmark"
FOLDERS = ("performance", "statistics")
ROW = re.compile(r"^\| (\w+\.py) \| ([^|]+) \| `([^`|]+)` \| ([^|]+) \|$", re.MULTILINE)
ROWS = [(folder, *row) for folder in FOLDERS for row in ROW.findall((BENCHMARK / folder / "README.md").read_text())]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_script_is_listed(folder: str) -> None:
    home = BENCHMARK / folder
    scripts = sorted(path.name for path in home.glob("*.py") if '__name__ == "__main__"' in path.read_text())
    assert sorted(row[1] for row in ROWS if row[0] == folder) == scripts
    assert scripts


@pytest.mark.parametrize(("folder", "script", "what", "command", "figures"), ROWS, ids=[row[1] for row in ROWS])
def test_a_command_names_its_script_and_options_that_it_has(
    folder: str, script: str, what: str, command: str, figures: str
) -> None:
    name, home = Path(script).stem, BENCHMARK / folder
    assert command.startswith((f"python -m benchmark.{folder}.{name} ", f"python benchmark/{folder}/{script} "))
    text = (home / script).read_text()
    for module in re.findall(
        rf"^from benchmark\.{folder}\.(\w+) import", text, re.MULTILINE
    ):  # some options are shared
        text += (home / f"{module}.py").read_text()
    for option in re.findall(r"--[a-z-]+", command):
        assert f'"{option}"' in text, option
    there = (home / f"{name}.md").is_file()
    assert (figures == f"[{name}.md]({name}.md)") == there, "figures that are there are linked, others are not"
