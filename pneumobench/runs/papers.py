"""Recipes of published systems: run them, and set what the papers report against what comes out."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from pneumobench.claims.reader import read_claims
from pneumobench.errors import SettingsError
from pneumobench.leaderboard.reproduction import reproductions
from pneumobench.reporting.paper_table import PaperResult, paper_table, write_paper_table
from pneumobench.reporting.tracking import NoTracking
from pneumobench.runs.finished import Run
from pneumobench.runs.run import run
from pneumobench.suite.commands import DATA_WORD, MADE_ON_THE_SPOT
from pneumobench.suite.reader import load_suite, public_overrides
from pneumobench.suite.shipped import declared_folder
from pneumobench.suite.spec import SearchSpec, Suite
from pneumobench.suite.weights import NONE

PAPER_KEYS: Final = ("paper", "reported", "assumed", "suite")


def run_papers(
    files: Sequence[Path], overrides: Sequence[str] = (), *, output: str | Path = "runs", console: Console | None = None
) -> tuple[tuple[Run, ...], Path]:
    """Run the recipes of papers and write a table of each: printed, possible or not, reproduced, and what differs.

    The page has the tables of papers that were run before, too; that of a paper that is run again is new.

    Args:
        files: files such as those of benchmark/papers.
        overrides: settings of all recipes, such as `["--training.epochs", "3"]`; what is changed is said in the table.
        output: folder of runs; the page is papers.md in it.
        console: where progress and tables are shown; None = the terminal or notebook.

    Returns:
        A run for each file, and the page.

    Raises:
        SettingsError: a file is no paper's, or a setting is wrong. Nothing is trained then.
        DataError: radiographs are missing or unreadable.
    """
    output, console = Path(output), console or Console()
    prepared = []
    for path in files:  # all that can be wrong is found before the first training
        metadata, original = read_paper(path), load_suite(path, section="suite")
        suite = load_suite(path, overrides, section="suite")
        if _differences(original, suite):  # what is not the recipe is another run
            suite = dataclasses.replace(suite, name=f"{suite.name}-changed")
        prepared.append((metadata, original, suite, read_claims(path)))
    command = _command(files, overrides, [suite for _, _, suite, _ in prepared])
    results, runs = [], []
    for metadata, original, suite, reported in prepared:
        done = run(suite, output=output, console=console, tracker=NoTracking(), command=command)
        runs.append(done)
        index, _ = done.folder.index_and_folds()
        group = index.table.set_index("image_id")["group"]
        results.append(
            PaperResult(
                title=str(metadata["paper"]),
                run=suite.name,
                reproductions=reproductions(reported, done.leaderboard.board, group),
                assumed={str(key): str(why) for key, why in (metadata.get("assumed") or {}).items()},
                differences=tuple(_differences(original, suite)),
            )
        )
        console.print(paper_table(results[-1]))
    return tuple(runs), write_paper_table(output, results, command)


def _command(files: Sequence[Path], overrides: Sequence[str], suites: Sequence[Suite]) -> str:
    """Return the command line that does this again, in a clone of the repository, without folders of this machine."""
    shipped = declared_folder().resolve() / "papers"
    names = [f"benchmark/papers/{path.name}" if path.resolve().parent == shipped else path.name for path in files]
    own_data = any(suite.data.source != MADE_ON_THE_SPOT for suite in suites)
    data = ["--data", DATA_WORD] if own_data else []
    return shlex.join(["pneumobench", "papers", *names, *data, *public_overrides(overrides)])


def read_paper(path: Path) -> dict[str, Any]:
    """Return the facts of a paper's file: paper, reported, assumed and suite.

    Raises:
        SettingsError: the file is missing or has other keys.
    """
    try:
        metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    expected = f"expected the keys {', '.join(PAPER_KEYS)}"
    if not isinstance(metadata, dict) or not {"paper", "reported", "suite"} <= set(metadata):
        raise SettingsError(f"{path}: is no file of a paper; {expected}.")
    if unknown := set(metadata) - set(PAPER_KEYS):
        raise SettingsError(f"{path}: unknown key {min(unknown)!r}; {expected}.")
    return metadata


def _differences(original: Suite, suite: Suite) -> list[str]:
    """Say in words which settings of the recipe were changed for this run."""

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        leaves: dict[str, Any] = {}
        for key, value in values.items():
            leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return leaves

    # a search is not part of what is run
    before, after = (flat(dataclasses.replace(one, search=SearchSpec()).plain()) for one in (original, suite))
    changed = [
        f"`{key}` is {after[key]} instead of {before[key]}"
        for key in after
        if after[key] != before[key] and key not in ("name", "data.root")
    ]
    if all(suite.architectures.weights_source(name) == NONE for name in suite.architectures.names):
        changed.insert(0, "random weights, where the paper fine-tunes networks that were pretrained on ImageNet")
    return changed
