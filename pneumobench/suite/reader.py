"""YAML file and command-line overrides -> Suite, strictly: nothing unknown, doubled or of a wrong type passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pneumobench.errors import SettingsError
from pneumobench.suite.checked import Checked, field_types, type_name
from pneumobench.suite.names_meant import meant_keys
from pneumobench.suite.rules import check_known_names
from pneumobench.suite.search_space import RANGE_KEYS, SPACE_PREFIX, check_space_key, read_space
from pneumobench.suite.shipped import suite_path
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.training import FIRST_MONITOR
from pneumobench.suite.types import is_text, known_keys, typed_suite
from pneumobench.suite.weights import is_folder

MAX_SUITE_BYTES = 200_000  # a suite is a page of text; anything larger is not one


def load_suite(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    section: str | None = None,
    of_run: bool = False,
    **settings: Any,
) -> Suite:
    """Read a shipped suite or a file, change some of its settings, and check all of them together.

    Args:
        name_or_path: name of a shipped suite (`suite_names()` lists them) or a YAML file; a `Path` is always a file.
        overrides: options of the command line and their values, such as `["--training.epochs", "3"]`.
        section: key of the file under which the suite stands; None = the file is the suite.
        of_run: the file is that of a run folder, which can be read where a plugin of the run is not.
        settings: groups of settings as dictionaries, and `name`, `task` and `seed`. A list of `architectures` is
            short for their names.

    Returns:
        The suite, every key resolved.

    Raises:
        SettingsError: naming file and line (or the option, or the argument), what was found and the nearest known key.

    Example:
        >>> suite = load_suite("quickstart", training={"epochs": 3}, architectures=["resnet18"])
        >>> suite.training.epochs, suite.architectures.names
        (3, ('resnet18',))
    """
    path = name_or_path if isinstance(name_or_path, Path) else suite_path(name_or_path)
    values, lines = read_strict_yaml(path, section)
    _put_overrides(values, lines, overrides)
    for key, value in _arguments(settings, ""):
        _check_key(key, "load_suite")
        _put(values, key, value)
        lines[key] = "load_suite"
    if of_run and "monitor" not in (training := values.get("training", {})) and isinstance(training, dict):
        _put(values, "training.monitor", FIRST_MONITOR)
    space = _taken_space(values, lines, str(path))
    suite = typed_suite(values, lines, str(path))
    suite = dataclasses.replace(suite, search=dataclasses.replace(suite.search, space=space))
    origin = f"{path} with options" if overrides else str(path)
    if not of_run:
        check_known_names(suite, lines, origin)
    read_space(suite, lines, origin)
    return suite


def with_data_overrides(data: DataSpec, overrides: Sequence[str]) -> DataSpec:
    """Return the settings of the data with some of them changed by options of the command line.

    Args:
        data: the settings.
        overrides: options and their values, such as `["--data.columns.image", "Image Index"]`.

    Raises:
        SettingsError: an option is unknown, is none of the data, or its value does not fit.
    """
    values: dict[str, Any] = {"data": dataclasses.asdict(data)}
    lines: dict[str, str] = {}
    _put_overrides(values, lines, overrides)
    if others := [key for key in lines if not key.startswith("data.")]:
        raise SettingsError(
            f"option --{others[0]}: only settings of the data, --data.KEY VALUE, change how it is read."
        )
    return typed_suite(values, lines, "options").data


def with_overrides(suite: Suite, overrides: Sequence[str]) -> Suite:
    """Return a suite with some settings changed by options of the command line; those of the search stay.

    Args:
        suite: the settings.
        overrides: options and their values, such as `["--training.epochs", "3"]`.

    Raises:
        SettingsError: an option is unknown, or its value does not fit.
    """
    values = suite.plain()
    values.pop("search", None)
    lines: dict[str, str] = {}
    _put_overrides(values, lines, overrides)
    return dataclasses.replace(typed_suite(values, lines, "options"), search=suite.search)


def _put_overrides(values: dict[str, Any], lines: dict[str, str], overrides: Sequence[str]) -> None:
    """Put the values of options among those of a file, and note where they come from."""
    for key, text in _pairs(overrides):
        _check_key(key, f"option --{key}")
        kind = known_keys().get(key)  # None below search.space
        if key.removeprefix(SPACE_PREFIX).endswith(tuple(f".{name}" for name in RANGE_KEYS)):
            raise SettingsError(f"option --{key}: give the whole range, e.g. {{low: 1, high: 2}}.")
        if dataclasses.is_dataclass(kind):
            first = dataclasses.fields(kind)[0].name
            raise SettingsError(f"option --{key} is {type_name(kind)}; set one of them, e.g. --{key}.{first} VALUE.")
        _put(values, key, text if is_text(kind) else _value(text, key))
        lines[key] = f"option --{key}"


def _arguments(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Return the (dotted key, value) pairs of keyword arguments; a group of its own type replaces the whole group."""
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if key == "architectures" and isinstance(value, list | tuple):
            yield "architectures.names", list(value)
        elif key == SPACE_PREFIX.removesuffix(".") and isinstance(value, Mapping):
            yield from ((f"{SPACE_PREFIX}{setting}", given) for setting, given in value.items())
        elif isinstance(value, Checked):
            yield from _arguments({part: getattr(value, part) for part in field_types(type(value))}, f"{key}.")
        elif isinstance(value, Mapping):
            yield from _arguments(value, f"{key}.")
        else:
            yield key, value


def section_of(path: Path) -> str | None:
    """Return the key under which a suite stands in the file of a paper; None in the file of a suite.

    What is no YAML is left to the reader of suites.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return "suite" if isinstance(found, dict) and "paper" in found else None


def public_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that others type for the same run: without folders of this machine.

    >>> public_overrides(["--data.root", "/home/me", "--seed=3", "--architectures.weights", "none"])
    ['--seed=3', '--architectures.weights', 'none']
    """
    words, rest = [], list(overrides)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        given = [word] if equals or not rest else [word, rest.pop(0)]
        private = option in ("--data.root", "--architectures.plugins", "--architectures.weights_of")
        if private or (option == "--architectures.weights" and is_folder(value or given[-1])):
            continue
        words += given
    return words


def read_strict_yaml(path: Path, section: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a suite file or of a section, and where each dotted key stands as `FILE line N`."""
    try:
        size = path.stat().st_size
        if size > MAX_SUITE_BYTES:
            raise SettingsError(f"{path}: {size} bytes is too long for a suite (at most {MAX_SUITE_BYTES}).")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a suite: {error}.") from error
    try:
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken):
                line = token.start_mark.line + 1
                raise SettingsError(f"{path} line {line}: aliases (*name) are not allowed; write the value out.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise SettingsError(f"{path}: expected keys such as name, data and training, found {text[:40]!r}.")
        if section is not None:
            parts = {key.value: value for key, value in node.value}
            if not isinstance(node := parts.get(section), yaml.MappingNode):
                raise SettingsError(f"{path}: found no group {section!r} with the keys of a suite.")
        lines = {key: f"{path} line {line}" for key, line in _walk(node, "", path)}
        for key, where in lines.items():
            _check_key(key, where)
        values = yaml.safe_load(text)
        return values if section is None else values[section], lines
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also impossible dates, and endless nesting
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else str(path)
        raise SettingsError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}.") from error


def _walk(node: yaml.MappingNode, prefix: str, path: Path) -> Iterator[tuple[str, int]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise SettingsError(f"{path} line {line}: a key must be a plain word.")
        key = str(key_node.value)
        if key in seen:
            raise SettingsError(f"{path} line {line}: key {prefix}{key} stands already in line {seen[key]}.")
        seen[key] = line
        yield prefix + key, line
        if isinstance(value_node, yaml.MappingNode):
            yield from _walk(value_node, f"{prefix}{key}.", path)


def _taken_space(values: dict[str, Any], lines: dict[str, str], origin: str) -> dict[str, Any]:
    """Take the space of a search out of the values: its keys are dotted ones, and its values are of many types."""
    search = values.get("search")
    space = search.pop("space", None) if isinstance(search, dict) else None
    if not isinstance(space, dict | None):
        where = lines.get("search.space", origin)
        raise SettingsError(f"{where}: search.space is {space!r}; expected settings, each with its choices or range.")
    return space or {}


def _check_key(key: str, where: str) -> None:
    if key.startswith(SPACE_PREFIX):
        check_space_key(key, where)
        return
    keys = known_keys()
    if key not in keys:
        near = meant_keys(key, keys)
        hint = f"did you mean {near[0]}?" if near else "`pneumobench help` lists all keys."
        raise SettingsError(f"{where}: unknown key {key!r}; {hint}")


def _pairs(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = list(overrides)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--"):
            raise SettingsError(f"{option!r} is not understood; override a setting with --group.key VALUE.")
        key, equals, text = option[2:].partition("=")
        if not equals:
            _check_key(key, f"option --{key}")
            if not rest:
                raise SettingsError(f"option --{key} needs a value: --{key} VALUE.")
            text = rest.pop(0)
        yield key, text


def _value(text: str, key: str) -> Any:
    """Return the value of an option that is not plain text; an empty one is no value, not null."""
    try:
        return yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"option --{key}: {text!r} is not a YAML value.") from error


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *groups, leaf = key.split(".")
    if key.startswith(SPACE_PREFIX):  # a key of the space is one word with dots
        groups, leaf = ["search", "space"], key.removeprefix(SPACE_PREFIX)
    for group in groups:
        if values.get(group) is None:  # absent, or a group without keys
            values[group] = {}
        if not isinstance(values[group], dict):
            return  # of a wrong type, which is reported with its line
        values = values[group]
    values[leaf] = value
