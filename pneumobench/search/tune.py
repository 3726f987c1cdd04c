"""The main path of a search: trials one after the other until enough are finished, then the winner as a suite."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import optuna
import sqlalchemy
from rich.console import Console

from pneumobench.architectures.head import check_head
from pneumobench.architectures.registry import check_names
from pneumobench.errors import TERMINATED, DivergedError, NoRoomError, SettingsError
from pneumobench.files import write_text
from pneumobench.records.environment import keep_environment
from pneumobench.records.locks import claim_folder, waited_for
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.search_trials import SearchTrial, write_trials
from pneumobench.reporting.search import SearchProgress
from pneumobench.runs.context import Bench, open_data
from pneumobench.runs.train_job import reason_of
from pneumobench.search import study as studies
from pneumobench.search.folder import SearchFolder
from pneumobench.search.outcome import (
    SearchOutcome,
    best_of,
    database_url,
    minimises,
    search_folder,
    search_identity,
)
from pneumobench.search.trial import tidy, train_trial
from pneumobench.suite.names import NAME_RULE, is_name
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.search_space import Choices, Space, read_space, with_values
from pneumobench.suite.spec import SearchSpec, Suite
from pneumobench.texts import counted
from pneumobench.training.cost import check_device
from pneumobench.training.keeping import quiet_lightning

WAIT_S: Final = 0.5  # between looks at trials of other processes


class _BrokenOff(BaseException):
    """Ctrl-C or a full disk, in a shape that Optuna lets through: the trial has not failed and is run again."""


def tune(
    suite: Suite, *, output: Path, console: Console, storage: str | None = None, accept_changes: bool = False
) -> SearchOutcome:
    """Run trials until the suite's number is finished, over all starts and processes, and write the winner.

    Args:
        suite: a suite with a space and one architecture.
        output: folder of runs; the search goes to output/SUITE-search.
        console: where progress is shown.
        storage: SQLAlchemy URL of Optuna's database; None = a file in the folder of the search.
        accept_changes: go on though code, versions or further files have changed since the search began.

    Raises:
        SettingsError: the suite asks for what is not there, or the study holds another search.
        DataError: radiographs are missing or unreadable, or a split leaks. Nothing is trained then.
    """
    quiet_lightning()
    studies.quiet_optuna()
    space = read_space(suite, {}, suite.name)
    check_search(suite, space)
    folder = search_folder(suite, output)
    url = database_url(folder, storage)
    with waited_for(folder.path):  # a second process finds the data prepared and the study made
        bench = open_data(suite, RunFolder(folder.path), cache=output / ".cache", console=console)
        study = studies.open_study(
            url,
            folder.path.name,
            minimise=minimises(suite),
            identity=search_identity(suite, space, bench.index, bench.folds),
        )
        keep_environment(
            bench.folder, bench.inputs,
            unfinished=len(study.trials) < suite.search.trials, accept_changes=accept_changes,
        )  # fmt: skip
    search = _Search(bench, space, study, folder)
    try:
        search.run(console)
        with waited_for(folder.path):
            return search.conclude()
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise studies.storage_error(url, error) from error


def check_search(suite: Suite, space: Space) -> None:
    """Check what a search needs beyond a suite that can be run; plugins are loaded.

    Raises:
        SettingsError: there is no space, not exactly one architecture, or a head is not understood.
    """
    if not space:
        raise SettingsError(
            f"suite {suite.name!r} has no search.space; add settings to it with their choices, e.g. "
            "--search.space.training.learning_rate '{low: 1.0e-5, high: 1.0e-2, log: true}'."
        )
    if suite.training.is_frozen:
        raise SettingsError(
            f"suite {suite.name!r} has training.fit {suite.training.fit}, which chooses its settings itself; a search "
            "is about training.fit network."
        )
    if suite.architectures.is_pretrained_here:
        raise SettingsError(
            f"suite {suite.name!r} has architectures.weights self_supervised, which a search does not make; name a "
            "folder of weights, imagenet or none."
        )
    names = suite.architectures.names
    if len(names) != 1:
        raise SettingsError(
            f"suite {suite.name!r} names {counted(len(names), 'architecture')}, and a search is about one: choose with "
            f"--architectures {names[0]}."
        )
    if not is_name(f"{suite.name}-search"):
        raise SettingsError(f"name {suite.name!r} with -search is no name; expected {NAME_RULE}: give another --name.")
    for plugin in suite.architectures.plugins:
        load_plugin_file(Path(plugin))
    check_names({name: suite.architectures.weights_source(name) for name in names})
    check_device(suite.training)
    heads = space.get("training.head")
    for head in (suite.training.head, *(heads.values if isinstance(heads, Choices) else ())):
        check_head(head)


def tuned_suite(suite: Suite, best: SearchTrial) -> Suite:
    """Return the suite with the winning values, named NAME-tuned, without the search and the folder of the data."""
    tuned = with_values(suite, best.values, f"trial {best.number}")
    data = dataclasses.replace(tuned.data, root="")
    return dataclasses.replace(tuned, name=f"{suite.name}-tuned", data=data, search=SearchSpec())


class _Search:
    """A search in this process; others may work on the same study."""

    def __init__(self, bench: Bench, space: Space, study: optuna.Study, folder: SearchFolder) -> None:
        self.bench, self.space, self.study, self.folder = bench, space, study, folder
        self.suite, self.wanted = bench.suite, bench.suite.search.trials
        longest = space.get("training.epochs")
        epochs = [self.suite.training.epochs]
        if longest is not None:
            epochs = list(longest.values) if isinstance(longest, Choices) else [int(longest.high)]
        self.study.pruner = studies.pruner_for(self.suite.search, epochs=max(epochs))

    def run(self, console: Console) -> None:
        """Run trials until enough are finished."""
        before = sum(trial.finished for trial in self.trials())
        console.print(f"{counted(self.wanted, 'trial')}, {before} of them finished before", highlight=False)
        with SearchProgress(console, trials=self.wanted, monitor=self.suite.training.monitor) as progress:
            while True:
                with ExitStack() as turn:  # ends as soon as the trial is marked as this process's
                    turn.enter_context(waited_for(self.folder.path))
                    studies.queue_broken_off(self.study, self.folder.path, self.folder.trial)
                    trials = self.trials()
                    if sum(trial.finished for trial in trials) >= self.wanted:
                        return
                    if sum(trial.finished or trial.state == "running" for trial in trials) < self.wanted:
                        self._one_trial(progress, turn, number=len(trials))
                        continue
                progress.waiting()
                time.sleep(WAIT_S)

    def trials(self) -> list[SearchTrial]:
        """Return the trials by number."""
        return studies.read_trials(self.study, self.space)

    def _one_trial(self, progress: SearchProgress, turn: ExitStack, *, number: int) -> None:
        """Run the next trial: one that was interrupted, or a new one with the next number."""
        self.study.sampler = studies.sampler_for(self.suite.search, seed=self.suite.seed, number=number)
        begun: list[optuna.Trial] = []

        def objective(trial: optuna.Trial) -> float:
            begun.append(trial)
            return self._value(trial, self._number(trial), progress, turn)

        try:
            self.study.optimize(objective, n_trials=1, catch=(Exception,))
        except _BrokenOff as broken_off:
            if isinstance(broken_off.__cause__, NoRoomError):
                raise broken_off.__cause__ from None
            raise KeyboardInterrupt from broken_off
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            # this process was taken for dead, e.g. after a long sleep, and another one runs the trial again
            if not begun or not self.study.get_trials(deepcopy=False)[begun[0].number].state.is_finished():
                raise
        finally:
            turn.close()
        with waited_for(self.folder.path):
            trials = self.trials()
            best = best_of(self.suite, trials)
            for trial in trials:
                if trial.finished:
                    tidy(self.folder.trial(trial.number), keep_weights=trial == best)
            self._write(trials, best)
        finished = sum(trial.finished for trial in trials)
        if (done := trials[self._number(begun[0])]).finished:
            progress.trial_done(done, finished=finished, best=best)

    def _number(self, trial: optuna.Trial) -> int:
        """Return the number in the search of one of Optuna's trials."""
        return studies.numbers_in_search(self.study.get_trials(deepcopy=False))[trial.number]

    def _value(self, trial: optuna.Trial, number: int, progress: SearchProgress, turn: ExitStack) -> float:
        """Run one trial to its value; what comes of it otherwise is written beside it."""
        started, folder = time.perf_counter(), self.folder.trial(number)

        def note(**metadata: float | str | None) -> None:
            for key, value in {studies.SECONDS: time.perf_counter() - started, **metadata}.items():
                trial.set_user_attr(key, value)

        try:
            with claim_folder(folder):
                trial.set_user_attr(studies.PLACE, studies.place_of(self.folder.path))
                values = studies.suggested(trial, self.space)
                turn.close()
                judged = train_trial(
                    self.bench,
                    with_values(self.suite, values, "these values together"),
                    folder=folder,
                    trial=None if self.suite.search.pruner == "none" else trial,
                    fold_started=lambda fold: progress.trial_started(number, fold),
                    report=progress.epoch_done,
                )
        except optuna.TrialPruned:
            values_seen = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
            epochs = max(values_seen) + 1
            note(epochs=epochs, reason=studies.why_pruned(self.suite, epochs, values_seen[epochs - 1]))
            raise
        except DivergedError as error:
            note(status="diverged", reason=str(error))
            raise
        except (KeyboardInterrupt, NoRoomError) as error:
            raise _BrokenOff from error
        except SystemExit as error:
            if error.code == TERMINATED:
                raise
            note(status="failed", reason=f"the architecture's code ended the process: {error!r}")
            raise RuntimeError("ended the process") from error
        except Exception as error:
            note(status="failed", reason=reason_of(error, self.suite.training.batch_size))
            raise
        note(epochs=judged.epochs, seconds=judged.seconds)
        return judged.value

    def conclude(self) -> SearchOutcome:
        """Write the table of trials and the winner's suite, and return them."""
        trials = self.trials()
        best = best_of(self.suite, trials)
        self._write(trials, best)
        return SearchOutcome(
            trials=tuple(trials), best=best, importance=studies.importances(self.study), folder=self.folder
        )

    def _write(self, trials: list[SearchTrial], best: SearchTrial | None) -> None:
        """Write the table of the trials finished so far and the suite of the best of them."""
        write_trials(self.folder.trials_csv, trials, list(self.space))
        if best is not None:
            head = (
                f"# Written by `pneumobench tune`: trial {best.number} of {len(trials)}, "
                f"{self.suite.training.monitor} {best.value:.4f}. Chosen on validation parts alone.\n"
            )
            write_text(self.folder.best_suite, head + tuned_suite(self.suite, best).to_yaml())
