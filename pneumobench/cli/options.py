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
| `int` or a `Literal` | a number or the word |
| `tuple[str, ...]` (or of a `Literal`), `tuple[int, ...]` | `A,B` or `0,1` |
| `list[...]` | may be given several times; as a word: one or more of them |
| `overrides` | takes every `--group.key VALUE`, and `--seed`, `--task` |
"""

from __future__ import annotations

import argparse
import importlib.metadata
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from docstring_parser import parse

from pneumobench.cli.examples import EXAMPLES
from pneumobench.errors import SettingsError, nearest_names, suggestion

Command = Callable[..., int]
OVERRIDES: Final = "overrides"
VALUE_NAMES: Final[dict[Any, str]] = {Path: "PATH", str: "TEXT", int: "N", float: "X"}
EXAMPLES_HEAD: Final = "examples:\n"
NO_ARGUMENTS: Final = ("command", "call", "quiet")  # what is parsed besides the arguments of the function


class _Help(argparse.HelpFormatter):
    """Keeps the lines of examples; all other text is filled."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(EXAMPLES_HEAD):
            return text
        return super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process, so that a wrong word is an error like all others."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; see `{self.prog} --help`.")


def command_parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Return the parser of all commands; what it parses names the function as `call`."""
    parser = _Parser(
        prog="pneumobench",
        description="Compare deep networks for pneumonia detection on chest X-rays of children.",
        epilog="Exit codes: 0 done, 2 wrong settings, 3 unusable data, 4 a job or a check failed, 5 a verified run "
        "differs, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"pneumobench {importlib.metadata.version('pneumobench')}"
    )
    groups = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for command in commands:
        _add_command(groups, command)
    return parser


def command_name(command: Command) -> str:
    """Return the word of a command line that calls a function.

    >>> def reader_study() -> int: ...
    >>> command_name(reader_study)
    'reader-study'
    """
    return command.__name__.strip("_").replace("_", "-")


def parsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name."""
    return next(dict(action.choices) for action in parser._actions if isinstance(action.choices, Mapping))


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return a parsed command line, and the `--group.key VALUE` in it.

    Raises:
        SettingsError: a command, an option or a word is not understood; names the nearest that is.
    """
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None:
        return parser.parse_args(words), []
    known = parsers_of(parser)
    if name not in known:
        hint = suggestion(name, known, count=1) or f"there are {', '.join(known)}."
        raise SettingsError(f"unknown command {name!r}; {hint} `pneumobench --help` says what each does.")
    overrides, plain = split_overrides(words, known[name])
    return parser.parse_args(plain), overrides


def arguments_of(options: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    """Return the arguments of the function that a parsed command line calls."""
    values = {key: value for key, value in vars(options).items() if key not in NO_ARGUMENTS}
    return values | ({OVERRIDES: overrides} if OVERRIDES in inspect.signature(options.call).parameters else {})


def split_overrides(words: Sequence[str], command: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Take the settings of a suite out of a command line, so that no value is taken for the name of the suite.

    Raises:
        SettingsError: an option is neither one of the command nor, where it takes them, a setting.
    """
    options = {name for action in command._actions for name in action.option_strings}
    settings = OVERRIDES in inspect.signature(command.get_default("call")).parameters
    overrides, plain, rest = [], [], list(words)
    while rest:
        word = rest.pop(0)
        option = word.partition("=")[0]
        if not option.startswith("--") or option in options:
            plain.append(word)
            continue
        near = nearest_names(option, options, count=1)
        if not settings or (near and "." not in option and not _is_setting(option) and _close(option, near[0])):
            hint = f"did you mean {near[0]}?" if near else f"see `{command.prog} --help`."
            raise SettingsError(f"option {option} is not understood; {hint}")
        overrides += [word] if "=" in word or not rest else [word, rest.pop(0)]
    return overrides, plain


def _is_setting(option: str) -> bool:
    from pneumobench.suite.types import known_keys

    word = option.removeprefix("--").replace("-", "_")
    return any(word == key.rsplit(".", 1)[-1] for key in known_keys())


def _close(option: str, other: str) -> bool:
    return bool(nearest_names(option, [other], cutoff=0.75))


def _add_command(groups: Any, command: Command) -> None:
    text = parse(inspect.getdoc(command) or "")
    said = {part.arg_name: " ".join((part.description or "").split()) for part in text.params}
    name = command_name(command)
    examples = "".join(f"  {line}\n" for line in EXAMPLES.get(name, ()))
    parser = groups.add_parser(
        name,
        help=_escaped(text.short_description or "").rstrip("."),
        description=_escaped(" ".join(filter(None, (text.short_description, text.long_description)))),
        epilog=EXAMPLES_HEAD + examples.rstrip("\n") if examples else None,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.set_defaults(call=command)
    hints = typing.get_type_hints(command)
    for parameter_name, parameter in inspect.signature(command).parameters.items():
        if parameter_name != OVERRIDES:
            assert said.get(parameter_name), f"{name}: the docstring says nothing of {parameter_name}"
            _add_option(parser, parameter, hints[parameter_name], _escaped(said[parameter_name]))
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only (and what --json asks for)")


def _add_option(parser: argparse.ArgumentParser, parameter: inspect.Parameter, kind: Any, said: str) -> None:
    default = None if parameter.default is parameter.empty else parameter.default
    word = parameter.kind is not parameter.KEYWORD_ONLY
    name = parameter.name if word else f"--{parameter.name.replace('_', '-')}"
    also: tuple[str, ...] = ()
    if typing.get_origin(kind) in (types.UnionType, typing.Union):  # X | None, X | Literal[WORD] | None
        kind, *others = [part for part in typing.get_args(kind) if part is not type(None)]
        also = tuple(word for other in others for word in typing.get_args(other))
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
    elif also:
        settings |= {"type": _value_or_word(name, kind, also), "metavar": "|".join((VALUE_NAMES[kind], *also))}
    else:
        settings |= {"type": kind}
    if not word and "choices" not in settings:
        settings.setdefault("metavar", VALUE_NAMES.get(parts[0] if origin is list else kind, "VALUE"))
    if word and parameter.default is not parameter.empty and "nargs" not in settings:
        settings["nargs"] = "?"
    if settings.get("action") == "append":
        settings["default"] = []
    parser.add_argument(name, **settings)


def _value_or_word(name: str, kind: type, words: tuple[str, ...]) -> Callable[[str], Any]:
    def parsed_value(text: str) -> Any:
        try:
            return text if text in words else kind(text)
        except ValueError as error:
            raise SettingsError(f"{name} {text}: expected a number or {' or '.join(words)}.") from error

    return parsed_value


def _comma_list(name: str, kind: type) -> Callable[[str], Any]:
    def parsed_list(text: str) -> tuple[Any, ...]:
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise SettingsError(f"{name} {text!r}: expected words with commas; leave the option out for all.")
        try:
            return tuple(kind(part) for part in parts)
        except ValueError as error:
            raise SettingsError(f"{name} {text}: expected numbers with commas, e.g. 0,1.") from error

    return parsed_list


def _escaped(text: str) -> str:
    """Return text as argparse prints it: a percent sign is one of its own."""
    return " ".join(text.split()).replace("%", "%%")
