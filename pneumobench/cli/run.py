"""Commands that make a leaderboard: run a suite, and compute the tables of a run again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.shown import console_for, frame_of, next_step, print_json, tell
from pneumobench.errors import SettingsError
from pneumobench.suite.spec import Protocol, WandbMode

if TYPE_CHECKING:
    from rich.console import Console

    from pneumobench.runs.finished import Run
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
    wandb: WandbMode | None = None,
    json: bool = False,
) -> int:
    """Run a suite: train, score, explain, rank.

    Every job that has no record yet is run, then the leaderboard is written. Any setting can be overridden as
    --group.key VALUE, e.g. --training.epochs 3; `pneumobench suite NAME` shows all keys, `pneumobench help KEY` one.

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
        wandb: track with Weights & Biases.
        json: print the outcome as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.suite.commands import run_command

    loaded = asked_suite(
        suite, overrides, data=data, limit=limit, name=name, architectures=architectures, plugin=plugin, wandb=wandb
    )
    if protocols is not None and folds is not None:
        raise SettingsError("--folds leaves protocols incomplete, and only complete ones are compared: leave one out.")
    command = run_command(suite, loaded, folds=folds, protocols=protocols)
    console = console_for(json=json)
    console.print(f"loading PyTorch; suite {loaded.name!r}", highlight=False)
    if protocols is None:
        from pneumobench.runs.run import run as run_suite

        done = run_suite(
            loaded, output=output, folds=folds, retry_failed=retry_failed, command=command, console=console
        )
        if json:
            print_json(outcome(done))
        return shown(done, console)
    from pneumobench.runs.protocols import run_protocols

    compared = run_protocols(
        loaded, protocols, output=output, retry_failed=retry_failed, command=command, console=console
    )
    codes = [shown(one, console) for one in compared.runs]
    console.print(compared)
    tell(console, "table", compared.page)
    if json:
        print_json({"page": str(compared.page), "rows": frame_of(compared), "runs": list(map(outcome, compared.runs))})
    return max(codes)


def asked_suite(
    suite: str,
    overrides: list[str],
    *,
    data: str | None = None,
    limit: int | None = None,
    name: str | None = None,
    architectures: tuple[str, ...] | None = None,
    plugin: list[str],
    wandb: WandbMode | None = None,
) -> Suite:
    """Return the suite that a command line asks for; the arguments are those of `run`."""
    from pneumobench.suite.reader import load_suite
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
    return loaded


def leaderboard(run: Path, *, json: bool = False) -> int:
    """Compute the leaderboard of a run again from its records.

    Args:
        run: folder of a run, e.g. runs/quickstart.
        json: print every number as JSON, for a program.
    """
    from pneumobench.reporting.leaderboard import write_leaderboard
    from pneumobench.reporting.terminal import print_leaderboard

    console = console_for(json=json)
    paths = write_leaderboard(run)
    print_leaderboard(paths.board, console)
    tell(console, "page", paths.page)
    if json:
        print(paths.json.read_text(encoding="utf-8"), end="")
    if any(run.glob("*/fold-*/weights.safetensors")):
        next_step(console, "gallery", run)
    else:
        next_step(console, "help", "explain")
    return DONE


def with_plugins(suite: Suite, plugins: list[str]) -> Suite:
    """Return the suite with further plugin files."""
    files = (*suite.architectures.plugins, *plugins)
    return dataclasses.replace(suite, architectures=dataclasses.replace(suite.architectures, plugins=files))


def shown(run: Run, console: Console) -> int:
    """Print leaderboard, page and failed jobs of a run, and the next command, and return the exit code."""
    console.print(run.leaderboard)
    tell(console, "page", run.leaderboard.page)
    for record in run.failed:
        console.print(f"{record.architecture} fold {record.fold} {record.status}: {record.reason}", markup=False)
    if run.failed:
        console.print("next: the same command with --retry-failed, when the reasons above are mended", highlight=False)
        return CHECK_FAILED
    next_step(console, "gallery", run.path)
    return DONE


def outcome(run: Run) -> dict[str, Any]:
    """Return what came of a run, for a program."""
    failed = [{"architecture": one.architecture, "fold": one.fold, "reason": one.reason} for one in run.failed]
    return {
        "run": str(run.path),
        "page": str(run.leaderboard.page),
        "failed": failed,
        "leaderboard": frame_of(run.leaderboard),
    }


COMMANDS = (run, leaderboard)
