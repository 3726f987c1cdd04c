"""YAML file and command-line overrides -> Suite, strictly: nothing unknown, doubled or of a wrong type passes."""

from __future__ import annotations

import dataclasses
import math
import operator
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from pneumobench.errors import SettingsError, suggestion
from pneumobench.suite import CONTROL_PREFIX, NAME_RULE, FoldSpec, Suite, is_name

SINGLE_TEST = ("holdout", "official")  # protocols with one test part
MAX_SUITE_BYTES = 200_000  # a suite is a page of text; anything larger is not one


def load_suite(path: Path, overrides: Sequence[str] = (), *, section: str | None = None) -> Suite:
    """Read a suite and apply overrides such as `["--training.epochs", "3"]`.

    Args:
        path: YAML file.
        overrides: options and their values.
        section: key of the file under which the suite stands; None = the file is the suite.

    Raises:
        SettingsError: naming file and line (or the option), what was found and the nearest known key.
    """
    values, lines = read_strict_yaml(path, section)
    for key, text in _pairs(overrides):
        _check_key(key, f"option --{key}")
        if dataclasses.is_dataclass(kind := known_keys()[key]):
            first = dataclasses.fields(kind)[0].name
            raise SettingsError(f"option --{key} is {_type_name(kind)}; set one of them, e.g. --{key}.{first} VALUE.")
        _put(values, key, text if kind is str else _value(text, key))
        lines[key] = f"option --{key}"
    suite = _typed(values, lines, str(path))
    check_values(suite, str(path) if not overrides else f"{path} with options")
    return suite


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


def known_keys() -> dict[str, Any]:
    """Return every dotted key of a suite, leaves and groups, with its type."""
    return dict(_keys_of(Suite, ""))


def _keys_of(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        yield prefix + item.name, hints[item.name]
        if dataclasses.is_dataclass(hints[item.name]):
            yield from _keys_of(hints[item.name], f"{prefix}{item.name}.")


def _check_key(key: str, where: str) -> None:
    keys = known_keys()
    if key not in keys:
        hint = suggestion(key, keys, count=1)
        if not hint:  # a right word in the wrong place, or without its group
            leaf = key.rsplit(".", 1)[-1]
            hint = suggestion(leaf, [name for name in keys if name.endswith(leaf)] or keys, count=1)
        raise SettingsError(f"{where}: unknown key {key!r}; {hint or 'see `pneumobench run --help`.'}")


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
    for group in groups:
        if values.get(group) is None:  # absent, or a group without keys
            values[group] = {}
        if not isinstance(values[group], dict):
            return  # of a wrong type, which is reported with its line
        values = values[group]
    values[leaf] = value


def _typed(values: dict[str, Any], lines: dict[str, str], origin: str) -> Suite:
    from jsonargparse import ArgumentParser

    for key, kind in known_keys().items():  # jsonargparse takes some plain values for groups
        found = _found(values, key)
        if dataclasses.is_dataclass(kind) and found is not dataclasses.MISSING and not isinstance(found, dict | None):
            raise SettingsError(f"{lines.get(key, origin)}: {key} is {found!r}; expected {_type_name(kind)}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--suite", type=Suite)
    try:
        config = parser.parse_object({"suite": values})
        suite: Suite = parser.instantiate(config).suite
    except Exception as error:
        raise SettingsError(_type_message(values, lines, origin, error)) from error
    return suite


def _found(values: dict[str, Any], key: str) -> Any:
    """Return what a file or an option gives for a dotted key, or MISSING."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part, dataclasses.MISSING) if isinstance(found, dict) else dataclasses.MISSING
    return found


def _type_message(values: dict[str, Any], lines: dict[str, str], origin: str, error: Exception) -> str:
    """Name the first key whose value does not fit its type, with its line."""
    from jsonargparse import ArgumentParser

    for key, kind in known_keys().items():
        found = _found(values, key)
        if found is dataclasses.MISSING or (dataclasses.is_dataclass(kind) and isinstance(found, dict)):
            continue
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--value", type=kind if not dataclasses.is_dataclass(kind) else dict | None)
        try:
            parser.parse_object({"value": found})
        except Exception:  # noqa: BLE001 - see above
            return f"{lines.get(key, origin)}: {key} is {found!r}; expected {_type_name(kind)}."
    return f"{origin}: {str(error).splitlines()[-1].strip()}"


def _type_name(kind: Any) -> str:
    if dataclasses.is_dataclass(kind):
        return "a group of keys: " + ", ".join(item.name for item in dataclasses.fields(kind))
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list of {_type_name(typing.get_args(kind)[0])}"
    if isinstance(kind, type):
        return {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}[kind.__name__]
    return " or ".join("null" if part is type(None) else _type_name(part) for part in typing.get_args(kind))


def check_values(suite: Suite, where: str) -> None:
    """Check ranges that a type cannot express.

    Raises:
        SettingsError: naming the key, the value found and what was expected.
    """
    rules: list[tuple[str, Callable[[Any], bool], str]] = [
        ("name", is_name, NAME_RULE),
        ("seed", lambda seed: 0 <= seed < 2**31, "0 to 2147483647"),
        ("data.image_side_px", lambda side_px: side_px >= 32, "at least 32"),
        ("data.limit_images", lambda count: count is None or count >= 2, "at least 2, or null"),
        ("data.subset_images", lambda count: count is None or count >= 2, "at least 2, or null"),
        ("folds.tune_fraction", lambda fraction: 0 < fraction < 0.5, "0 < x < 0.5"),
        ("folds.test_fraction", lambda fraction: 0 < fraction <= 0.5, "0 < x <= 0.5"),
        ("folds.held_out_fraction", lambda fraction: 0 <= fraction <= 0.5, "0 to 0.5"),
        ("architectures.names", bool, "at least one name"),
        ("training.learning_rate", lambda rate: rate > 0, "above 0"),
        ("training.plateau_factor", lambda factor: 0 < factor < 1, "0 < x < 1"),
        ("training.gradient_clip_norm", lambda norm: norm is None or norm > 0, "above 0, or null"),
        ("training.ema_decay", lambda decay: decay is None or 0 < decay < 1, "0 < x < 1, or null"),
        ("training.focal_alpha", lambda alpha: alpha is None or 0 < alpha < 1, "0 < x < 1, or null"),
        ("training.label_smoothing", lambda share: 0 <= share < 1, "0 to below 1"),
        ("training.head_weight_decay", lambda decay: decay is None or decay >= 0, "0 or more, or null"),
        ("training.fine_tuning.count", lambda count: count >= 1, "at least 1"),
        ("training.fine_tuning.layer_decay", lambda decay: 0 < decay <= 1, "0 < x <= 1"),
        ("training.fine_tuning.unfreeze_every_epochs", lambda count: count is None or count >= 1,
         "at least 1, or null"),
        ("training.early_stopping_patience", lambda epochs: epochs is None or epochs >= 1, "at least 1, or null"),
        ("explanation.images_per_fold", lambda count: count is None or count >= 0, "0 or more, or null"),
        ("augmentation.rotation_deg", lambda angle: 0 <= angle <= 180, "0 to 180"),
        ("augmentation.shear_deg", lambda angle: 0 <= angle < 90, "0 to below 90"),
        *((key, lambda count: count >= 1, "at least 1")
          for key in ("training.epochs", "training.devices", "folds.count")),
        ("training.batch_size", lambda count: count >= 2, "at least 2"),
        *((f"training.{key}", lambda amount: amount >= 0, "0 or more")
          for key in ("weight_decay", "warmup_epochs", "plateau_patience", "loader_workers", "focal_gamma",
                      "mixup_alpha")),
        *((f"explanation.{key}", lambda count: count >= 0, "0 or more")
          for key in ("overlays_per_fold", "checked_images_per_fold")),
        *((f"augmentation.{key}", lambda size: 0 <= size < 1, "0 to below 1") for key in ("shift", "scale")),
        *((f"augmentation.{key}", lambda size: 0 <= size <= 1, "0 to 1")
          for key in ("horizontal_flip", "brightness", "contrast", "geometry_probability", "tone_probability", "clahe",
                      "gamma", "gaussian_noise", "motion_blur", "median_blur", "coarse_dropout")),
    ]  # fmt: skip
    for key, fine, expected in rules:
        found = operator.attrgetter(key)(suite)
        if not fine(found) or (isinstance(found, float) and not math.isfinite(found)):
            raise SettingsError(f"{where}: {key} is {found!r}; expected {expected}.")
    check_protocol(suite.folds, where)
    if suite.training.devices > 1 and suite.training.strategy == "auto":
        raise SettingsError(
            f"{where}: training.devices is {suite.training.devices}: say how they share the work with "
            "training.strategy ddp_fork (CPUs) or ddp_spawn (GPUs)."
        )
    if suite.training.fine_tuning.trained == "all" and suite.training.fine_tuning.unfreeze_every_epochs is not None:
        raise SettingsError(
            f"{where}: training.fine_tuning.unfreeze_every_epochs has nothing to unfreeze while trained is all; set "
            "training.fine_tuning.trained to head, last_blocks or last_layers."
        )
    if suite.training.devices > 1 and suite.training.fine_tuning.unfreeze_every_epochs is not None:
        raise SettingsError(
            f"{where}: training.fine_tuning.unfreeze_every_epochs works on one device only; set training.devices to 1."
        )
    repeated = {name for name in suite.architectures.names if suite.architectures.names.count(name) > 1}
    if repeated:
        raise SettingsError(f"{where}: architectures.names lists {', '.join(sorted(repeated))} twice.")
    if PurePath(suite.controls.original_sizes).is_absolute():
        raise SettingsError(
            f"{where}: controls.original_sizes is {suite.controls.original_sizes!r}; expected a path relative to the "
            "data root, so that others can use the suite."
        )
    reserved = [name for name in suite.architectures.names if name.startswith(CONTROL_PREFIX)]
    if reserved:
        raise SettingsError(
            f"{where}: architectures.names has {reserved[0]!r}: names with {CONTROL_PREFIX!r} are kept for controls; "
            "list those under controls.names."
        )


def check_protocol(folds: FoldSpec, where: str) -> None:
    """Check that the settings of a split fit its protocol.

    Raises:
        SettingsError: naming the key and what was expected.
    """
    single = folds.protocol in SINGLE_TEST
    if single != (folds.count == 1):
        raise SettingsError(
            f"{where}: folds.count is {folds.count} with protocol {folds.protocol}; expected "
            f"{'1' if single else 'at least 2'}."
        )
    if folds.protocol == "official" and (folds.merge_official_test or folds.held_out_fraction):
        raise SettingsError(
            f"{where}: protocol official tests on the official test folder; leave folds.merge_official_test false and "
            "folds.held_out_fraction 0."
        )


def suites_by_protocol(suite: Suite, protocols: Sequence[str]) -> list[Suite]:
    """Return a suite once for each protocol, named NAME-PROTOCOL and otherwise equal.

    Raises:
        SettingsError: a protocol is not known, or the suite's other settings do not fit it.
    """
    known = typing.get_args(typing.get_type_hints(FoldSpec)["protocol"])
    suites = []
    if "patient" not in protocols:
        raise SettingsError(f"--protocols {','.join(protocols)}: expected patient among them, to compare with.")
    for protocol in protocols:
        if protocol not in known:
            raise SettingsError(f"--protocols {protocol}: expected some of {', '.join(known)}.")
        count = 1 if protocol in SINGLE_TEST else max(suite.folds.count, 2)
        folds = dataclasses.replace(suite.folds, protocol=typing.cast("Any", protocol), count=count)
        check_protocol(folds, f"--protocols {protocol}")
        suites.append(dataclasses.replace(suite, name=f"{suite.name}-{protocol}", folds=folds))
        check_values(suites[-1], f"--protocols {protocol}")
    return suites
