"""What a search found, and whether it is finished: asked before PyTorch is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import PneumobenchError
from pneumobench.files import canonical_json, sha256_of_text
from pneumobench.lungs.required import only_with_lungs
from pneumobench.records.environment import changed_inputs, read_environment
from pneumobench.records.provenance import software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_kept
from pneumobench.records.search_trials import SearchTrial, best_first
from pneumobench.runs.inputs import inputs_of
from pneumobench.search import study as studies
from pneumobench.search.folder import SearchFolder
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.search_space import Space, read_space
from pneumobench.suite.spec import Suite


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """What a search found.

    Args:
        trials: all trials by number.
        best: the winner, None if no trial was completed.
        importance: share of each setting, empty if too few trials were completed.
        folder: where its files are.
    """

    trials: tuple[SearchTrial, ...]
    best: SearchTrial | None
    importance: dict[str, float]
    folder: SearchFolder


def search_folder(suite: Suite, output: Path) -> SearchFolder:
    """Return the folder of a suite's search below a folder of runs."""
    return SearchFolder(output / f"{suite.name}-search")


def database_url(folder: SearchFolder, storage: str | None) -> str:
    """Return the URL of the trials: the one that was named, else that of a file in the folder of the search."""
    return storage or f"sqlite:///{folder.database}"


def minimises(suite: Suite) -> bool:
    """Tell whether a lower value of what trials are compared by is better."""
    return suite.training.monitor == "tune_loss"


def best_of(suite: Suite, trials: Sequence[SearchTrial]) -> SearchTrial | None:
    """Return the winner so far, None if no trial was completed."""
    return next(iter(best_first(list(trials), minimise=minimises(suite))), None)


def search_identity(suite: Suite, space: Space, index: Index, folds: Folds) -> dict[str, str]:
    """Return what has to be the same at every start of a search, by its words; the number of trials may grow."""
    return {
        "architecture": suite.architectures.names[0],
        "space": canonical_json({key: dataclasses.asdict(kind) for key, kind in space.items()}),
        "sampler": suite.search.sampler,
        "pruner": suite.search.pruner,
        "list of folds": canonical_json(suite.search.folds),
        "suite (settings)": sha256_of_text(suite.training_hash()),
        "data set": index.hash(),
        "split": folds.hash(),
    }


def finished_search(suite: Suite, output: Path, *, storage: str | None = None) -> SearchOutcome | None:
    """Return a search if none of its trials is left, else None: whatever is not as it should be is for `tune` to say.

    Data are read and compared as at every start; nothing is written but the cache.

    Args:
        suite: what was searched; its plugins are loaded.
        output: folder of runs.
        storage: SQLAlchemy URL of Optuna's database; None = a file in the folder of the search.
    """
    folder = search_folder(suite, output)
    if len(suite.architectures.names) != 1:  # refused: a search is about one
        return None
    if not folder.trials_csv.is_file() or (storage is None and not folder.database.is_file()):
        return None
    studies.quiet_optuna()
    try:
        for plugin in suite.architectures.plugins:
            load_plugin_file(Path(plugin))
        space = read_space(suite, {}, suite.name)
        index, problems = read_radiographs(suite, output / ".cache")
        index = only_with_lungs(index, suite.data, output / ".cache")
        index = as_kept(RunFolder(folder.path), index)
        environment = read_environment(RunFolder(folder.path))
        if problems or environment.get("software") != software_versions():
            return None
        if changed_inputs(environment, inputs_of(suite, index)):
            return None
        study = studies.open_study(
            database_url(folder, storage),
            folder.path.name,
            minimise=minimises(suite),
            identity=search_identity(suite, space, index, make_folds(index, suite.folds, suite.seed)),
        )
        trials = studies.read_trials(study, space)
        best = best_of(suite, trials)
        if sum(trial.finished for trial in trials) < suite.search.trials or (best and not folder.best_suite.is_file()):
            return None
        if any(trial.state == "running" for trial in trials):
            return None
        return SearchOutcome(trials=tuple(trials), best=best, importance=studies.importances(study), folder=folder)
    except (PneumobenchError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError):
        return None
