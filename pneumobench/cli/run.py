"""Commands that make a leaderboard: run a suite, and compute the tables of a run again."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.errors import SettingsError
from pneumobench.suite.spec import Protocol, WandbMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pneumobench.records.job_record import JobRecord
    from pneumobench.runs.finished import Run
    from pneumobench.runs.nothing_left import FinishedRun
    from pneumobench.suite.spec import Suite


def run(
    suite: str = "quickstart",
    *,
    overrides: list[str],
    data: str | None = None,
    limit: int | None = None,
    output: Path = Path("runs"),
    name: str | None = None,
    architectures: tuple[str, ...] | None = None,
    plugin: list[str],
    folds: tuple[int, ...] | None = None,
    protocols: tuple[Protocol, ...] | None = None,
    retry_failed: bool = False,
    accept_changes: bool = False,
    wandb: WandbMode | None = None,
) -> int:
    """Run a suite: train, score, explain, rank.

    Every job that has no record yet is run, then the leaderboard is written. Any setting can be overridden as
    --group.key VALUE, e.g. --training.epochs 3; `pneumobench suite NAME` shows all keys.

    Args:
        suite: name of a shipped suite, or a YAML file.
        overrides: settings of the suite.
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        limit: use only about N training and N official test images.
        output: where runs go.
        name: name of the run and its folder, instead of the suite's.
        architectures: only these architectures.
        plugin: a Python file that registers more.
        folds: only these folds.
        protocols: run the suite under each of these splits and compare.
        retry_failed: run jobs again that failed or diverged before.
        accept_changes: go on though code, versions or files have changed since the run began; it is written down.
        wandb: track with Weights & Biases.
    """
    from rich.console import Console

    from pneumobench.runs.nothing_left import finished_run
    from pneumobench.suite.reader import load_suite, public_overrides
    from pneumobench.suite.registry import load_plugin_file

    given = {"--data.root": data, "--data.limit_images": limit, "--name": name, "--logging.wandb": wandb}
    settings = [*overrides, *(word for key, value in given.items() if value is not None for word in (key, str(value)))]
    if architectures is not None:
        settings += ["--architectures.names", f"[{', '.join(architectures)}]"]
    for file in plugin:  # first, because the suite may name what they register
        load_plugin_file(Path(file))
    loaded = with_plugins(load_suite(suite, settings), plugin)
    if limit is not None and name is None:  # a narrowed data set is another run
        loaded = dataclasses.replace(loaded, name=f"{loaded.name}-limit{limit}")
    if protocols is not None and folds is not None:
        raise SettingsError("--folds leaves protocols incomplete, and only complete ones are compared: leave one out.")
    # what others type for the same run: without the folders of this machine
    words = ["pneumobench", "run", Path(suite).stem if suite.endswith(".yaml") else suite]
    for option, value in (
        ("--architectures", architectures), ("--folds", folds), ("--limit", limit), ("--name", name),
        ("--protocols", protocols),
    ):  # fmt: skip
        if value is not None:
            words += [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    for file in plugin:
        words += ["--plugin", Path(file).name]
    command = shlex.join([*words, *public_overrides(overrides)])
    console = Console()
    if protocols is None and (done := finished_run(loaded, output, folds=folds, retry_failed=retry_failed)):
        return _nothing_left(done, console)
    console.print(f"loading PyTorch; suite {loaded.name!r}", highlight=False)
    if protocols is None:
        from pneumobench.runs.run import run as run_suite

        made = run_suite(
            loaded, output=output, folds=folds, retry_failed=retry_failed, accept_changes=accept_changes,
            command=command, console=console,
        )  # fmt: skip
        return shown(made, console)
    from pneumobench.runs.protocols import run_protocols

    compared = run_protocols(
        loaded, protocols, output=output, retry_failed=retry_failed, accept_changes=accept_changes,
        command=command, console=console,
    )  # fmt: skip
    codes = [shown(one, console) for one in compared.runs]
    console.print(compared)
    console.print(f"table: {compared.page}", highlight=False, soft_wrap=True)
    return max(codes)


def leaderboard(run: Path) -> int:
    """Compute the leaderboard of a run again from its records.

    Every file is compared with manifest.json first, weights included.

    Args:
        run: folder of a run, e.g. runs/quickstart.
    """
    from rich.console import Console

    from pneumobench.reporting.leaderboard import write_leaderboard
    from pneumobench.reporting.terminal import print_leaderboard

    console = Console()
    paths = write_leaderboard(run, check_weights=True)
    print_leaderboard(paths.board, console)
    for note in paths.board.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"page: {paths.page}", highlight=False, soft_wrap=True)
    return DONE


def _nothing_left(done: FinishedRun, console: Console) -> int:
    """Say that a run is finished, and return the exit code."""
    words = f"{len(done.records)} jobs, {len(done.records)} of them finished before; nothing is left to do"
    console.print(words, highlight=False)
    console.print(f"page: {done.page}", highlight=False, soft_wrap=True)
    console.print(f"its table: pneumobench leaderboard {done.folder.path}", highlight=False, soft_wrap=True)
    return _failed(done.records, console)


def _failed(records: Sequence[JobRecord], console: Console) -> int:
    """Print the jobs that failed, and return the exit code."""
    failed = [record for record in records if not record.completed]
    for record in failed:
        console.print(f"{record.architecture} fold {record.fold} {record.status}: {record.reason}", markup=False)
    return CHECK_FAILED if failed else DONE


def with_plugins(suite: Suite, plugins: list[str]) -> Suite:
    """Return the suite with further plugin files."""
    files = (*suite.architectures.plugins, *plugins)
    return dataclasses.replace(suite, architectures=dataclasses.replace(suite.architectures, plugins=files))


def shown(run: Run, console: Console) -> int:
    """Print leaderboard, page and failed jobs of a run, and return the exit code."""
    console.print(run.leaderboard)
    console.print(f"page: {run.leaderboard.page}", highlight=False, soft_wrap=True)
    return _failed(run.records, console)


COMMANDS = (run, leaderboard)
