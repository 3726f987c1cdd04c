"""What the values of a suite may be, beyond their types, and the suites that one becomes under several protocols."""

from __future__ import annotations

import dataclasses
import math
import operator
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pneumobench.errors import SettingsError
from pneumobench.suite.registry import known_without_import, unknown_name
from pneumobench.suite.shipped import CONTROL_GROUP, LAYOUT_GROUP, SHIPPED_CONTROLS, SHIPPED_LAYOUTS
from pneumobench.suite.spec import CONTROL_PREFIX, MEAN_ENSEMBLE, NAME_RULE, WEIGHTED_ENSEMBLE, FoldSpec, Suite, is_name

SINGLE_TEST = ("holdout", "official")  # protocols with one test part


def check_values(suite: Suite, where: str) -> None:
    """Check ranges that a type cannot express.

    Raises:
        SettingsError: naming the key, the value found and what was expected.
    """
    rules: list[tuple[str, Callable[[Any], bool], str]] = [
        ("name", is_name, NAME_RULE),
        ("seed", lambda seed: 0 <= seed < 2**31, "0 to 2147483647"),
        ("data.source", is_name, NAME_RULE),
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
        ("search.trials", lambda count: count >= 1, "at least 1"),
        ("search.folds", lambda folds: folds and len(set(folds)) == len(folds), "at least one fold, each once"),
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
    if suite.task == "three_class" and suite.training.focal_alpha is not None:
        raise SettingsError(
            f"{where}: training.focal_alpha weighs pneumonia against normal; with task three_class set it to null and "
            "training.class_weights to balanced."
        )
    if wrong := [fold for fold in suite.search.folds if not 0 <= fold < suite.folds.count]:
        raise SettingsError(
            f"{where}: search.folds has {wrong[0]}; suite {suite.name!r} has the folds 0 to {suite.folds.count - 1}."
        )
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
    if repeated := {name for name in suite.controls.names if suite.controls.names.count(name) > 1}:
        raise SettingsError(f"{where}: controls.names lists {', '.join(sorted(repeated))} twice.")
    if PurePath(suite.controls.original_sizes).is_absolute():
        raise SettingsError(
            f"{where}: controls.original_sizes is {suite.controls.original_sizes!r}; expected a path relative to the "
            "data root, so that others can use the suite."
        )
    ensembles = (MEAN_ENSEMBLE, WEIGHTED_ENSEMBLE)
    if taken := [name for name in suite.architectures.names if name in ensembles]:
        raise SettingsError(f"{where}: architectures.names has {taken[0]!r}, the name of a row of the leaderboard.")
    reserved = [name for name in suite.architectures.names if name.startswith(CONTROL_PREFIX)]
    if reserved:
        raise SettingsError(
            f"{where}: architectures.names has {reserved[0]!r}: names with {CONTROL_PREFIX!r} are kept for controls; "
            "list those under controls.names."
        )


def check_known_names(suite: Suite, lines: Mapping[str, str], origin: str) -> None:
    """Check the names of the data layout and the controls, as far as that goes without importing them.

    A suite with plugins is checked when they are loaded.

    Args:
        suite: the suite.
        lines: where each dotted key stands, for messages.
        origin: where keys stand that `lines` does not know.

    Raises:
        SettingsError: naming the key, where it stands and the nearest names.
    """
    if suite.architectures.plugins:
        return
    for key, kind, names, group, shipped in (
        ("data.source", "data layout", (suite.data.source,), LAYOUT_GROUP, SHIPPED_LAYOUTS),
        ("controls.names", "control", suite.controls.names, CONTROL_GROUP, SHIPPED_CONTROLS),
    ):
        known = known_without_import(group, shipped)
        for name in names:
            if name not in known:
                raise SettingsError(f"{lines.get(key, origin)}: {key}: {unknown_name(kind, name, known)}")


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
