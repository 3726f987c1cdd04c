"""One suite under several ways to split its images, and what each of them does to the scores."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.folds import make_folds
from pneumobench.datasets.index import problem_error
from pneumobench.errors import DataError, SettingsError
from pneumobench.leaderboard.board import Leaderboard as Ranking
from pneumobench.leaderboard.protocol_effect import REFERENCE, protocol_effects
from pneumobench.lungs.prepared import wanted_squares
from pneumobench.lungs.required import only_with_lungs
from pneumobench.reporting.protocol_table import TABLE, protocol_table, write_protocol_table
from pneumobench.runs.comparison import Comparison
from pneumobench.runs.execution import Execution
from pneumobench.runs.run import run
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.rules import SINGLE_TEST
from pneumobench.suite.spec import Protocol, Suite


def run_protocols(
    suite: Suite,
    protocols: Sequence[str],
    *,
    output: str | Path = "runs",
    retry_failed: bool = False,
    accept_changes: bool = False,
    execution: Execution | None = None,
    rehash: bool = False,
    command: str = "",
    console: Console | None = None,
) -> Comparison:
    """Run a suite under each protocol, and write what each does to the scores into output/NAME-protocols.

    Args:
        suite: what to run.
        protocols: see `FoldSpec`; `patient` among them, which the others are compared with.
        output: folder of runs.
        retry_failed: run jobs again that failed or diverged in an earlier start.
        accept_changes: see `run`.
        execution: see `run`.
        rehash: see `run`.
        command: command line that the tables name.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: a protocol is not known, or the suite's other settings do not fit it.
        DataError: radiographs are missing or unreadable, or a split leaks.
    """
    output = Path(output)
    suites = suites_by_protocol(suite, protocols)
    _require_splits(suites, output, rehash=rehash)
    runs = {
        one.folds.protocol: run(
            one, output=output, retry_failed=retry_failed, accept_changes=accept_changes,
            execution=execution, rehash=rehash, command=command, console=console,
        )
        for one in suites
    }  # fmt: skip
    boards: dict[str, Ranking] = {protocol: done.leaderboard.board for protocol, done in runs.items()}
    index, _ = list(runs.values())[-1].folder.index_and_folds()
    effects = protocol_effects(boards, index.table.set_index("image_id")["group"])
    page = write_protocol_table(output / f"{suite.name}-protocols", effects, boards[REFERENCE], command)
    return Comparison(
        runs=tuple(runs.values()), effects=tuple(effects), page=page, csv=page.parent / TABLE,
        shown=protocol_table(effects),
    )  # fmt: skip


def _require_splits(suites: Sequence[Suite], output: Path, *, rehash: bool) -> None:
    """Split the images under every protocol before anything is trained.

    Raises:
        DataError: the data do not have what a protocol needs, such as an official test folder.
        LeakError: a split leaks.
    """
    for plugin in suites[0].architectures.plugins:  # the layout of the data may be one of theirs
        load_plugin_file(Path(plugin))
    data = suites[0].data
    index, problems = read_radiographs(suites[0], output / ".cache", squares=wanted_squares(data), rehash=rehash)
    if problems:
        raise problem_error(index.root, problems)
    index = only_with_lungs(index, data, output / ".cache")
    for one in suites:
        try:
            make_folds(index, one.folds, one.seed)
        except DataError as error:
            raise type(error)(f"--protocols {one.folds.protocol}: {error}") from None


def suites_by_protocol(suite: Suite, protocols: Sequence[str]) -> list[Suite]:
    """Return a suite once for each protocol, named NAME-PROTOCOL and otherwise equal.

    Raises:
        SettingsError: a protocol is not known, or the suite's other settings do not fit it.
    """
    known = typing.get_args(Protocol)
    if REFERENCE not in protocols:
        raise SettingsError(f"--protocols {','.join(protocols)}: expected {REFERENCE} among them, to compare with.")
    suites = []
    for protocol in protocols:
        if protocol not in known:
            raise SettingsError(f"--protocols {protocol}: expected some of {', '.join(known)}.")
        count = 1 if protocol in SINGLE_TEST else max(suite.folds.count, 2)
        try:
            folds = dataclasses.replace(suite.folds, protocol=typing.cast("typing.Any", protocol), count=count)
            suites.append(dataclasses.replace(suite, name=f"{suite.name}-{protocol}", folds=folds))
        except SettingsError as error:
            raise SettingsError(f"--protocols {protocol}: {error}") from None
    return suites
