"""The command that searches for settings."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path

import yaml

from pneumobench.cli.papers import EXIT_CHECK_FAILED


def tune(options: argparse.Namespace, rest: list[str]) -> int:
    """Search the space of a suite and write the winner as a suite."""
    from rich.console import Console

    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.suite.shipped import suite_path

    path = suite_path(options.suite)
    overrides = list(rest)
    for option, key in (("data", "data.root"), ("name", "name")):
        if getattr(options, option) is not None:
            overrides += [f"--{key}", getattr(options, option)]
    if options.architectures is not None:
        overrides += ["--architectures.names", f"[{options.architectures}]"]
    for plugin in options.plugin:  # first, because the suite may name what they register
        load_plugin_file(Path(plugin))
    suite = load_suite(path, overrides, section="suite" if _is_paper(path) else None)
    if options.plugin:
        plugins = (*suite.architectures.plugins, *options.plugin)
        suite = dataclasses.replace(suite, architectures=dataclasses.replace(suite.architectures, plugins=plugins))
    console = Console()
    console.print(f"loading PyTorch; search of suite {suite.name!r}", highlight=False)
    from pneumobench.reporting.search import importance_words, trials_table
    from pneumobench.search.tune import tune as run_search

    outcome = run_search(suite, output=options.output, console=console, storage=options.storage)
    settings, monitor = list(suite.search.space), suite.training.monitor
    console.print(trials_table(outcome.trials, settings, monitor=monitor, title=f"Search: {suite.name}"))
    console.print(f"trials: {outcome.folder.trials_csv}", highlight=False, soft_wrap=True)
    if outcome.best is None:
        reasons = sorted({trial.reason for trial in outcome.trials if trial.reason})
        console.print(
            f"no trial was completed, so there is no winner; {'; '.join(reasons[:3])}", style="red", markup=False
        )
        return EXIT_CHECK_FAILED
    if words := importance_words(outcome.importance):
        console.print(words, highlight=False, markup=False)
    if suite.folds.count > 1:
        console.print(
            f"Images of the validation part of fold {suite.search.folds[0]} are tested in other folds: the winner's "
            "score out of fold is slightly flattered; a held-out or official test part is not.",
            style="yellow",
            highlight=False,
        )
    console.print(f"winner: {outcome.folder.best_suite}", highlight=False, soft_wrap=True)
    console.print(
        f"next: pneumobench run {shlex.quote(str(outcome.folder.best_suite))}",
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip
    return 0


def _is_paper(path: Path) -> bool:
    """Tell whether a file is that of a paper, with a suite inside; what is no YAML is left to the reader of suites."""
    try:
        metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return False
    return isinstance(metadata, dict) and "paper" in metadata
