"""From plain values, as YAML has them, to a Suite, and messages that name where the value stands that does not fit."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator
from typing import Any

from pneumobench.errors import SettingsError
from pneumobench.suite.checked import UnfitError, fitted, type_name
from pneumobench.suite.spec import Suite


def known_keys() -> dict[str, Any]:
    """Return every dotted key of a suite, leaves and groups, with its type."""
    return dict(_all_keys())


@functools.cache
def _all_keys() -> tuple[tuple[str, Any], ...]:
    return tuple(_keys_of(Suite, ""))


def _keys_of(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        yield prefix + item.name, hints[item.name]
        if dataclasses.is_dataclass(hints[item.name]):
            yield from _keys_of(hints[item.name], f"{prefix}{item.name}.")


def is_text(kind: Any) -> bool:
    """Tell whether a key takes text as it is typed: `off` is a word then, and no YAML.

    >>> is_text(known_keys()["name"]), is_text(known_keys()["logging.wandb"]), is_text(known_keys()["data.channels"])
    (True, True, False)
    """
    return kind is str or (
        typing.get_origin(kind) is typing.Literal and all(isinstance(word, str) for word in typing.get_args(kind))
    )


def typed_suite(values: dict[str, Any], lines: dict[str, str], origin: str) -> Suite:
    """Return the suite of plain values.

    Args:
        values: groups as dictionaries, tuples as lists; a group that is null has its defaults.
        lines: where each dotted key stands, for messages.
        origin: where keys stand that `lines` does not know.

    Raises:
        SettingsError: naming the first key whose value does not fit its type, its range or the other settings.
    """
    try:
        suite: Suite = _group(Suite, values, "")
    except UnfitError as error:
        raise SettingsError(f"{lines.get(error.key, origin)}: {error}") from None
    return suite


def _group(kind: Any, values: dict[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    parts = {}
    for name, value in values.items():
        key, inner = f"{prefix}{name}", hints[name]
        if not dataclasses.is_dataclass(inner):
            parts[name] = value
        elif isinstance(value, dict | None):
            parts[name] = _group(inner, value or {}, f"{key}.")
        else:
            raise UnfitError(key, f"is {value!r}; expected {type_name(inner)}.")
    return kind(**parts)


def typed_value(key: str, value: Any, where: str) -> Any:
    """Return the value of one dotted key as its type has it, e.g. a list as a tuple.

    Raises:
        SettingsError: it does not fit the type of the key.
    """
    try:
        return fitted(known_keys()[key], value, key)
    except UnfitError as error:
        raise SettingsError(f"{where}: {error}") from None
