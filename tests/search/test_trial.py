"""A trial sees train and validation parts alone, is pruned when it is hopeless, and fails for itself alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.datasets.index import Index
from pneumobench.errors import SettingsError
from pneumobench.records.locks import claim_folder
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import Bench, open_data
from pneumobench.runs.train_job import fold_data
from pneumobench.search import study as studies
from pneumobench.search.trial import Judged, search_images, train_trial
from pneumobench.search.tune import tune
from pneumobench.suite.reader import load_suite
from pneumobench.suite.search_space import with_values
from pneumobench.suite.spec import Suite
from tests.search.conftest import SuiteWith

PARTS: tuple[Any, ...] = ("train", "tune", "test", "official_test")


class WatchedImages:
    """Images (N, H, W) that remember which rows were read."""

    def __init__(self, radiographs: NDArray[np.uint8]) -> None:
        self.radiographs = radiographs
        self.read: set[int] = set()

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.read |= set(rows.tolist())
        return np.array(self.radiographs[rows])


@pytest.fixture
def bench(suite_with: SuiteWith, tmp_path: Path) -> Bench:
    suite = suite_with("  folds: [0, 1]\n  space: {training.learning_rate: [0.01, 0.02]}\n")
    return open_data(suite, RunFolder(tmp_path / "search"), cache=tmp_path / "cache", console=Console(quiet=True))


def test_images_of_the_test_parts_are_never_read_and_their_labels_change_nothing(bench: Bench, tmp_path: Path) -> None:
    suite = dataclasses.replace(bench.suite, search=dataclasses.replace(bench.suite.search, folds=(0,)))
    parts = bench.fold_images(0).positions
    seen, unseen = ({int(row) for part in names for row in parts[part]} for names in (PARTS[:2], PARTS[2:]))
    assert len(unseen) > 20
    radiographs: Any = WatchedImages(bench.radiographs)
    judged = train_trial(dataclasses.replace(bench, radiographs=radiographs), suite, folder=tmp_path / "a")
    assert radiographs.read == seen
    assert not radiographs.read & unseen

    table = bench.index.table.copy()
    table["label"] = [1 - label if row in unseen else label for row, label in enumerate(table["label"])]
    black = bench.radiographs.copy()
    black[sorted(unseen)] = 0
    other = dataclasses.replace(bench, index=Index(root=bench.index.root, table=table), radiographs=black)
    again = train_trial(other, suite, folder=tmp_path / "b")
    assert again.value == judged.value
    curves = [(tmp_path / name / "fold-0/history.csv").read_text() for name in "ab"]
    assert curves[0] == curves[1]


def test_a_search_has_no_test_part_to_score(bench: Bench) -> None:
    data = fold_data(bench.suite, search_images(bench, 0))
    assert len(data.scoring_dataloader("tune")) > 0
    for part in PARTS[2:]:
        with pytest.raises(KeyError):
            data.scoring_dataloader(part)
    hidden = bench.fold_images(0).positions["test"]
    assert set(data.images.label[hidden]) == {-1}
    three = dataclasses.replace(bench, suite=dataclasses.replace(bench.suite, task="three_class"))
    images = search_images(three, 0)
    assert set(images.target[hidden]) == {-1}
    assert set(images.target[images.positions["train"]]) == {0, 1, 2}


def test_a_trial_on_two_folds_has_the_mean_of_their_best_epochs(bench: Bench, tmp_path: Path) -> None:
    folds: list[int] = []
    judged = train_trial(bench, bench.suite, folder=tmp_path / "a", fold_started=folds.append)
    assert folds == [0, 1]
    best = [pd.read_csv(tmp_path / f"a/fold-{fold}/history.csv")["tune_auc"].max() for fold in folds]
    assert judged.value == pytest.approx(np.mean(best), abs=1e-5)
    assert judged.epochs == 4
    assert judged.seconds > 0


@pytest.mark.parametrize(("reached", "epochs"), [(2.0, 1), (-1.0, 3)])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(
    reached: float, epochs: int, bench: Bench, tmp_path: Path
) -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    for _ in range(3):  # earlier trials, out of reach or easily beaten
        values = dict.fromkeys(range(3), reached)
        study.add_trial(optuna.create_trial(value=reached, intermediate_values=values))
    suite = with_values(bench.suite, {"training.epochs": 3}, "here")
    suite = dataclasses.replace(suite, search=dataclasses.replace(suite.search, folds=(0,)))
    study.optimize(lambda trial: train_trial(bench, suite, folder=tmp_path, trial=trial).value, n_trials=1)
    trial = study.trials[-1]
    assert trial.state.name == ("PRUNED" if reached > 1 else "COMPLETE")
    assert list(trial.intermediate_values) == list(range(epochs))


def run(suite: Suite, folder: Path) -> Any:
    return tune(suite, output=folder, console=Console(quiet=True))


def test_what_fails_or_diverges_is_a_result_and_the_search_goes_on(suite_with: SuiteWith, tmp_path: Path) -> None:
    suite = suite_with(
        "  trials: 3\n  sampler: random\n  space:\n"
        "    training.learning_rate: [0.02, 1.0e+30]\n"
        "    training.early_stopping_patience: [null, 1]\n"
    )
    outcome = run(suite, tmp_path)
    states = {trial.values["training.learning_rate"]: trial for trial in outcome.trials}
    assert states[0.02].state == "completed"
    assert states[1.0e30].state == "diverged"
    assert "the loss became" in states[1.0e30].reason
    assert outcome.best is not None
    assert outcome.best.values["training.learning_rate"] == 0.02
    table = pd.read_csv(outcome.folder.trials_csv)
    assert len(table) == 3
    assert set(table["state"]) == {"completed", "diverged"}
    assert table.loc[table["state"] == "diverged", "reason"].str.contains("the loss became").all()
    kept = sorted(path.relative_to(outcome.folder.path) for path in outcome.folder.path.rglob("*.safetensors"))
    assert [str(path) for path in kept] == [f"trials/{outcome.best.number:04d}/fold-0/weights.safetensors"]
    assert not list(outcome.folder.path.rglob("*.ckpt*")), "only the weights of the winner take space"
    assert len(list(outcome.folder.path.rglob("history.csv"))) == (table["state"] == "completed").sum()


def test_values_that_do_not_go_together_fail_their_trial(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "name: tiny\n"
        "data: {image_side_px: 32, phantoms: {patients: 24, official_test_patients: 6, side_px: 64, seed: 1}}\n"
        "folds: {count: 2, tune_fraction: 0.25}\n"
        "architectures: {names: [test_resnet]}\n"
        "training: {epochs: 1, accelerator: cpu, monitor: tune_auc, fine_tuning: {trained: head}}\n"
        "search:\n  trials: 6\n  sampler: random\n  space:\n"
        "    training.fine_tuning.trained: [all, head]\n"
        "    training.fine_tuning.unfreeze_every_epochs: [null, 2]\n"
    )
    outcome = run(load_suite(path), tmp_path)
    for trial in outcome.trials:
        wrong = tuple(trial.values.values()) == ("all", 2)
        assert trial.state == ("failed" if wrong else "completed"), trial
        assert ("SettingsError: these values together: training.fine_tuning" in trial.reason) == wrong
    assert {trial.state for trial in outcome.trials} == {"failed", "completed"}


SHORT = "  trials: 2\n  space: {training.learning_rate: [0.01, 0.02]}\n"


def test_ctrl_c_leaves_its_trial_to_the_next_start(
    suite_with: SuiteWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pneumobench.search.tune.train_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(suite_with(SHORT), tmp_path)
    outcome = run(suite_with(SHORT), tmp_path)
    assert [(trial.number, trial.state) for trial in outcome.trials] == [(0, "completed"), (1, "completed")]


def test_a_trial_in_a_folder_that_is_in_use_fails_and_holds_nobody_up(suite_with: SuiteWith, tmp_path: Path) -> None:
    with claim_folder(tmp_path / "tiny-search/trials/0000"):
        outcome = run(suite_with(SHORT), tmp_path)
    assert [trial.state for trial in outcome.trials] == ["failed", "completed"]
    assert "is in use by another run" in outcome.trials[0].reason


def test_a_trial_that_was_taken_for_dead_is_left_to_the_one_who_runs_it_again(
    suite_with: SuiteWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def slept(*arguments: Any, **settings: Any) -> Judged:
        if not taken:
            study = optuna.load_study(study_name="tiny-search", storage=f"sqlite:///{tmp_path}/tiny-search/study.db")
            taken.append(0)
            study.tell(0, state=optuna.trial.TrialState.FAIL)
            studies._run_again(study, study.trials[0])
        return Judged(value=0.5 + len(taken), epochs=1, seconds=1.0)

    monkeypatch.setattr("pneumobench.search.tune.train_trial", slept)
    outcome = run(suite_with(SHORT), tmp_path)
    assert [(trial.number, trial.state) for trial in outcome.trials] == [(0, "completed"), (1, "completed")]


@pytest.mark.parametrize(
    ("search", "changes", "words"),
    [
        ("  trials: 2", {}, "has no search.space; add settings"),
        ("  space: {training.head: [[dens 3]]}", {}, "training.head has 'dens 3'"),
        ("  space: {training.epochs: [1]}", {"name": "n" * 60}, "with -search is no name"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    search: str, changes: dict[str, Any], words: str, suite_with: SuiteWith, tmp_path: Path
) -> None:
    suite = dataclasses.replace(suite_with(search), **changes)
    with pytest.raises(SettingsError, match=words):
        run(suite, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
