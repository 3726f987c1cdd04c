"""Commands that explain the others: keys, commands, and completion in a shell."""

from __future__ import annotations

from typing import Literal

from pneumobench.cli.exit_codes import DONE
from pneumobench.errors import SettingsError, suggestion


def help_(word: str | None = None) -> int:
    """Explain a key of a suite, a group of keys or a command.

    Args:
        word: e.g. training.ema_decay, training or run; without one all keys are listed.
    """
    from pneumobench.cli.main import COMMANDS
    from pneumobench.cli.options import command_parser, parsers_of
    from pneumobench.suite.described import described_keys
    from pneumobench.suite.names_meant import meant_keys

    keys = described_keys()
    if word is None:
        width = max(map(len, keys))
        for key in keys.values():
            if not key.keys:
                print(f"{key.name:<{width}}  {key.expected}")
        print("`pneumobench help KEY` says what a key means, `pneumobench --help` lists the commands.")
        return DONE
    commands = parsers_of(command_parser(COMMANDS))
    if word not in keys and word not in commands:
        near = meant_keys(word, keys)[:1] if "." in word else []
        hint = f"did you mean {near[0]}?" if near else suggestion(word, [*commands, *keys]) or "there is no such key."
        raise SettingsError(f"no help on {word!r}; {hint}")
    if word in keys:
        print(keys[word].text())
        if not keys[word].keys:
            print(f"  e.g.: pneumobench run quickstart --{word} {_example(keys[word].default)}")
    if word in commands:
        commands[word].print_help()
    return DONE


def _example(default: str) -> str:
    return default if default not in ("null", "''") else "VALUE"


def completion(shell: Literal["bash", "zsh", "tcsh"]) -> int:
    """Print the completion of commands and options for a shell.

    Put the line of the example into the start-up file of your shell.

    Args:
        shell: the shell.
    """
    import shtab

    from pneumobench.cli.main import COMMANDS
    from pneumobench.cli.options import command_parser

    print(shtab.complete(command_parser(COMMANDS), shell=shell))
    return DONE


COMMANDS = (help_, completion)
