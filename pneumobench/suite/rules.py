"""What settings may be beyond their types: ranges, and what goes together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from pneumobench.errors import SettingsError
from pneumobench.suite.checked import Rule, UnfitError
from pneumobench.suite.names import (
    CONTROL_GROUP,
    CONTROL_PREFIX,
    LAYOUT_GROUP,
    MEAN_ENSEMBLE,
    NAME_RULE,
    SHIPPED_CONTROLS,
    SHIPPED_LAYOUTS,
    WEIGHTED_ENSEMBLE,
    is_name,
)
from pneumobench.suite.registry import known_without_import, unknown_name

if TYPE_CHECKING:
    from pneumobench.suite.spec import FoldSpec, Suite
    from pneumobench.suite.training import TrainingSpec

LEAST_OF_DEVICE: Final = 2  # images of a device in a step: batch normalisation cannot use one
SINGLE_TEST: Final = ("holdout", "official")  # protocols with one test part


def between(low: int, high: int) -> Rule:
    """Return the rule of a whole number or of a plain number from one limit to another, both allowed."""
    return Rule(lambda number: low <= number <= high, f"{low:,} to {high:,}")


NAME: Final = Rule(is_name, NAME_RULE)
SEED: Final = between(0, 2**31 - 1)
# upper limits are far beyond use, and below what fills memory or disk before anything is said
SIDE_PX: Final = between(32, 2048)
COUNT: Final = between(1, 100_000)  # of epochs, trials, blocks
BATCH: Final = between(2, 65_536)
FOLD_COUNT: Final = between(1, 1000)
PATIENTS: Final = between(2, 100_000)
SOME_PATIENTS: Final = between(0, 100_000)
IMAGES: Final = between(2, 100_000_000)
SOME_IMAGES: Final = between(0, 100_000_000)
OVERLAYS: Final = between(0, 1000)
DEVICES: Final = between(1, 1024)
WORKERS: Final = between(0, 256)
PATIENCE: Final = between(0, 100_000)
RATE: Final = Rule(lambda rate: 0 < rate <= 1e30, "0 < x <= 1e30")  # one that diverges is a result, not a mistake
AMOUNT: Final = between(0, 1000)
EPOCHS: Final = between(0, 100_000)
NORM: Final = Rule(lambda norm: 0 < norm <= 1e6, "0 < x <= 1,000,000")
INSIDE_0_1: Final = Rule(lambda share: 0 < share < 1, "0 < x < 1")
BELOW_1: Final = Rule(lambda share: 0 <= share < 1, "0 to below 1")
UP_TO_1: Final = Rule(lambda share: 0 < share <= 1, "0 < x <= 1")
PROBABILITY: Final = between(0, 1)
INSIDE_HALF: Final = Rule(lambda share: 0 < share < 0.5, "0 < x < 0.5")
UP_TO_HALF: Final = Rule(lambda share: 0 < share <= 0.5, "0 < x <= 0.5")
NONE_TO_HALF: Final = Rule(lambda share: 0 <= share <= 0.5, "0 to 0.5")
ROTATION: Final = between(0, 180)
SHEAR: Final = Rule(lambda angle_deg: 0 <= angle_deg < 90, "0 to below 90")
PRECISIONS: Final = ("32-true", "bf16-mixed", "16-mixed", "auto")  # images are float32
PRECISION: Final = Rule(PRECISIONS.__contains__, " or ".join(PRECISIONS))
ACCELERATORS: Final = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
ACCELERATOR: Final = Rule(ACCELERATORS.__contains__, " or ".join(ACCELERATORS))
TEXT: Final = Rule(bool, "some text")
INSIDE_ROOT: Final = Rule(
    lambda path: not PurePath(path).is_absolute() and ".." not in PurePath(path).parts and "\\" not in path[:2],
    "a path below the data root, relative to it, so that others can use the suite",
)
NAMES: Final = Rule(bool, "at least one name")
FOLDS: Final = Rule(lambda folds: bool(folds) and len(set(folds)) == len(folds), "at least one fold, each once")


def check_together(suite: Suite) -> None:
    """Check the settings of a suite that have to fit each other.

    Raises:
        UnfitError: naming the key, the value found and what was expected.
    """
    if suite.task == "three_class" and suite.training.focal_alpha is not None:
        raise UnfitError(
            "training.focal_alpha",
            "weighs pneumonia against normal; with task three_class set it to null and "
            "training.class_weights to balanced.",
        )
    if suite.data.crop != "none" and suite.data.lung_mask_tier == "box":
        raise UnfitError(
            "data.lung_mask_tier",
            f"is box with data.crop {suite.data.crop}: the fixed box says nothing of lungs in an image that was cut; "
            "set it to auto or segmented, or data.crop to none.",
        )
    if suite.data.region != "whole" and suite.data.lung_mask_tier == "box":
        raise UnfitError(
            "data.lung_mask_tier",
            f"is box with data.region {suite.data.region}: the fixed box is the lungs of nobody; set it to auto, drawn "
            "or segmented, or data.region to whole.",
        )
    if wrong := [fold for fold in suite.search.folds if not 0 <= fold < suite.folds.count]:
        raise UnfitError(
            "search.folds", f"has {wrong[0]}; suite {suite.name!r} has the folds 0 to {suite.folds.count - 1}."
        )
    batch_size, devices = suite.training.batch_size, suite.training.devices
    if devices > 1 and (batch_size % devices or batch_size < LEAST_OF_DEVICE * devices):
        below = max(batch_size - batch_size % devices, LEAST_OF_DEVICE * devices)
        raise UnfitError(
            "training.batch_size",
            f"is {batch_size} images a step over training.devices {devices}: each device takes as many, "
            f"and {LEAST_OF_DEVICE} at least; set it to {below}, or training.devices to 1.",
        )
    if suite.training.fine_tuning.trained == "all" and suite.training.fine_tuning.unfreeze_every_epochs is not None:
        raise UnfitError(
            "training.fine_tuning.unfreeze_every_epochs",
            "has nothing to unfreeze while trained is all; set "
            "training.fine_tuning.trained to head, last_blocks or last_layers.",
        )
    if suite.training.devices > 1 and suite.training.fine_tuning.unfreeze_every_epochs is not None:
        raise UnfitError(
            "training.fine_tuning.unfreeze_every_epochs", "works on one device only; set training.devices to 1."
        )
    _check_frozen(suite.training)
    if devices > 1 and suite.architectures.is_pretrained_here:
        raise UnfitError("training.devices", "is above 1, and self-supervised weights are made on one; set it to 1.")
    repeated = {name for name in suite.architectures.names if suite.architectures.names.count(name) > 1}
    if repeated:
        raise UnfitError("architectures.names", f"lists {', '.join(sorted(repeated))} twice.")
    if repeated := {name for name in suite.controls.names if suite.controls.names.count(name) > 1}:
        raise UnfitError("controls.names", f"lists {', '.join(sorted(repeated))} twice.")
    ensembles = (MEAN_ENSEMBLE, WEIGHTED_ENSEMBLE)
    if taken := [name for name in suite.architectures.names if name in ensembles]:
        raise UnfitError("architectures.names", f"has {taken[0]!r}, the name of a row of the leaderboard.")
    reserved = [name for name in suite.architectures.names if name.startswith(CONTROL_PREFIX)]
    if reserved:
        raise UnfitError(
            "architectures.names",
            f"has {reserved[0]!r}: names with {CONTROL_PREFIX!r} are kept for controls; "
            "list those under controls.names.",
        )


def _check_frozen(training: TrainingSpec) -> None:
    """Check that nothing is asked of a head on frozen features that only steps of an optimiser can do."""
    tuning = training.fine_tuning
    contrary = (
        (
            "training.head",
            bool(training.head),
            "frozen features have one layer above them; leave it empty",
        ),
        (
            "training.fine_tuning.trained",
            tuning.trained != "all" or tuning.layer_decay != 1,
            "no layer of a frozen network is trained; leave training.fine_tuning as it is",
        ),
        ("training.balanced_sampler", training.balanced_sampler, "set training.class_weights to balanced instead"),
        ("training.devices", training.devices > 1, "features are computed on one device; set it to 1"),
    )
    for key, asked, why in contrary if training.is_frozen else ():
        if asked:
            raise UnfitError(key, f"does not go with training.fit {training.fit}: {why}.")


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


def check_protocol(folds: FoldSpec) -> None:
    """Check that the settings of a split fit its protocol.

    Raises:
        UnfitError: naming the key and what was expected.
    """
    single = folds.protocol in SINGLE_TEST
    if single != (folds.count == 1):
        expected = "1" if single else "at least 2"
        raise UnfitError("folds.count", f"is {folds.count} with protocol {folds.protocol}; expected {expected}.")
    if folds.protocol == "official" and (folds.merge_official_test or folds.held_out_fraction):
        raise UnfitError(
            "folds.protocol",
            "official tests on the official test folder; leave folds.merge_official_test false and "
            "folds.held_out_fraction 0.",
        )
