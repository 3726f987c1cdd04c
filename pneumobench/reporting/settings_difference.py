"""What differs between runs: settings, code, versions and inputs, one row for each thing that is not the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.provenance import WEIGHTS_KEY
from pneumobench.records.loaded_run import GatheredRun
from pneumobench.reporting.columns import NOTHING
from pneumobench.suite.described import yaml_value
from pneumobench.suite.spec import Suite
from pneumobench.texts import markdown_text

NOT_TOLD: Final = ("name", "data.root", "logging.", "search.")  # what changes no number
SHORT: Final = 12  # characters of a SHA-256 that are shown


def settings_difference(
    runs: Mapping[str, GatheredRun], boards: Mapping[str, Leaderboard]
) -> dict[str, dict[str, str]]:
    """Return what is not the same in all runs: its value in each run, by name of the setting and of the run.

    Args:
        runs: each run, by its name in the tables.
        boards: leaderboard of each.
    """
    facts = {name: _settings(run.suite) | _software(boards[name]) for name, run in runs.items()}
    keys = dict.fromkeys(key for found in facts.values() for key in found)
    different = (key for key in keys if len({found.get(key, NOTHING) for found in facts.values()}) > 1)
    return {key: {name: found.get(key, NOTHING) for name, found in facts.items()} for key in different}


def difference_lines(difference: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the section of Markdown that shows it."""
    if not difference:
        return ["", "## What differs", "", "No setting, version or input differs."]
    names = list(next(iter(difference.values())))
    lines = [
        "",
        "## What differs",
        "",
        f"| | {' | '.join(map(markdown_text, names))} |",
        "|" + " --- |" * (len(names) + 1),
    ]
    return lines + [
        f"| {markdown_text(key)} | {' | '.join(markdown_text(values[name]) for name in names)} |"
        for key, values in difference.items()
    ]


def _settings(suite: Suite) -> dict[str, str]:
    def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in values.items():
            name = f"{prefix}{key}"
            found |= leaves(value, f"{name}.") if isinstance(value, dict) else {name: yaml_value(value)}
        return found

    return {key: text for key, text in leaves(suite.plain()).items() if not key.startswith(NOT_TOLD)}


def _software(board: Leaderboard) -> dict[str, str]:
    """Return versions, code, further inputs and machine, hashes shortened; where weights come from stands above."""
    tables = (board.provenance.software, board.provenance.hardware)
    told = {key: values for table in tables for key, values in table.items() if not key.startswith(WEIGHTS_KEY)}
    return {key: ", ".join(map(_short, values)) for key, values in told.items()}


def _short(text: str) -> str:
    return text[:SHORT] if len(text) in (40, 64) and all(sign in "0123456789abcdef" for sign in text) else text
