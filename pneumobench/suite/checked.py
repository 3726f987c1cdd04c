"""Groups of settings that check themselves: whoever makes one, from YAML or in Python, meets the same rules."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pneumobench.errors import SettingsError, suggestion

SHOWN_CHARACTERS: Final = 120  # of a value in a message


class UnfitError(SettingsError):
    """A value that a setting cannot have.

    Args:
        key: dotted key of the setting, which the message begins with.
        words: what was found and what was expected.
    """

    def __init__(self, key: str, words: str) -> None:
        super().__init__(f"{key} {words}")
        self.key = key


@dataclass(frozen=True)
class Rule:
    """What a value may be beyond its type; null is judged by the type alone.

    Args:
        fits: whether a value is allowed.
        expected: the same in words.
    """

    fits: Callable[[Any], bool]
    expected: str


class Checked:
    """A frozen dataclass of settings. Types and rules (`Annotated[int, RULE]`) are checked when it is made.

    Lists become tuples and whole numbers become floats where the type says so. Subclasses name the group that they
    are in a suite: `class TrainingSpec(Checked, group="training")`.

    Raises:
        UnfitError: naming the dotted key, the value found, what was expected and, for words, the nearest one.
    """

    group: ClassVar[str] = ""

    def __init_subclass__(cls, *, group: str = "") -> None:
        super().__init_subclass__()
        cls.group = f"{group}." if group else ""

    def __post_init__(self) -> None:
        for name, kind in field_types(type(self)).items():
            object.__setattr__(self, name, fitted(kind, getattr(self, name), f"{self.group}{name}"))


def field_types(group: Any) -> dict[str, Any]:
    """Return the type of every setting of a group (the class), with its rules."""
    return _field_types(group)


@functools.cache
def _field_types(group: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(group, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(group)}


def fitted(kind: Any, value: Any, key: str) -> Any:
    """Return a value as its type has it.

    >>> fitted(tuple[int, ...], [0, 1], "search.folds")
    (0, 1)

    Raises:
        UnfitError: it is of another type, or breaks a rule.
    """
    rules: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *rules = typing.get_args(kind)  # type: ignore[assignment]
    try:
        typed = _typed(kind, value)
    except (ValueError, OverflowError):
        known = _words(kind)
        hint = suggestion(value, known, count=1) if isinstance(value, str) and known else ""
        raise UnfitError(
            key, f"is {_shown(value)}; expected {type_name(kind)}{(hint and f'; {hint}') or '.'}"
        ) from None
    for rule in rules:
        if typed is not None and (not rule.fits(typed) or (isinstance(typed, float) and not math.isfinite(typed))):
            null = ", or null" if type(None) in typing.get_args(kind) else ""
            raise UnfitError(key, f"is {_shown(typed)}; expected {rule.expected}{null}.")
    parts = typed if isinstance(typed, tuple) else (typed,)
    if any(isinstance(part, str) and not part.isprintable() for part in parts):
        raise UnfitError(key, f"is {_shown(typed)}; expected no line break and no control character.")
    return typed


def _shown(value: Any) -> str:
    """Return a value as messages show it: on one line, and not without end."""
    try:
        text = repr(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _typed(kind: Any, value: Any) -> Any:
    """Return a value as its type has it, or raise ValueError."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or (value is None and type(None) in parts):
        return value
    if origin is typing.Literal:
        if any(value == part and type(value) is type(part) for part in parts):  # True is no 1
            return value
    elif origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_typed(parts[0], part) for part in value)
    elif origin is dict:
        if isinstance(value, dict):
            return value
    elif parts:  # one of several types
        for part in parts:
            try:
                return _typed(part, value)
            except ValueError:
                continue
    elif kind is float and not isinstance(value, bool) and isinstance(value, int | float | str):
        return float(value)  # YAML reads 1e-3 as text
    elif kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    elif type(value) is kind:
        return value
    raise ValueError(f"{value!r} is no {kind}")


def _words(kind: Any) -> list[str]:
    """Return the words that a value of this type may be."""
    return [part for part in typing.get_args(kind) if isinstance(part, str)]


def type_name(kind: Any) -> str:
    """Return what a key's type expects, in words.

    >>> type_name(tuple[str, ...]), type_name(float | None)
    ('a list of text', 'a number or null')
    """
    if dataclasses.is_dataclass(kind):
        return "a group of keys: " + ", ".join(item.name for item in dataclasses.fields(kind))
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list of {type_name(typing.get_args(kind)[0])}"
    if typing.get_origin(kind) is dict:
        return "a group of keys"
    if isinstance(kind, type):
        return {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}[kind.__name__]
    return " or ".join("null" if part is type(None) else type_name(part) for part in typing.get_args(kind))


def changed(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return what differs from the default, group by group.

    >>> changed({"seed": 1, "training": {"epochs": 3}}, {"seed": 1, "training": {"epochs": 20}})
    {'training': {'epochs': 3}}
    """
    other: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(default[key], dict):
            if inner := changed(value, default[key]):
                other[key] = inner
        elif value != default[key]:
            other[key] = value
    return other
