"""Settings are checked when they are made: the same rules in Python, in YAML and on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from pneumobench.errors import SettingsError
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.checked import Checked, field_types, fitted, type_name
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.reader import load_suite, public_overrides
from pneumobench.suite.spec import (
    ControlSpec,
    DataSpec,
    ExplanationSpec,
    FoldSpec,
    LoggingSpec,
    SearchSpec,
    Suite,
)
from pneumobench.suite.training import AugmentationSpec, FineTuningSpec, TrainingSpec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingSpec(epochs=0), "training.epochs is 0; expected 1 to 100,000."),
        (lambda: TrainingSpec(epochs=True), "training.epochs is True; expected a whole number."),
        (lambda: TrainingSpec(epochs="3"), "training.epochs is '3'; expected a whole number."),  # type: ignore[arg-type]
        (
            lambda: TrainingSpec(optimizer="adamm"),  # type: ignore[arg-type]
            "training.optimizer is 'adamm'; expected one of adamw, adam, sgd; did you mean adam?",
        ),
        (lambda: TrainingSpec(head="relu"), "training.head is 'relu'; expected a list of text."),  # type: ignore[arg-type]
        (lambda: TrainingSpec(ema_decay=1), "training.ema_decay is 1.0; expected 0 < x < 1, or null."),
        (lambda: dataclasses.replace(TrainingSpec(), learning_rate=float("nan")), "training.learning_rate is nan;"),
        (lambda: FineTuningSpec(count=0), "training.fine_tuning.count is 0; expected 1 to 100,000."),
        (lambda: FoldSpec(count=1), "folds.count is 1 with protocol patient; expected at least 2."),
        (lambda: DataSpec(channels=True), "data.channels is True; expected one of 1, 3."),  # type: ignore[arg-type]
        (lambda: SearchSpec(folds=()), "search.folds is (); expected at least one fold, each once."),
        (lambda: ArchitectureSpec(names=()), "architectures.names is (); expected at least one name."),
        (lambda: Suite(name="Bad Name"), "name is 'Bad Name'; expected 1 to 64 of a-z"),
        (lambda: Suite(training={"epochs": 3}), "training is {'epochs': 3}; expected a group of keys: epochs"),  # type: ignore[arg-type]
        (lambda: dataclasses.replace(Suite(), search=SearchSpec(folds=(5,))), "search.folds has 5"),
    ],
)
def test_a_wrong_setting_cannot_be_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        make()
    assert str(error.value).startswith(message)


def every_setting() -> list[tuple[type[Checked], str]]:
    groups = [PhantomSpec, DataSpec, FoldSpec, ArchitectureSpec, ControlSpec, ExplanationSpec, LoggingSpec, SearchSpec,
              AugmentationSpec, FineTuningSpec, TrainingSpec, Suite]  # fmt: skip
    return [(group, name) for group in groups for name in field_types(group)]


EXTREMES = [
    None, -1, 0, 10**6, 2**63, 10**400, -(10**400), float("nan"), float("inf"), -1e308, "", "\x00", "a\nb", "\x1b[31m",
    "/etc/passwd", "../up", [], [None], {}, {"low": 1}, True, b"x", object(), "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("group", "name"), every_setting(), ids=lambda item: item if isinstance(item, str) else "")
def test_whatever_stands_in_a_setting_is_taken_or_refused_by_its_own_key(group: type[Checked], name: str) -> None:
    def said(value: Any) -> str:
        try:
            group(**{name: value})
        except SettingsError as error:
            return str(error)
        return ""

    messages = list(filter(None, map(said, EXTREMES)))
    assert messages, "nothing is refused"
    for message in messages:
        assert message.startswith((f"{group.group}{name} ", "folds."))
        assert len(message) < 600
        assert message.isprintable()


TOO_LARGE = {"seed": 2**31, "learning_rate": 1e31}


@pytest.mark.parametrize(("group", "name"), every_setting(), ids=lambda item: item if isinstance(item, str) else "")
def test_every_number_has_a_range(group: type[Checked], name: str) -> None:
    kind = field_types(group)[name]
    if {int, float} & {kind, *get_args(kind), *get_args(get_args(kind)[0] if get_args(kind) else None)}:
        for value in (TOO_LARGE.get(name, 10**9), -1):
            if name == "images_per_fold" and value > 0:
                value *= 10
            with pytest.raises(SettingsError):
                group(**{name: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataSpec(image_side_px=10**6), "data.image_side_px is 1000000; expected 32 to 2,048."),
        (lambda: DataSpec(lung_masks="/masks"), "data.lung_masks is '/masks'; expected a path below the data root"),
        (
            lambda: ControlSpec(original_sizes="../s.csv"),
            "controls.original_sizes is '../s.csv'; expected a path",
        ),
        (lambda: Suite(name=None), "name is None; expected text."),  # type: ignore[arg-type]
        (lambda: TrainingSpec(precision="64-true"), "training.precision is '64-true'; expected 32-true or bf16-mixed"),
        (lambda: Suite(data=DataSpec(crop="fixed", lung_mask_tier="box")), "data.lung_mask_tier is box with data.crop"),
    ],
)
def test_messages_name_the_key_of_the_suite(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        make()
    assert str(error.value).startswith(message)


def test_lists_and_whole_numbers_become_what_the_type_says(tmp_path: Path) -> None:
    names: Any = ["resnet18", "resnet50"]
    suite = Suite(
        name="mine",
        architectures=ArchitectureSpec(names=names),
        data=DataSpec(root=tmp_path),  # type: ignore[arg-type] # a Path becomes text
        training=TrainingSpec(weight_decay=0, head=["relu"]),  # type: ignore[arg-type] # a list becomes a tuple
    )
    assert suite.architectures.names == ("resnet18", "resnet50")
    assert suite.data.root == str(tmp_path)
    assert isinstance(suite.training.weight_decay, float)
    path = tmp_path / "mine.yaml"
    path.write_text(suite.to_yaml())
    assert load_suite(path) == suite
    assert load_suite(path).training_hash() == suite.training_hash()


def test_settings_stay_frozen_and_equal_by_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingSpec().epochs = 3  # type: ignore[misc]
    assert TrainingSpec(epochs=3) == dataclasses.replace(TrainingSpec(), epochs=3)
    assert hash(TrainingSpec(head=["relu"])) == hash(TrainingSpec(head=("relu",)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [int, float, str, bool, tuple[str, ...], dict[str, Any], float | None])
def test_what_is_of_no_type_is_refused(kind: Any) -> None:
    with pytest.raises(SettingsError, match=f"key is .*; expected {type_name(kind)}"):
        fitted(kind, np.zeros(2), "key")


# keyword groups of load_suite


def test_groups_are_given_as_dictionaries_specs_or_lists() -> None:
    suite = load_suite(
        "quickstart", training={"epochs": 3, "fine_tuning": {"count": 2}}, architectures=["resnet18"], seed=4,
        search={"space": {"training.epochs": [1, 2]}},
    )  # fmt: skip
    assert (suite.training.epochs, suite.training.fine_tuning.count, suite.seed) == (3, 2, 4)
    assert suite.training.batch_size == load_suite("quickstart").training.batch_size, "the rest is the suite's"
    assert suite.architectures.names == ("resnet18",)
    assert suite.search.space == {"training.epochs": [1, 2]}
    whole = load_suite("quickstart", training=TrainingSpec(epochs=2))
    assert whole.training == TrainingSpec(epochs=2), "a spec is the whole group"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"epoch": 3}}, "load_suite: unknown key 'training.epoch'; did you mean training.epochs?"),
        ({"trainin": {"epochs": 3}}, "load_suite: unknown key 'trainin.epochs'; did you mean training.epochs?"),
        ({"training": {"epochs": 0}}, "load_suite: training.epochs is 0; expected 1 to 100,000."),
        ({"training": 3}, "load_suite: training is 3; expected a group of keys: epochs"),
        ({"search": {"space": {"seed": [1]}}}, "load_suite: seed cannot be searched"),
    ],
)
def test_a_wrong_group_is_named_as_in_yaml(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_suite("quickstart", **settings)
    assert str(error.value).startswith(message)


def test_a_value_out_of_range_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("name: a\ntraining:\n  epochs: 0\n")
    with pytest.raises(SettingsError, match=r"my\.yaml line 3: training\.epochs is 0; expected 1 to 100,000\."):
        load_suite(path)


def test_folders_of_this_machine_are_not_told() -> None:
    private = ["--data.root", "/me", "--data.root=/me", "--architectures.weights", "/me", "--architectures.plugins=[a]"]
    kept = ["--training.epochs", "3", "--architectures.weights=imagenet", "--seed", "2"]
    assert public_overrides([*private, *kept]) == kept
