"""Parsers are made from functions: each kind of parameter becomes the option that people type."""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

import pneumobench
from pneumobench.cli import main as cli
from pneumobench.cli.examples import EXAMPLES
from pneumobench.cli.options import arguments_of, command_name, command_parser, parsers_of
from pneumobench.cli.options import parsed as read
from pneumobench.errors import SettingsError
from pneumobench.suite.reader import load_suite


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
    return arguments_of(*read(command_parser([example]), ["example", *words]))


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
    ("words", "message"),
    [
        ("--needed f", "required: word; see `pneumobench example --help`"),
        ("a", "required: --needed"),
        ("a --needed f --mode c", "--mode: invalid choice: 'c'"),
        ("a --needed f --coun 3", "option --coun is not understood; did you mean --count?"),
        ("a --needed f --count x", "--count: invalid int value: 'x'"),
        ("a --needed f --folds one", "--folds one: expected numbers"),
        ("a b c --needed f", "unrecognized arguments: c"),
    ],
)
def test_wrong_words_are_refused(words: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(*words.split())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rn smoke", "unknown command 'rn'; did you mean run?"),
        ("leaderbord x", "unknown command 'leaderbord'; did you mean leaderboard?"),
        ("xyzzy", "unknown command 'xyzzy'; there are run, leaderboard"),
        ("run smoke --training.lr 3", "unknown key 'training.lr'; did you mean training.learning_rate?"),
        ("run smoke --training.bs 3", "did you mean training.batch_size?"),
        ("run smoke --lr 3", "did you mean training.learning_rate?"),
        ("run smoke --epochs 3", "did you mean training.epochs?"),
        ("run --epochs 3", "did you mean training.epochs?"),
        ("run smoke --training.patience 3", "did you mean training.plateau_patience?"),
        ("run smoke --data.epochs 3", "did you mean training.epochs?"),
        ("run smoke --ouput x", "option --ouput is not understood; did you mean --output?"),
        ("run smoke --retry-faild", "did you mean --retry-failed?"),
        ("leaderboard x --jsn", "did you mean --json?"),
        ("suite smoke --training.epochs 3", "option --training.epochs is not understood"),
        ("run smoke extra", "unrecognized arguments: extra"),
        ("help training.ema", "did you mean training.ema_decay?"),
        ("help runn", "did you mean run"),
    ],
)
def test_a_wrong_word_names_the_right_one(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_told(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([option])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pneumobench {pneumobench.__version__}\n"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "usage: pneumobench" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_of_the_help_is_right(name: str, line: str) -> None:
    words = shlex.split(line.removeprefix('eval "$(').removesuffix(')"').partition(" > ")[0])
    assert words[:2] == ["pneumobench", name]
    options, overrides = read(command_parser(cli.COMMANDS), words[1:])
    assert options.command == name
    if overrides:
        assert load_suite(options.suite, overrides)


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(parsers_of(command_parser(cli.COMMANDS)))


def test_a_command_without_settings_takes_no_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderboard", "runs/x", "--training.epochs", "3"]) == 2
    assert "option --training.epochs is not understood" in capsys.readouterr().err


def test_every_command_says_what_each_of_its_options_does() -> None:
    names = [command_name(command) for command in cli.COMMANDS]
    assert len(set(names)) == len(names) == 33
    shown = command_parser(cli.COMMANDS).format_help()
    assert all(f"    {name}" in shown for name in names)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.__name__)
def test_help_is_readable_at_80_columns(command: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pneumobench", command_name(command), "--help"],
        env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    described, _, examples = done.stdout.partition("examples:")
    assert max(map(len, described.splitlines())) <= 80
    assert examples.strip().startswith(("pneumobench", "eval"))
    for name in inspect.signature(command).parameters:
        assert name == "overrides" or name.replace("_", "-") in done.stdout


def test_help_of_an_undocumented_option_cannot_be_made() -> None:
    def silent(*, thing: int = 3) -> int:
        """Say nothing of it."""
        return thing

    with pytest.raises(AssertionError, match="says nothing of thing"):
        command_parser([silent])
