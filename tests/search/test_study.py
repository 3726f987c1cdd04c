"""The study: opened, gone on with, refused; trials that were interrupted; samplers and pruners."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from pneumobench.errors import SettingsError
from pneumobench.records.locks import claim_folder
from pneumobench.search import study as studies
from pneumobench.suite.search_space import Choices, Range, Space
from pneumobench.suite.spec import SearchSpec

IDENTITY = {"space": "a", "sampler": "tpe"}
SPACE: Space = {
    "training.learning_rate": Range(low=1e-5, high=1.0, log=True),
    "training.plateau_patience": Range(low=1, high=9, step=2, whole=True),
    "training.head": Choices(values=((), ("relu",))),
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    studies.quiet_optuna()


def open_study(folder: Path, **changes: Any) -> optuna.Study:
    settings: dict[str, Any] = {"minimise": False, "identity": IDENTITY, **changes}
    return studies.open_study(f"sqlite:///{folder / 'study.db'}", "a-search", **settings)


def in_memory() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def draw(study: optuna.Study, sampler: str, numbers: range, *, seed: int = 5) -> list[dict[str, Any]]:
    """Run trials whose value is their learning rate; return what was drawn."""
    drawn: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        drawn.append(studies.suggested(trial, SPACE))
        return float(drawn[-1]["training.learning_rate"])

    for number in numbers:
        spec = SearchSpec(sampler=sampler)  # type: ignore[arg-type]
        study.sampler = studies.sampler_for(spec, seed=seed, number=number)
        study.optimize(objective, n_trials=1)
    return drawn


def test_a_study_is_gone_on_with_only_for_the_same_search(tmp_path: Path) -> None:
    draw(open_study(tmp_path), "random", range(2))
    assert len(open_study(tmp_path).trials) == 2
    with pytest.raises(SettingsError, match=r"holds a search with another space. Give this one another --name or"):
        open_study(tmp_path, identity={**IDENTITY, "space": "b"})
    with pytest.raises(SettingsError, match="another space, another sampler"):
        open_study(tmp_path, identity={"space": "b", "sampler": "random"})


def test_a_study_that_something_else_made_is_refused(tmp_path: Path) -> None:
    optuna.create_study(
        storage=f"sqlite:///{tmp_path / 'study.db'}", study_name="a-search", direction="maximize"
    ).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(SettingsError, match="holds a search with another space, another sampler"):
        open_study(tmp_path)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("study.db", "storage --storage cannot be used"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
        (
            "postgresql+no_driver://me:secret@host/db",
            r"storage postgresql\+no_driver://me:\*\*\*@host/db cannot be used",
        ),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        studies.open_study(url, "a", minimise=False, identity=IDENTITY)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_search_draws_the_same_trials_in_one_go_or_in_two(sampler: str, tmp_path: Path) -> None:
    first = draw(in_memory(), sampler, range(13))
    draw(open_study(tmp_path), sampler, range(11))
    assert draw(open_study(tmp_path), sampler, range(11, 13)) == first[11:]
    assert len({trial["training.learning_rate"] for trial in first}) == 13
    assert draw(in_memory(), sampler, range(3), seed=6) != first[:3]
    assert {trial["training.plateau_patience"] for trial in first} <= {1, 3, 5, 7, 9}
    assert {trial["training.head"] for trial in first} == {(), ("relu",)}


def test_tpe_learns_from_its_trials_and_random_does_not() -> None:
    late = {name: draw(in_memory(), name, range(40))[20:] for name in ("tpe", "random")}
    high = {name: sum(trial["training.learning_rate"] > 0.1 for trial in trials) for name, trials in late.items()}
    assert high["tpe"] > 2 * high["random"]


def broken_off(study: optuna.Study, place: str | None) -> optuna.Trial:
    """Leave a trial running, as a killed process does."""
    trials: list[optuna.Trial] = []

    def objective(trial: optuna.Trial) -> float:
        studies.suggested(trial, SPACE)
        trial.report(0.5, step=0)
        if place is not None:
            trial.set_user_attr(studies.PLACE, place)
        trials.append(trial)
        raise SystemExit

    with pytest.raises(SystemExit):
        study.optimize(objective, n_trials=1)
    return trials[0]


def test_a_trial_whose_process_is_gone_is_run_again_under_its_number(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    draw(study, "random", range(2))
    gone = broken_off(study, studies.place_of(tmp_path))
    studies.queue_broken_off(study, tmp_path, lambda number: tmp_path / str(number))
    again = draw(study, "random", range(3, 4))
    assert again[0] == studies.tried_values(gone.params, SPACE), "it is run with the values it had"
    draw(study, "random", range(3, 4))
    trials = studies.read_trials(study, SPACE)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {trial.state for trial in trials} == {"completed"}
    retried = study.trials[3]
    assert studies.numbers_in_search(study.trials) == {0: 0, 1: 1, 2: 2, 3: 2, 4: 3}
    assert retried.intermediate_values == {0: 0.5}
    assert studies.PLACE not in retried.user_attrs


def test_a_trial_that_lives_or_is_elsewhere_is_let_alone(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    broken_off(study, studies.place_of(tmp_path))
    broken_off(study, "another machine")
    broken_off(study, None)
    with claim_folder(tmp_path / "0"):
        studies.queue_broken_off(study, tmp_path, lambda number: tmp_path / str(number))
    assert [trial.state for trial in studies.read_trials(study, SPACE)] == ["running"] * 3
    studies.queue_broken_off(study, tmp_path, lambda number: tmp_path / str(number))
    assert [trial.state for trial in studies.read_trials(study, SPACE)] == ["waiting", "running", "running"]


def test_a_trial_that_ends_its_process_every_time_fails_at_last(tmp_path: Path) -> None:
    warnings.filterwarnings("ignore", message=".*already reported.*")
    study = open_study(tmp_path)
    for _ in range(studies.MAX_RETRIES + 1):
        broken_off(study, studies.place_of(tmp_path))
        studies.queue_broken_off(study, tmp_path, lambda number: tmp_path / str(number))
    assert not study.get_trials(states=(TrialState.WAITING,))
    (trial,) = studies.read_trials(study, SPACE)
    assert trial.finished
    assert (trial.state, trial.reason) == ("failed", "its process ended while it ran, 4 times")


def test_each_pruner_is_what_it_is_called() -> None:
    kinds = {
        name: type(studies.pruner_for(SearchSpec(pruner=name), epochs=8)).__name__
        for name in ("none", "median", "hyperband")
    }
    assert kinds == {"none": "NopPruner", "median": "MedianPruner", "hyperband": "HyperbandPruner"}


def test_what_mattered_is_found_when_there_are_trials_enough() -> None:
    study = in_memory()
    draw(study, "random", range(7))
    assert studies.importances(study) == {}
    draw(study, "random", range(7, 30))
    importance = studies.importances(study)
    assert max(importance, key=lambda key: importance[key]) == "training.learning_rate"
    assert sum(importance.values()) == pytest.approx(1)
