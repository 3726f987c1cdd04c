"""Parsers are made from functions: each kind of parameter becomes the option that people type."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from pneumobench.cli import main as cli
from pneumobench.cli.options import arguments_of, command_parser, split_overrides
from pneumobench.errors import SettingsError


def example(
    word: str,
    maybe: str = "here",
    *,
    overrides: list[str],
    needed: Path,
    count: int = 3,
    names: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    mode: Literal["a", "b"] | None = None,
    plugin: list[str],
    long_flag: bool = False,
) -> int:
    """Do something.

    Args:
        word: has to be there.
        maybe: may be left out.
        overrides: settings.
        needed: a file.
        count: how many, 100 % of them.
        names: some names.
        folds: some folds.
        mode: one of two.
        plugin: a file, several times.
        long_flag: a flag.
    """
    return 0


def parsed(*words: str) -> dict[str, Any]:
    overrides, plain = split_overrides(words)
    options, rest = command_parser([example]).parse_known_args(["example", *plain])
    return arguments_of(options, rest + overrides)


def test_what_is_left_out_has_its_default() -> None:
    assert parsed("a", "--needed", "f") == {
        "word": "a", "maybe": "here", "overrides": [], "needed": Path("f"), "count": 3, "names": None, "folds": None,
        "mode": None, "plugin": [], "long_flag": False,
    }  # fmt: skip


def test_every_kind_of_option_is_read() -> None:
    found = parsed(
        *("a", "b", "--needed", "f", "--count", "4", "--names", "x,y", "--folds", "0,2", "--mode", "b"),
        *("--plugin", "p", "--plugin", "q", "--long-flag", "--seed", "3", "--training.epochs=2"),
    )
    assert found["maybe"] == "b"
    assert (found["count"], found["names"], found["folds"], found["mode"]) == (4, ("x", "y"), (0, 2), "b")
    assert (found["plugin"], found["long_flag"]) == (["p", "q"], True)
    assert found["overrides"] == ["--seed", "3", "--training.epochs=2"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--needed f", SystemExit),
        ("a", SystemExit),
        ("a --needed f --mode c", SystemExit),
        ("a --needed f --coun 3 --count x", SystemExit),
        ("a --needed f --folds one", SettingsError),
    ],
)
def test_wrong_words_are_refused(words: str, error: type[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(error):
        parsed(*words.split())


def test_a_command_without_settings_takes_no_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderboard", "runs/x", "--training.epochs", "3"]) == 2
    assert "'--training.epochs' is not understood; see `pneumobench leaderboard --help`" in capsys.readouterr().err


def test_every_command_says_what_each_of_its_options_does() -> None:
    names = [command.__name__ for command in cli.COMMANDS]
    assert len(set(names)) == len(names) == 15
    shown = command_parser(cli.COMMANDS).format_help()
    assert all(f"    {name}" in shown for name in names)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.__name__)
def test_help_is_readable_at_80_columns(command: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pneumobench", command.__name__, "--help"],
        env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert max(map(len, done.stdout.splitlines())) <= 80
    for name in inspect.signature(command).parameters:
        assert name == "overrides" or name.replace("_", "-") in done.stdout


def test_help_of_an_undocumented_option_cannot_be_made() -> None:
    def silent(*, thing: int = 3) -> int:
        """Say nothing of it."""
        return thing

    with pytest.raises(AssertionError, match="says nothing of thing"):
        command_parser([silent])
