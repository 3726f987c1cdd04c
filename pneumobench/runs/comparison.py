"""A suite under several values of a setting: one run for each, and the table of what the setting changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console, RenderableType
from rich.table import Table

from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import problem_error
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError, SettingsError
from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.lungs.prepared import wanted_squares
from pneumobench.lungs.required import only_with_lungs
from pneumobench.records.comparison import ComparisonRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.comparison import write_comparison
from pneumobench.runs.execution import Execution
from pneumobench.runs.finished import Run
from pneumobench.runs.results import Shown
from pneumobench.runs.run import run
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.variants import Variants


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Comparison(Shown):
    """Scores of the same networks under several values of a setting.

    Args:
        runs: one for each value.
        effects: a row for each architecture and value: scores, and their differences from the value compared with.
        page: the table with its meaning, as a file.
        csv: the numbers, beside it: areas under the curve in [0, 1] and their differences.
        shown: the table as a terminal prints it.
    """

    runs: tuple[Run, ...]
    effects: tuple[VariantEffect, ...]
    page: Path
    csv: Path
    shown: Table

    def tables(self) -> Sequence[RenderableType]:
        """Return the table."""
        return [self.shown]

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers."""
        return pd.read_csv(self.csv)


def compare(
    variants: Variants,
    *,
    output: str | Path = "runs",
    retry_failed: bool = False,
    accept_changes: bool = False,
    execution: Execution | None = None,
    rehash: bool = False,
    command: str = "",
    console: Console | None = None,
) -> Comparison:
    """Run a suite under several values of one setting, and write what it changes into a folder of its own.

    Args:
        variants: the suite under each value, see `variants_of`.
        output: folder of runs; that of the comparison lies beside theirs.
        retry_failed: run jobs again that failed or diverged in an earlier start.
        accept_changes: see `run`.
        execution: see `run`.
        rehash: see `run`.
        command: command line that the tables name.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: a value changes which images there are, or a run lies where the comparison would go.
        DataError: radiographs or lung masks are missing or unreadable, or a split leaks.

    Example:
        >>> import pneumobench as pb
        >>> try:
        ...     pb.compare(pb.variants_of(pb.load_suite("smoke"), regions=["whole"]))
        ... except pb.SettingsError as error:
        ...     print(error)
        --regions whole: expected a further value, to be compared with whole.
    """
    output = Path(output)
    folder = output / variants.name
    if RunFolder(folder).suite_yaml.is_file():
        raise SettingsError(f"{folder} holds a run, where the comparison would go: choose another --name or --output.")
    _require_splits(variants, output, rehash=rehash)
    runs = {
        value: run(
            one, output=output, retry_failed=retry_failed, accept_changes=accept_changes,
            execution=execution, rehash=rehash, command=command, console=console,
        )
        for value, one in variants.suites.items()
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    ComparisonRecord(
        axis=variants.axis,
        setting=variants.setting,
        reference=variants.reference,
        command=command,
        runs={value: f"../{done.path.name}" for value, done in runs.items()},
    ).write(folder)
    made = write_comparison(folder)
    return Comparison(runs=tuple(runs.values()), effects=made.effects, page=made.page, csv=made.csv, shown=made.shown)


def _require_splits(variants: Variants, output: Path, *, rehash: bool) -> None:
    """Split the images under every value before anything is trained.

    Raises:
        SettingsError: a value changes which images there are.
        DataError: the data do not have what a value needs, such as an official test folder.
        LeakError: a split leaks.
    """
    first = variants.suites[variants.reference]
    for plugin in first.architectures.plugins:  # the layout of the data may be one of theirs
        load_plugin_file(Path(plugin))
    images = ""
    for value, one in {variants.reference: first, **variants.suites}.items():
        index, problems = read_radiographs(one, output / ".cache", squares=wanted_squares(one.data), rehash=rehash)
        if problems:
            raise problem_error(index.root, problems)
        index = only_with_lungs(index, one.data, output / ".cache")
        images = images or index.hash()
        option = f"--{variants.axis} {value if variants.axis != 'vary' else variants.asked}"
        if index.hash() != images:
            raise SettingsError(
                f"{option}: {variants.setting} {value} is of other images than {variants.reference}, and only the "
                "same images are compared."
            )
        try:
            make_folds(index, one.folds, one.seed)
        except DataError as error:
            raise type(error)(f"{option}: {error}") from None
