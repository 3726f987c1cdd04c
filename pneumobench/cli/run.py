"""The command that makes a leaderboard: run a suite, or several variants of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.shown import (
    console_for,
    data_words,
    fields_of,
    next_step,
    path_word,
    print_json,
    rows_of,
    same_again,
    tell,
)
from pneumobench.errors import SettingsError
from pneumobench.runs.execution import Execution, ExecutorName, Jobs
from pneumobench.suite.logging import WandbMode
from pneumobench.suite.named_values import named_values
from pneumobench.suite.regions import Region
from pneumobench.suite.spec import Protocol
from pneumobench.texts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pneumobench.records.job_record import JobRecord
    from pneumobench.runs.finished import Run
    from pneumobench.runs.nothing_left import FinishedRun
    from pneumobench.suite.spec import Suite
    from pneumobench.suite.variants import Variants


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
    regions: tuple[Region, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
    subsets: tuple[str, ...] | None = None,
    vary: str | None = None,
    executor: ExecutorName | None = None,
    jobs: Jobs | None = None,
    jobs_per_device: int | None = None,
    ray_address: str | None = None,
    slurm: list[str],
    retry_failed: bool = False,
    accept_changes: bool = False,
    rehash: bool = False,
    plan: bool = False,
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
        regions: train and test the networks on each of these regions of the images and compare.
        seeds: train with each of these seeds, on the same folds, and compare.
        subsets: train on so many images, e.g. 250,500,1000,all, test on the same, and compare.
        vary: KEY=A,B: run the suite under each value of any other setting and compare.
        executor: who runs the jobs: this process, processes of their own, Ray, or Slurm (default: serial for one job at
            a time, processes for several).
        jobs: how many jobs at the same time; they divide threads and devices; auto: as there is room for.
        jobs_per_device: how many jobs share a GPU, with processes and Ray.
        ray_address: a running Ray cluster, HOST:PORT or auto (default: Ray is started on this machine).
        slurm: KEY=VALUE, a setting of a Slurm task, e.g. partition=gpu, time=120 (minutes), gpus_per_node=1.
        retry_failed: run jobs again that failed or diverged before.
        accept_changes: go on though code, versions or files have changed since the run began; it is written down.
        rehash: read every image file, whether it was changed since it was last read or not.
        plan: train nothing; say which jobs there are, and about what they will take.
        wandb: track with Weights & Biases.
        json: print the outcome as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.runs.nothing_left import finished_run
    from pneumobench.suite.commands import run_command
    from pneumobench.suite.variants import variants_of

    given = named_values(slurm, where="--slurm", example="partition=gpu")
    execution = Execution(
        name=executor, jobs=jobs, jobs_per_device=jobs_per_device, ray_address=ray_address, slurm=given
    )
    loaded = asked_suite(
        suite, overrides, data=data, limit=limit, name=name, architectures=architectures, plugin=plugin, wandb=wandb
    )
    variants = None
    if any(values is not None for values in (protocols, regions, seeds, subsets, vary)):
        variants = variants_of(loaded, protocols=protocols, regions=regions, seeds=seeds, subsets=subsets, vary=vary)
    if variants is not None and folds is not None:
        option, values = variants.words
        raise SettingsError(
            f"--folds leaves {option} {values} incomplete, and only complete runs are compared: leave one out."
        )
    if plan:
        return _planned(
            loaded if variants is None else variants, json=json, output=output, folds=folds, retry_failed=retry_failed,
            execution=execution, rehash=rehash,
        )  # fmt: skip
    command = run_command(suite, loaded, folds=folds, compared=() if variants is None else variants.words)
    console = console_for(json=json)
    if variants is None and not json:
        done = finished_run(loaded, output, folds=folds, retry_failed=retry_failed, rehash=rehash)
        if done is not None:
            return _nothing_left(done, console, _own_data(loaded))
    console.print(f"loading PyTorch; suite {loaded.name!r}", highlight=False)
    if variants is None:
        from pneumobench.runs.run import run as run_suite

        made = run_suite(
            loaded, output=output, folds=folds, retry_failed=retry_failed, accept_changes=accept_changes,
            execution=execution, rehash=rehash, command=command, console=console,
        )  # fmt: skip
        if json:
            print_json(outcome(made))
        return shown(made, console)
    from pneumobench.runs.comparison import compare

    comparison = compare(
        variants, output=output, retry_failed=retry_failed, accept_changes=accept_changes,
        execution=execution, rehash=rehash, command=command, console=console,
    )  # fmt: skip
    codes = [shown(one, console) for one in comparison.runs]
    console.print(comparison)
    tell(console, "table", comparison.page)
    if json:
        runs = list(map(outcome, comparison.runs))
        print_json({"page": str(comparison.page), "rows": rows_of(comparison.to_frame()), "runs": runs})
    return max(codes)


def _planned(asked: Suite | Variants, *, json: bool, **arguments: Any) -> int:
    """Say what a run would do, or that of each variant, and return the exit code."""
    from pneumobench.runs.plan import plan
    from pneumobench.suite.variants import Variants

    console = console_for(json=json)
    plans = []
    for one in asked.suites.values() if isinstance(asked, Variants) else [asked]:
        made = plan(one, console=console, **arguments)
        plans.append(
            {**fields_of(made), "run": str(made.run), "architectures": list(map(fields_of, made.architectures))}
        )
        if not json:
            console.print(made)
    if json:
        print_json({"runs": plans} if isinstance(asked, Variants) else plans[0])
    else:
        same_again(console, without="--plan")
    return DONE


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


def _nothing_left(done: FinishedRun, console: Console, data: str) -> int:
    """Say that a run is finished, and return the exit code."""
    words = f"{counted(len(done.records), 'job')}, all finished before; nothing is left to do"
    console.print(words, highlight=False)
    tell(console, "page", done.page)
    return _ended(done.folder.path, done.records, console, data)


def _ended(path: Path, records: Sequence[JobRecord], console: Console, data: str) -> int:
    """Print the jobs that failed and the next command, and return the exit code."""
    failed = [record for record in records if not record.completed]
    for record in failed:
        console.print(f"{record.architecture} fold {record.fold} {record.status}: {record.reason}", markup=False)
    if failed:
        console.print("when the reasons above are mended:", highlight=False)
        same_again(console, "--retry-failed")
        return CHECK_FAILED
    next_step(console, "gallery", path_word(path), *data_words(data))
    return DONE


def _own_data(suite: Suite) -> str:
    """Return the data folder that a run was given, which it does not keep; empty for images that are drawn."""
    from pneumobench.suite.commands import MADE_ON_THE_SPOT

    return "" if suite.data.source == MADE_ON_THE_SPOT else suite.data.root


def with_plugins(suite: Suite, plugins: list[str]) -> Suite:
    """Return the suite with further plugin files."""
    files = (*suite.architectures.plugins, *plugins)
    return dataclasses.replace(suite, architectures=dataclasses.replace(suite.architectures, plugins=files))


def shown(run: Run, console: Console) -> int:
    """Print leaderboard, page and failed jobs of a run, and the next command, and return the exit code."""
    console.print(run.leaderboard)
    tell(console, "page", run.leaderboard.page)
    return _ended(run.path, run.records, console, _own_data(run.suite))


def outcome(run: Run) -> dict[str, Any]:
    """Return what came of a run, for a program."""
    failed = [{"architecture": one.architecture, "fold": one.fold, "reason": one.reason} for one in run.failed]
    return {
        "run": str(run.path),
        "page": str(run.leaderboard.page),
        "failed": failed,
        "leaderboard": rows_of(run.leaderboard.to_frame()),
    }


COMMANDS = (run,)
