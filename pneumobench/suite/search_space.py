"""The space of a search: the settings that are tried, and their values, checked before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite.checked import UnfitError
from pneumobench.suite.spec import Suite
from pneumobench.suite.types import known_keys, typed_value

SPACE_PREFIX: Final = "search.space."
GROUPS: Final = ("training.", "augmentation.")
RANGE_KEYS: Final = ("low", "high", "log", "step")
# settings that say on what and how exactly is computed, or what trials are compared by
SAME_IN_ALL_TRIALS: Final = (
    "training.fit", "training.monitor", "training.precision", "training.accelerator", "training.devices",
    "training.strategy", "training.loader_workers", "training.memory_format", "training.compile",
    "training.deterministic",
)  # fmt: skip
# settings that change what the number tune_loss means
LOSS_KEYS: Final = (
    "training.loss", "training.focal_gamma", "training.focal_alpha", "training.class_weights",
    "training.label_smoothing",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Choices:
    """A setting that takes one of a few values.

    Args:
        values: the values, as the type of the setting has them.
    """

    values: tuple[Any, ...]

    def texts(self) -> tuple[Any, ...]:
        """Return the values as plain scalars: databases of trials hold no lists, which become JSON."""
        return tuple(json.dumps(value) if isinstance(value, tuple) else value for value in self.values)

    def value(self, text: Any) -> Any:
        """Return the value of a plain scalar."""
        return self.values[self.texts().index(text)]


@dataclass(frozen=True, kw_only=True)
class Range:
    """A number between two others, both included.

    Args:
        low: smallest value.
        high: largest value.
        log: draw its logarithm uniformly.
        step: distance of the values that are tried; None = any (whole numbers: 1).
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False


Space = dict[str, Choices | Range]


def searchable_keys() -> dict[str, Any]:
    """Return the dotted keys that a space may hold, with their types."""
    return {
        key: kind
        for key, kind in known_keys().items()
        if key.startswith(GROUPS) and not dataclasses.is_dataclass(kind) and key not in SAME_IN_ALL_TRIALS
    }


def with_values(suite: Suite, values: Mapping[str, Any], where: str) -> Suite:
    """Return the suite with other values of some dotted keys.

    Raises:
        SettingsError: a value is out of its range, or does not go with the others.
    """
    try:
        return typing.cast("Suite", _replaced(suite, {tuple(key.split(".")): value for key, value in values.items()}))
    except UnfitError as error:
        raise SettingsError(f"{where}: {error}") from None


def _replaced(group: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """Return the group with other values, all put in at once: one alone may not go with those it has now."""
    inner: dict[str, dict[tuple[str, ...], Any]] = {}
    for (first, *rest), value in values.items():
        inner.setdefault(first, {})[tuple(rest)] = value
    changes = {
        name: parts[()] if () in parts else _replaced(getattr(group, name), parts) for name, parts in inner.items()
    }
    return dataclasses.replace(group, **changes)


def check_space_key(key: str, where: str) -> None:
    """Check a key below `search.space`, as the reader finds it: a setting, or a key of its range.

    Raises:
        SettingsError: naming the nearest setting that a space may hold.
    """
    setting = key.removeprefix(SPACE_PREFIX)
    known = searchable_keys()
    owner, _, last = setting.rpartition(".")
    if setting in known:
        return
    if owner in known:
        if last not in RANGE_KEYS:
            hint = suggestion(last, RANGE_KEYS, count=1) or f"expected {', '.join(RANGE_KEYS)}."
            raise SettingsError(f"{where}: unknown key {last!r} of the range of {owner}; {hint}")
        return
    if setting in SAME_IN_ALL_TRIALS:
        raise SettingsError(f"{where}: {setting} is the same in all trials; set it under its own group.")
    if setting in known_keys() and not setting.startswith(("training", "augmentation")):
        raise SettingsError(
            f"{where}: {setting} cannot be searched: only settings of training and augmentation, on the same data."
        )
    hint = suggestion(setting, known, count=1) or "write whole dotted keys, e.g. training.learning_rate."
    raise SettingsError(f"{where}: search.space has no setting {setting!r}; {hint}")


def read_space(suite: Suite, lines: Mapping[str, str], origin: str) -> Space:
    """Return the space of a suite; each value is tried with all other settings as they stand in the suite.

    Args:
        suite: the suite, read and checked.
        lines: where each dotted key stands in a file, for messages.
        origin: where keys stand that `lines` does not know.

    Raises:
        SettingsError: a value does not fit its setting, or trials could not be compared.
    """
    space: Space = {}
    for key, given in suite.search.space.items():
        where = lines.get(SPACE_PREFIX + key, origin)
        check_space_key(SPACE_PREFIX + key, where)
        if isinstance(given, list):
            space[key] = _choices(suite, key, given, where)
        elif isinstance(given, dict):
            space[key] = _range(suite, key, given, where)
        else:
            raise SettingsError(
                f"{where}: search.space.{key} is {given!r}; expected a list of choices, or a range "
                "{low: ..., high: ...}."
            )
    if not space:
        return space
    if suite.training.monitor == "tune_loss" and (other := [key for key in LOSS_KEYS if key in space]):
        raise SettingsError(
            f"{lines.get(SPACE_PREFIX + other[0], origin)}: {other[0]} changes what the number tune_loss means, and "
            "trials are compared by it; set training.monitor to tune_auc or tune_accuracy."
        )
    if suite.search.pruner != "none" and suite.training.devices > 1:
        raise SettingsError(
            f"{lines.get('search.pruner', origin)}: search.pruner {suite.search.pruner} works on one device only; set "
            "training.devices to 1, or search.pruner to none."
        )
    return space


def _choices(suite: Suite, key: str, given: list[Any], where: str) -> Choices:
    values = tuple(_tried(suite, key, value, where) for value in given)
    if not values or any(value in values[:place] for place, value in enumerate(values)):
        raise SettingsError(f"{where}: search.space.{key} is {given!r}; expected at least one choice, each once.")
    return Choices(values=values)


def _range(suite: Suite, key: str, given: dict[str, Any], where: str) -> Range:
    kind = searchable_keys()[key]
    kinds = set(typing.get_args(kind)) or {kind}
    if not kinds & {int, float}:
        raise SettingsError(f"{where}: {key} is no number; expected a list of choices, e.g. [a, b].")
    for name in given:
        check_space_key(f"{SPACE_PREFIX}{key}.{name}", where)
    if missing := [name for name in ("low", "high") if given.get(name) is None]:
        raise SettingsError(f"{where}: the range of {key} has no {missing[0]}; expected {{low: ..., high: ...}}.")
    low, high = (_tried(suite, key, given[name], where) for name in ("low", "high"))
    log, step, whole = given.get("log", False), given.get("step"), float not in kinds
    if low >= high:
        raise SettingsError(f"{where}: the range of {key} goes from {low} to {high}; expected low below high.")
    if not isinstance(log, bool):
        raise SettingsError(f"{where}: log of {key} is {log!r}; expected true or false.")
    if log and (low <= 0 or step is not None):
        raise SettingsError(f"{where}: the range of {key} has log: true; expected low above 0, and no step.")
    if step is not None:
        step = typed_value(key, step, where)
        if step <= 0 or step > high - low:
            raise SettingsError(f"{where}: step of {key} is {step}; expected more than 0, at most {high - low}.")
    return Range(low=low, high=high, log=log, step=step, whole=whole)


def _tried(suite: Suite, key: str, value: Any, where: str) -> Any:
    """Return a value as the type of its setting has it, after it was put into the suite."""
    typed = typed_value(key, value, where)
    with_values(suite, {key: typed}, where)
    return typed
