"""The parser of each command, made from the function that it calls: its parameters, their types and its docstring.

jsonargparse, which reads signatures too, spells flags `--retry_failed true`, takes no `a,b` for lists and keeps only
the last of several `--plugin FILE`; the options here are those that people type:

| parameter | option |
| --- | --- |
| before `*`, without a default | a word that has to be there |
| before `*`, with a default | a word that may be left out |
| after `*` | `--its-name VALUE`, required where it has no default |
| `bool` | a flag |
| `Literal` | one of its words |
| `tuple[str, ...]` (or of a `Literal`), `tuple[int, ...]` | `A,B` or `0,1` |
| `list[...]` | may be given several times; as a word: one or more of them |
| `overrides` | takes every `--group.key VALUE` and `--seed VALUE` |
"""

from __future__ import annotations

import argparse
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from docstring_parser import parse

from pneumobench.errors import SettingsError

Command = Callable[..., int]
OVERRIDES: Final = "overrides"
VALUE_NAMES: Final[dict[Any, str]] = {Path: "PATH", str: "TEXT", int: "N"}


def command_parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Return the parser of all commands; what it parses names the function as `call`."""
    parser = argparse.ArgumentParser(
        prog="pneumobench",
        description="Compare deep networks for pneumonia detection on chest X-rays of children.",
        epilog="Exit codes: 0 done, 2 wrong settings, 3 unusable data, 4 a job or a check failed, 130 interrupted.",
        allow_abbrev=False,
    )
    groups = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
        _add_command(groups, command)
    return parser


def arguments_of(options: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    """Return the arguments of the function that a parsed command line calls.

    Raises:
        SettingsError: there are words that the command does not take.
    """
    values = {key: value for key, value in vars(options).items() if key not in ("command", "call")}
    if OVERRIDES in inspect.signature(options.call).parameters:
        values[OVERRIDES] = overrides
    elif overrides:
        raise SettingsError(f"{overrides[0]!r} is not understood; see `pneumobench {options.command} --help`.")
    return values


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take `--group.key VALUE` and `--seed VALUE` out, so that a value is never taken for the name of the suite."""
    overrides, plain, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        option = word.partition("=")[0]
        if option.startswith("--") and ("." in option or option == "--seed"):
            overrides += [word] if "=" in word or not rest else [word, rest.pop(0)]
        else:
            plain.append(word)
    return overrides, plain


def _add_command(groups: Any, command: Command) -> None:
    text = parse(inspect.getdoc(command) or "")
    said = {part.arg_name: " ".join((part.description or "").split()) for part in text.params}
    parser = groups.add_parser(
        command.__name__,
        help=_escaped(text.short_description or "").rstrip("."),
        description=_escaped(" ".join(filter(None, (text.short_description, text.long_description)))),
        allow_abbrev=False,
    )
    parser.set_defaults(call=command)
    hints = typing.get_type_hints(command)
    for name, parameter in inspect.signature(command).parameters.items():
        if name != OVERRIDES:
            assert said.get(name), f"{command.__name__}: the docstring says nothing of {name}"
            _add_option(parser, parameter, hints[name], _escaped(said[name]))


def _add_option(parser: argparse.ArgumentParser, parameter: inspect.Parameter, kind: Any, said: str) -> None:
    default = None if parameter.default is parameter.empty else parameter.default
    word = parameter.kind is not parameter.KEYWORD_ONLY
    name = parameter.name if word else f"--{parameter.name.replace('_', '-')}"
    if typing.get_origin(kind) in (types.UnionType, typing.Union):  # X | None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is bool:
        parser.add_argument(name, action="store_true", help=said.rstrip("."))
        return
    required = {} if word or origin is list or parameter.default is not parameter.empty else {"required": True}
    shown = "" if default in (None, "", [], ()) else f" (default: {default})"
    settings: dict[str, Any] = {"help": said.rstrip(".") + shown, "default": default, **required}
    if origin is typing.Literal:
        settings |= {"choices": parts, "type": type(parts[0])}
    elif origin is list:
        settings |= {"nargs": "+", "type": parts[0]} if word else {"action": "append", "type": parts[0]}
    elif origin is tuple:
        whole = parts[0] is int
        settings |= {"type": _comma_list(name, int if whole else str), "metavar": "0,1" if whole else "A,B"}
        if words := typing.get_args(parts[0]):  # what is allowed is checked by who is called
            settings["help"] = f"{said.rstrip('.')}: {', '.join(words)}"
    else:
        settings |= {"type": kind}
    if not word and "choices" not in settings:
        settings.setdefault("metavar", VALUE_NAMES.get(parts[0] if origin is list else kind, "VALUE"))
    if word and parameter.default is not parameter.empty and "nargs" not in settings:
        settings["nargs"] = "?"
    if settings.get("action") == "append":
        settings["default"] = []
    parser.add_argument(name, **settings)


def _comma_list(name: str, kind: type) -> Callable[[str], Any]:
    def parsed(text: str) -> tuple[Any, ...] | None:
        try:
            return tuple(kind(part) for part in text.split(",")) if text else None
        except ValueError as error:
            raise SettingsError(f"{name} {text}: expected numbers with commas, e.g. 0,1.") from error

    return parsed


def _escaped(text: str) -> str:
    """Return text as argparse prints it: a percent sign is one of its own."""
    return " ".join(text.split()).replace("%", "%%")
