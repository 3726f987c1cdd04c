"""The space of a search is read strictly, before anything is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pneumobench.errors import SettingsError
from pneumobench.suite.reader import load_suite
from pneumobench.suite.search_space import Choices, Range, read_space, searchable_keys, with_values
from pneumobench.suite.spec import Suite
from tests.search.conftest import SUITE, SuiteWith

SPACE = """\
  space:
    training.learning_rate: {low: 1e-5, high: 1.0e-2, log: true}
    training.plateau_patience: {low: 1, high: 5}
    augmentation.rotation_deg: {low: 0, high: 20, step: 5}
    training.head: [[], [dropout 0.3], [dense 16, relu]]
    training.gradient_clip_norm: [null, 1]
    training.fine_tuning.trained: [all, head]
"""


def test_a_space_of_every_kind_is_read(suite_with: SuiteWith) -> None:
    suite = suite_with(SPACE)
    assert read_space(suite, {}, "here") == {
        "training.learning_rate": Range(low=1e-5, high=1e-2, log=True),
        "training.plateau_patience": Range(low=1, high=5, whole=True),
        "augmentation.rotation_deg": Range(low=0, high=20, step=5),
        "training.head": Choices(values=((), ("dropout 0.3",), ("dense 16", "relu"))),
        "training.gradient_clip_norm": Choices(values=(None, 1.0)),
        "training.fine_tuning.trained": Choices(values=("all", "head")),
    }


def test_lists_go_through_a_database_of_scalars() -> None:
    kind = Choices(values=((), ("dense 16", "relu")))
    assert kind.texts() == ("[]", '["dense 16", "relu"]')
    assert [kind.value(text) for text in kind.texts()] == list(kind.values)


def test_a_suite_with_a_space_survives_being_written_out(suite_with: SuiteWith, tmp_path: Path) -> None:
    suite = suite_with(SPACE)
    (tmp_path / "again.yaml").write_text(suite.to_yaml())
    assert load_suite(tmp_path / "again.yaml") == suite


def test_a_search_leaves_the_hash_of_the_suite_alone(suite_with: SuiteWith) -> None:
    suite = suite_with(SPACE + "  trials: 7\n")
    assert suite.training_hash() == dataclasses.replace(suite, search=Suite().search).training_hash()


def test_a_space_can_be_given_and_changed_by_options(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(f"{SUITE}search:\n{SPACE}")
    words = ["--search.space.training.learning_rate", "[0.1, 0.2]", "--search.space.augmentation.clahe=[0, 0.5]"]
    space = read_space(load_suite(path, words), {}, "here")
    assert space["training.learning_rate"] == Choices(values=(0.1, 0.2))
    assert space["augmentation.clahe"] == Choices(values=(0.0, 0.5))


def test_what_decides_the_comparison_cannot_be_searched() -> None:
    keys = searchable_keys()
    assert {"training.learning_rate", "training.fine_tuning.count", "augmentation.shift"} <= set(keys)
    assert not {"seed", "name", "folds.count", "data.root", "training.monitor", "training.fine_tuning"} & set(keys)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("  trails: 3", ["line 8", "'search.trails'", "did you mean search.trials?"]),
        ("  trials: 0", ["search.trials is 0", "expected 1 to"]),
        ("  sampler: grid", ["line 8", "search.sampler is 'grid'", "one of tpe, random"]),
        ("  folds: [2]", ["search.folds has 2", "folds 0 to 1"]),
        ("  folds: []", ["search.folds is ()", "at least one fold"]),
        ("  folds: [1, 1]", ["search.folds is (1, 1)", "each once"]),
        ("  space: 3", ["line 8", "search.space is 3", "each with its choices or range"]),
        ("  space: {training.learning_rat: [1]}", ["line 8", "did you mean training.learning_rate?"]),
        ("  space: {training: {epochs: [1, 2]}}", ["line 8", "search.space has no setting 'training'"]),
        ("  space: {folds.count: [2, 3]}", ["folds.count cannot be searched", "training and augmentation"]),
        ("  space: {seed: [2, 3]}", ["seed cannot be searched"]),
        ("  space: {training.monitor: [tune_auc]}", ["training.monitor is the same in all trials"]),
        ("  space: {training.epochs: 3}", ["line 8", "search.space.training.epochs is 3", "a list of choices"]),
        ("  space:\n    training.epochs: [1, many]", ["line 9", "training.epochs is 'many'", "a whole number"]),
        ("  space:\n    training.epochs: [1, 0]", ["line 9", "training.epochs is 0", "expected 1 to"]),
        ("  space: {training.epochs: []}", ["at least one choice"]),
        ("  space: {training.epochs: [1, 1]}", ["each once"]),
        ("  space: {training.loss: [bce, hinge]}", ["training.loss is 'hinge'", "one of bce, focal"]),
        ("  space: {training.loss: {low: 1, high: 2}}", ["training.loss is no number", "list of choices"]),
        ("  space: {training.balanced_sampler: {low: 0, high: 1}}", ["is no number"]),
        ("  space: {training.epochs: {low: 1, hihg: 2}}", ["'hihg'", "training.epochs", "did you mean high?"]),
        ("  space: {training.epochs: {low: 1}}", ["the range of training.epochs has no high"]),
        ("  space: {training.epochs: {low: 3, high: 2}}", ["goes from 3 to 2", "low below high"]),
        ("  space: {training.epochs: {low: 0, high: 2}}", ["line 8", "training.epochs is 0"]),
        ("  space: {training.epochs: {low: 1, high: 2.5}}", ["training.epochs is 2.5", "a whole number"]),
        ("  space: {training.shift: {low: 1, high: 2}}", ["has no setting 'training.shift'"]),
        ("  space: {augmentation.shift: {low: 0, high: .5, log: true}}", ["log: true", "low above 0"]),
        ("  space: {augmentation.shift: {low: 0, high: .5, log: 1}}", ["log of augmentation.shift is 1", "true or"]),
        ("  space: {augmentation.shift: {low: 0, high: .5, step: 2}}", ["step of augmentation.shift is 2"]),
        ("  space: {augmentation.shift: {low: 0, high: 2}}", ["augmentation.shift is 2", "0 to below 1"]),
        ("  space:\n    training.epochs: [1]\n    training.epochs: [2]", ["line 10", "stands already in line 9"]),
    ],
)
def test_a_wrong_search_is_refused_in_one_message(search: str, words: list[str], suite_with: SuiteWith) -> None:
    with pytest.raises(SettingsError) as error:
        suite_with(search)
    assert all(word in str(error.value) for word in words), error.value


def test_trials_with_different_losses_are_not_compared_by_the_loss(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE.replace("tune_auc", "tune_loss") + "search: {space: {training.loss: [bce, focal]}}")
    with pytest.raises(SettingsError, match=r"line 7: training.loss changes what the number tune_loss means"):
        load_suite(path)
    assert load_suite(path, ["--training.monitor", "tune_accuracy"]).search.space


def test_pruning_needs_one_device(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE + "search: {pruner: median, space: {training.epochs: [1, 2]}}")
    with pytest.raises(SettingsError, match=r"search.pruner median works on one device only"):
        load_suite(path, ["--training.devices", "2", "--training.strategy", "ddp_fork"])


def test_an_option_for_half_a_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    with pytest.raises(SettingsError, match="give the whole range"):
        load_suite(path, ["--search.space.training.epochs.low", "1"])


def test_values_that_do_not_go_together_are_refused() -> None:
    together = {"training.fine_tuning.trained": "all", "training.fine_tuning.unfreeze_every_epochs": 2}
    with pytest.raises(SettingsError, match=r"these values: training.fine_tuning.unfreeze_every_epochs"):
        with_values(Suite(), together, "these values")
    changed = with_values(Suite(), {"training.head": ("relu",), "augmentation.shift": 0.2}, "here")
    assert (changed.training.head, changed.augmentation.shift) == (("relu",), 0.2)
    assert changed.training.fine_tuning == Suite().training.fine_tuning
