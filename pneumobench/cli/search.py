"""The command that searches for settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.run import with_plugins
from pneumobench.cli.shown import console_for, data_words, next_step, path_word, print_json, tell
from pneumobench.texts import counted

if TYPE_CHECKING:
    from pneumobench.search.outcome import SearchOutcome


def tune(
    suite: str,
    *,
    overrides: list[str],
    data: str | None = None,
    output: Path = Path("runs"),
    name: str | None = None,
    architectures: tuple[str, ...] | None = None,
    plugin: list[str],
    storage: str | None = None,
    accept_changes: bool = False,
    json: bool = False,
) -> int:
    """Search for the best settings of one architecture, on validation parts alone.

    Trials with values from the suite's search.space are run until search.trials are finished, and the winner is written
    as a suite. Start the command again to go on, or several times at once to share the work. Any setting can be
    overridden, e.g. --search.trials 50.

    Args:
        suite: name of a shipped suite, a YAML file, or the file of a paper.
        overrides: settings of the suite.
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        output: where searches go.
        name: name of the search and its folder, instead of the suite's.
        architectures: the architecture, if the suite names several.
        plugin: a Python file that registers more.
        storage: database of the trials (default: sqlite:///RUNS/NAME-search/study.db).
        accept_changes: go on though code, versions or files have changed since the search began; it is written down.
        json: print the outcome as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.suite.reader import load_suite, section_of
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.suite.shipped import suite_path

    settings = list(overrides)
    for key, value in (("--data.root", data), ("--name", name)):
        settings += [key, value] if value is not None else []
    if architectures is not None:
        settings += ["--architectures.names", f"[{', '.join(architectures)}]"]
    for file in plugin:  # first, because the suite may name what they register
        load_plugin_file(Path(file))
    path = suite_path(suite)
    loaded = with_plugins(load_suite(path, settings, section=section_of(path)), plugin)
    console = console_for(json=json)
    from pneumobench.reporting.search import importance_words, trials_table
    from pneumobench.search.outcome import finished_search
    from pneumobench.suite.commands import MADE_ON_THE_SPOT

    outcome = finished_search(loaded, output, storage=storage)
    if outcome is not None:
        console.print(
            f"{counted(len(outcome.trials), 'trial')}, all finished before; nothing is left to do", highlight=False
        )
    else:
        console.print(f"loading PyTorch; search of suite {loaded.name!r}", highlight=False)
        from pneumobench.search.tune import tune as run_search

        outcome = run_search(loaded, output=output, console=console, storage=storage, accept_changes=accept_changes)
    keys, monitor = list(loaded.search.space), loaded.training.monitor
    console.print(trials_table(outcome.trials, keys, monitor=monitor, title=f"Search: {loaded.name}"))
    tell(console, "trials", outcome.folder.trials_csv)
    if json:
        print_json(_plain(outcome))
    if outcome.best is None:
        reasons = sorted({trial.reason for trial in outcome.trials if trial.reason})
        console.print(
            f"no trial was completed, so there is no winner; {'; '.join(reasons[:3])}", style="red", markup=False
        )
        return CHECK_FAILED
    if words := importance_words(outcome.importance):
        console.print(words, highlight=False, markup=False)
    if loaded.folds.count > 1:
        console.print(
            f"Images of the validation part of fold {loaded.search.folds[0]} are tested in other folds: the winner's "
            "score out of fold is slightly flattered; a held-out or official test part is not.",
            style="yellow",
            highlight=False,
        )
    tell(console, "winner", outcome.folder.best_suite)
    drawn = loaded.data.source == MADE_ON_THE_SPOT
    next_step(console, "run", path_word(outcome.folder.best_suite), *data_words("" if drawn else loaded.data.root))
    return DONE


def _plain(outcome: SearchOutcome) -> dict[str, Any]:
    return {
        "best": None if outcome.best is None else dataclasses.asdict(outcome.best),
        "importance": outcome.importance,
        "suite": None if outcome.best is None else str(outcome.folder.best_suite),
        "trials": [dataclasses.asdict(trial) for trial in outcome.trials],
    }


COMMANDS = (tune,)
