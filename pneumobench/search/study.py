"""The study of a search in Optuna's storage: opened or gone on with, broken-off trials run again, trials read."""

from __future__ import annotations

import datetime
import logging
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import sqlalchemy
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_text
from pneumobench.records.locks import is_claimed
from pneumobench.records.search_trials import SearchTrial
from pneumobench.suite.search_space import Choices, Space
from pneumobench.suite.spec import SearchSpec, Suite
from pneumobench.texts import counted

HEARTBEAT_S: Final = 30
# trials of this machine are known to be dead by their lock at once; this is for other machines and must outlast a
# machine that is merely busy
GRACE_S: Final = 300
MAX_RETRIES: Final = 3  # of a trial whose process ends while it runs, e.g. for want of memory
DATABASE_WAIT_S: Final = 60  # for another process that writes to the same SQLite file
IDENTITY, PLACE, REASON, STATUS, EPOCHS, SECONDS = "search", "place", "reason", "status", "epochs", "seconds"


def quiet_optuna() -> None:
    """Keep Optuna and its database library from logging what the progress shows, and from warning of what is meant."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # a trial that goes on after a kill reports its last epoch again
    warnings.filterwarnings("ignore", message=".*is ignored because this `step`.*")
    warnings.filterwarnings("ignore", message=".*is not divisible by.*")


def public_url(url: str) -> str:
    """Return a storage's URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return "--storage"


def open_study(url: str, name: str, *, minimise: bool, identity: dict[str, str]) -> optuna.Study:
    """Create the study of a search, or open it to go on.

    Args:
        url: SQLAlchemy URL of a database, e.g. `sqlite:///study.db`.
        name: name of the study in it.
        minimise: whether a lower value is better.
        identity: what must be the same at every start: the words for it, and a text or a hash.

    Raises:
        SettingsError: the storage cannot be opened, or it holds another search by this name.
    """
    waits = {"connect_args": {"timeout": DATABASE_WAIT_S}} if url.startswith("sqlite") else {}
    try:
        storage = RDBStorage(
            url,
            engine_kwargs=waits,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=_run_again,
        )
        study = optuna.create_study(
            storage=storage, study_name=name, direction="minimize" if minimise else "maximize", load_if_exists=True
        )
        before = study.user_attrs.get(IDENTITY)
        if before is None and not study.trials:
            study.set_user_attr(IDENTITY, identity)
            return study
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError, OSError) as error:
        raise storage_error(url, error) from error
    if before != identity:
        changed = [words for words in identity if not isinstance(before, dict) or before.get(words) != identity[words]]
        raise SettingsError(
            f"study {name!r} in {public_url(url)} holds a search with another {', another '.join(changed)}. Give this "
            "one another --name or --storage, or delete the study."
        )
    return study


def storage_error(url: str, error: Exception) -> SettingsError:
    """Return what to tell a user whose storage fails; the URL's password is left out."""
    cause = error.__cause__ or error
    text = " ".join(str(getattr(cause, "orig", None) or cause).split())
    return SettingsError(
        f"storage {public_url(url)} cannot be used ({type(cause).__name__}: {text[:200]}); expected a database that "
        "SQLAlchemy and an installed driver can open, e.g. --storage sqlite:///study.db."
    )


def place_of(folder: Path) -> str:
    """Return a short hash of machine and folder: where the locks of its trials can be looked at."""
    return sha256_of_text(f"{platform.node()} {folder.resolve()}")[:16]


def _run_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial again that was interrupted, with its values and what it has reported."""
    trial.user_attrs.pop(PLACE, None)
    RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES, inherit_intermediate_values=True)(study, trial)


def queue_broken_off(study: optuna.Study, folder: Path, trial_folder: Callable[[int], Path]) -> None:
    """Queue the trials again whose process is gone; only for the one whose turn it is in this folder.

    Args:
        study: the study.
        folder: folder of the search.
        trial_folder: gives the folder of a trial from its number in the search.
    """
    numbers = numbers_in_search(study.get_trials(deepcopy=False))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        place = trial.user_attrs.get(PLACE)
        if place is None:  # ended before it began
            started = trial.datetime_start or datetime.datetime.now()
            dead = (datetime.datetime.now() - started).total_seconds() > GRACE_S
        else:
            dead = place == place_of(folder) and not is_claimed(trial_folder(numbers[trial.number]))
        if dead:
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
                continue  # a process elsewhere was faster
            _run_again(study, trial)
    optuna.storages.fail_stale_trials(study)


def numbers_in_search(trials: list[FrozenTrial]) -> dict[int, int]:
    """Return the number in the search of each of Optuna's trials: a retry has that of the trial it repeats."""
    firsts = [trial.number for trial in trials if not RetryHeartbeatStaleTrialCallback.retry_history(trial)]
    place = {number: place for place, number in enumerate(sorted(firsts))}
    return {
        trial.number: place[(RetryHeartbeatStaleTrialCallback.retry_history(trial) or [trial.number])[0]]
        for trial in trials
    }


def read_trials(study: optuna.Study, space: Space) -> list[SearchTrial]:
    """Return the trials of a search by number; of one that was interrupted and run again the last run."""
    trials = study.get_trials(deepcopy=False)
    numbers = numbers_in_search(trials)
    last = {numbers[trial.number]: trial for trial in sorted(trials, key=lambda trial: trial.number)}
    return [_search_trial(number, trial, space) for number, trial in sorted(last.items())]


def _search_trial(number: int, trial: FrozenTrial, space: Space) -> SearchTrial:
    metadata: dict[str, Any] = trial.user_attrs
    reason = str(metadata.get(REASON, ""))
    if trial.state == TrialState.FAIL:
        state = metadata.get(STATUS, "failed")
        starts = len(RetryHeartbeatStaleTrialCallback.retry_history(trial)) + 1
        reason = reason or f"its process ended while it ran, {starts} times"
    else:
        state = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned"}.get(
            trial.state, trial.state.name.lower()
        )
    return SearchTrial(
        number=number,
        state=state,
        values=tried_values(trial.params, space),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        epochs=metadata.get(EPOCHS),
        seconds=metadata.get(SECONDS),
        reason=reason,
    )


def tried_values(parameters: dict[str, Any], space: Space) -> dict[str, Any]:
    """Return the values of the settings from Optuna's parameters, in the order of the space."""
    values = {}
    for key, kind in space.items():
        if key in parameters:
            values[key] = kind.value(parameters[key]) if isinstance(kind, Choices) else parameters[key]
    return values


def suggested(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Draw a value for every setting of the space."""
    drawn: dict[str, Any] = {}
    for key, kind in space.items():
        if isinstance(kind, Choices):
            drawn[key] = trial.suggest_categorical(key, kind.texts())
        elif kind.whole:
            drawn[key] = trial.suggest_int(key, int(kind.low), int(kind.high), log=kind.log, step=int(kind.step or 1))
        else:
            drawn[key] = trial.suggest_float(key, kind.low, kind.high, log=kind.log, step=kind.step)
    return tried_values(drawn, space)


def sampler_for(spec: SearchSpec, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one trial, seeded by its number, so that a search that went on draws as one in one go."""
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if spec.sampler == "random":
        return optuna.samplers.RandomSampler(seed=own_seed)
    return optuna.samplers.TPESampler(seed=own_seed)


def pruner_for(spec: SearchSpec, *, epochs: int) -> optuna.pruners.BasePruner:
    """Return what ends hopeless trials.

    Args:
        spec: the search.
        epochs: epochs of the longest trial.
    """
    if spec.pruner == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=epochs // 4)  # of epochs that may not tell yet
    if spec.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=epochs)
    return optuna.pruners.NopPruner()


def why_pruned(suite: Suite, epochs: int, value: float) -> str:
    """Say why a trial was ended early: its monitored value after so many epochs, and by which rule."""
    rule = {
        "median": "worse than the median of earlier trials at the same epoch",
        "hyperband": "not among the best of its bracket at this epoch",
    }[suite.search.pruner]
    return f"{suite.training.monitor} {value:.4f} after {counted(epochs, 'epoch')}: {rule}"


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each setting in [0, 1], sum 1; empty where there are too few completed trials."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(completed) < 8:
        return {}
    try:
        return optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError):  # e.g. all trials alike
        return {}
