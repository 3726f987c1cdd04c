"""One suite under several values of a setting."""

from __future__ import annotations

from typing import Any

import pytest

from pneumobench.errors import SettingsError
from pneumobench.suite.spec import ControlSpec, DataSpec, FoldSpec, Suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.suite.variants import variants_of


def test_one_suite_becomes_one_for_each_protocol() -> None:
    found = variants_of(Suite(name="s"), protocols=["image_random", "patient", "official"])
    assert [(s.name, s.folds.protocol, s.folds.count) for s in found.suites.values()] == [
        ("s-image_random", "image_random", 5), ("s", "patient", 5), ("s-official", "official", 1)
    ]  # fmt: skip
    assert (found.name, found.reference) == ("s-protocols", "patient")
    assert found.words == ("--protocols", "image_random,patient,official")


def test_one_suite_becomes_one_for_each_region() -> None:
    suite = Suite(name="s", controls=ControlSpec(names=("majority", "thumbnail", "mask_only", "my_own")))
    found = variants_of(suite, regions=["mask_only", "whole", "only_lungs_other_outline"])
    assert [(one.name, one.data.region, one.controls.names) for one in found.suites.values()] == [
        ("s-whole", "whole", ("majority", "thumbnail", "mask_only", "my_own")),
        ("s-mask_only", "mask_only", ("thumbnail", "my_own")),
        ("s-only_lungs_other_outline", "only_lungs_other_outline", ("thumbnail", "my_own")),
    ]
    assert all(one.data.require_lung_mask for one in found.suites.values()), "all have the same images"
    assert len({one.training_hash() for one in found.suites.values()}) == 3


def test_seeds_change_the_training_and_not_the_folds() -> None:
    found = variants_of(Suite(name="s", seed=9), seeds=[3, 1])
    assert {value: (one.name, one.seed, one.training_seed) for value, one in found.suites.items()} == {
        "3": ("s-seed-3", 9, 3), "1": ("s-seed-1", 9, 1)
    }  # fmt: skip
    assert found.reference == "3"
    assert Suite(seed=9).training_seed == 9
    assert len({one.training_hash() for one in found.suites.values()}) == 2


def test_subsets_are_in_the_order_of_their_size() -> None:
    found = variants_of(Suite(name="s"), subsets=["all", "1000", "250"])
    assert {value: one.folds.training_images for value, one in found.suites.items()} == {
        "250": 250, "1000": 1000, "all": None
    }  # fmt: skip
    assert found.reference == "all"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("training.monitor=tune_loss,tune_auc", {"tune_loss": "tune_loss", "tune_auc": "tune_auc"}),
        ("training.ema_decay=null,0.99", {"null": None, "0.99": 0.99}),
        ("training.head=[], [dense 16, relu]", {"[]": (), "[dense 16, relu]": ("dense 16", "relu")}),
    ],
)
def test_any_setting_can_be_varied(text: str, values: dict[str, Any]) -> None:
    found = variants_of(Suite(name="s"), vary=text)
    key = text.partition("=")[0].removeprefix("training.")
    assert {value: getattr(one.training, key) for value, one in found.suites.items()} == values
    assert found.name == f"s-{key}"
    assert found.reference == next(iter(values))
    again = variants_of(Suite(name="s"), vary=found.asked)
    assert again == found, "the command that tables name asks for the same"


def test_a_folder_of_weights_is_named_without_its_place() -> None:
    found = variants_of(Suite(name="s"), vary="architectures.weights=none,/home/me/lite")
    assert found.words == ("--vary", "architectures.weights=none,lite")
    assert [one.architectures.weights for one in found.suites.values()] == ["none", "/home/me/lite"]


@pytest.mark.parametrize(
    "asked",
    [
        {"protocols": ["patient", "official"]},
        {"regions": ["whole", "mask_only"]},
        {"seeds": [9, 1]},
        {"subsets": ["all", "1000"]},
        {"vary": "training.epochs=7,8"},
    ],
)
def test_the_run_of_the_suite_itself_serves_every_comparison(asked: dict[str, Any]) -> None:
    suite = Suite(name="s", seed=9, data=DataSpec(require_lung_mask=True), training=TrainingSpec(epochs=7))
    found = variants_of(suite, **asked)
    assert found.suites[found.reference] == suite
    assert [one.name for one in found.suites.values()].count("s") == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "nothing to compare: name one of protocols, regions"),
        ({"protocols": ["official"]}, "expected patient among them"),
        ({"protocols": ["patient", "random"]}, "--protocols random: expected some of"),
        ({"protocols": ["patient"], "seeds": [1, 2]}, "--protocols and --seeds are several comparisons"),
        ({"regions": ["mask_only", "only_lungs"]}, "--regions mask_only,only_lungs: expected whole among them"),
        ({"regions": ["whole"]}, "--regions whole: expected a further value"),
        ({"regions": ["whole", "lungs"]}, "--regions lungs: expected some of whole, without_lungs, "),
        ({"regions": ["whole", "mask_only", "mask_only"]}, "expected each value once"),
        ({"seeds": [1]}, "--seeds 1: expected a further value"),
        ({"seeds": [1, -1]}, r"--seeds -1: training\.seed is -1; expected 0 to"),
        ({"seeds": [2, 2]}, "expected each value once"),
        ({"subsets": ["250", "500"]}, "expected all among them"),
        ({"subsets": ["250", "half", "all"]}, "--subsets half: expected numbers of training images"),
        ({"subsets": ["1", "all"]}, r"--subsets 1: folds\.training_images is 1; expected 2 to"),
        ({"vary": "training.monitor"}, "expected KEY=VALUE,VALUE"),
        ({"vary": "training.monitor=tune_auc"}, "expected KEY=VALUE,VALUE"),
        ({"vary": "training.monitor=tune_auc,tune_acu"}, "did you mean tune_auc"),
        ({"vary": "training.monitr=tune_auc,last"}, "training.monitor"),
        ({"vary": "training.epochs=1,1"}, "cannot be told from another value"),
        ({"vary": "logging.wandb=off,offline"}, "does not change what a network is"),
    ],
)
def test_what_cannot_be_compared_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        variants_of(Suite(), **asked)


def test_settings_that_do_not_fit_a_value_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"--protocols official: folds\.protocol official tests on the official"):
        variants_of(Suite(folds=FoldSpec(held_out_fraction=0.2)), protocols=["patient", "official"])
    with pytest.raises(SettingsError, match=r"--regions mask_only: data\.lung_mask_tier is box with data\.region"):
        variants_of(Suite(data=DataSpec(lung_mask_tier="box")), regions=["whole", "mask_only"])
