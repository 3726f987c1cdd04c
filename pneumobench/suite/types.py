"""From plain values to a Suite, strictly by the types of its classes, and messages that name what does not fit."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from pneumobench.errors import SettingsError
from pneumobench.suite.spec import Suite


def known_keys() -> dict[str, Any]:
    """Return every dotted key of a suite, leaves and groups, with its type."""
    return dict(_keys_of(Suite, ""))


def _keys_of(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        yield prefix + item.name, hints[item.name]
        if dataclasses.is_dataclass(hints[item.name]):
            yield from _keys_of(hints[item.name], f"{prefix}{item.name}.")


def typed_suite(values: dict[str, Any], lines: dict[str, str], origin: str) -> Suite:
    """Return the suite of plain values.

    Args:
        values: groups as dictionaries, tuples as lists.
        lines: where each dotted key stands, for messages.
        origin: where keys stand that `lines` does not know.

    Raises:
        SettingsError: naming the first key whose value does not fit its type.
    """
    from jsonargparse import ArgumentParser

    for key, kind in known_keys().items():  # jsonargparse takes some plain values for groups
        found = found_value(values, key)
        if dataclasses.is_dataclass(kind) and found is not dataclasses.MISSING and not isinstance(found, dict | None):
            raise SettingsError(f"{lines.get(key, origin)}: {key} is {found!r}; expected {type_name(kind)}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--suite", type=Suite)
    try:
        config = parser.parse_object({"suite": values})
        suite: Suite = parser.instantiate(config).suite
    except Exception as error:
        raise SettingsError(_type_message(values, lines, origin, error)) from error
    return suite


def found_value(values: dict[str, Any], key: str) -> Any:
    """Return what a file or an option gives for a dotted key, or MISSING."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part, dataclasses.MISSING) if isinstance(found, dict) else dataclasses.MISSING
    return found


def typed_value(key: str, value: Any, where: str) -> Any:
    """Return the value of one dotted key as its type has it, e.g. a list as a tuple.

    Raises:
        SettingsError: it does not fit the type of the key.
    """
    from jsonargparse import ArgumentParser

    kind = known_keys()[key]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind if not dataclasses.is_dataclass(kind) else dict | None)
    try:
        return parser.parse_object({"value": value}).value
    except Exception as error:  # jsonargparse lets other exceptions through too
        raise SettingsError(f"{where}: {key} is {value!r}; expected {type_name(kind)}.") from error


def _type_message(values: dict[str, Any], lines: dict[str, str], origin: str, error: Exception) -> str:
    """Name the first key whose value does not fit its type, with its line."""
    for key, kind in known_keys().items():
        found = found_value(values, key)
        if found is dataclasses.MISSING or (dataclasses.is_dataclass(kind) and isinstance(found, dict)):
            continue
        try:
            typed_value(key, found, lines.get(key, origin))
        except SettingsError as misfit:
            return str(misfit)
    return f"{origin}: {str(error).splitlines()[-1].strip()}"


def type_name(kind: Any) -> str:
    """Return what a key's type expects, in words."""
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
