"""What each key of a suite means and takes, read from the docstrings and types of its classes: the one source."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import docstring_parser
import yaml

from pneumobench.suite.checked import field_types, type_name
from pneumobench.suite.spec import Suite

COMMENT_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a suite.

    Args:
        name: the dotted key.
        expected: what may stand there, in words.
        default: its default as YAML; empty for a group of keys.
        meaning: what it decides.
        keys: names of the keys in it; empty for a single setting.
    """

    name: str
    expected: str
    default: str
    meaning: str
    keys: tuple[str, ...] = ()

    def text(self) -> str:
        """Return everything in a few lines, as `pneumobench help KEY` prints it."""
        lines = [self.name, *textwrap.wrap(self.meaning, 80, initial_indent="  ", subsequent_indent="  ")]
        if self.keys:
            return "\n".join([*lines, *(f"    {self.name}.{key}" for key in self.keys)])
        allowed = textwrap.wrap(f"takes: {self.expected}", 80, initial_indent="  ", subsequent_indent="    ")
        return "\n".join([*lines, *allowed, f"  default: {self.default}"])


def expected_words(kind: Any) -> str:
    """Return what a type with its rules takes.

    >>> expected_words(field_types(Suite)["seed"])
    'a whole number, 0 to 2,147,483,647'
    """
    rules: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *rules = typing.get_args(kind)  # type: ignore[assignment]
    return ", ".join([type_name(kind), *(rule.expected for rule in rules)])


def yaml_value(value: Any) -> str:
    """Return a value on one line as YAML.

    >>> yaml_value(("a", "b")), yaml_value(None), yaml_value(1e-5), yaml_value("")
    ('[a, b]', 'null', '1.0e-05', "''")
    """
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def described_keys() -> dict[str, Key]:
    """Return every key of a suite, groups and settings, in order."""
    return {key.name: key for key in _described(Suite, "")}


def _described(group: Any, prefix: str) -> Iterator[Key]:
    meanings = {entry.arg_name: entry.description or "" for entry in docstring_parser.parse(group.__doc__ or "").params}
    default = group()
    for name, kind in field_types(group).items():
        meaning = " ".join(meanings[name].split())
        if dataclasses.is_dataclass(kind):
            inner = tuple(field_types(kind))
            about = docstring_parser.parse(kind.__doc__ or "").description or ""
            yield Key(name=prefix + name, expected="", default="", meaning=" ".join(about.split()), keys=inner)
            yield from _described(kind, f"{prefix}{name}.")
        else:
            value = yaml_value(getattr(default, name))
            yield Key(name=prefix + name, expected=expected_words(kind), default=value, meaning=meaning)


def commented_yaml(suite: Suite) -> str:
    """Return a suite as YAML that can be read again, each key below its meaning and what it takes."""
    keys = described_keys()
    return "\n".join(_lines(suite.plain(), "", keys)) + "\n"


def _lines(values: dict[str, Any], prefix: str, keys: dict[str, Key]) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for name, value in values.items():
        key = keys[prefix + name]
        said = key.meaning if key.keys else f"{key.meaning.rstrip('.')}. Takes: {key.expected}."
        yield from textwrap.wrap(
            said, COMMENT_WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
        )
        if key.keys:
            yield f"{indent}{name}:"
            yield from _lines(value, f"{prefix}{name}.", keys)
        else:
            yield f"{indent}{name}: {yaml_value(value)}"
