"""One suite under several regions of its images: networks trained and tested on each, and what each is worth."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from pneumobench.datasets.index import Index
from pneumobench.errors import SettingsError
from pneumobench.leaderboard.board import Leaderboard as Ranking
from pneumobench.leaderboard.region_effect import WHOLE, region_effects
from pneumobench.lungs.tiers import mask_tier
from pneumobench.reporting.region_table import TABLE, region_table, write_region_table
from pneumobench.runs.comparison import Comparison
from pneumobench.runs.execution import Execution
from pneumobench.runs.run import run
from pneumobench.suite.names import DEFAULT_CONTROLS
from pneumobench.suite.regions import Region
from pneumobench.suite.spec import DataSpec, Suite

# of the shipped controls the one that reads what a region shows; the others see the same whatever it is
CONTROLS_OF_REGIONS: Final = ("thumbnail",)


def run_regions(
    suite: Suite,
    regions: Sequence[str],
    *,
    output: str | Path = "runs",
    retry_failed: bool = False,
    accept_changes: bool = False,
    execution: Execution | None = None,
    rehash: bool = False,
    command: str = "",
    console: Console | None = None,
) -> Comparison:
    """Run a suite on each region, and write what each is worth into output/NAME-regions.

    All runs have the same images, those with a lung mask, and the same folds.

    Args:
        suite: what to run.
        regions: see `DataSpec.region`; `whole` among them, which the others are compared with.
        output: folder of runs.
        retry_failed: run jobs again that failed or diverged in an earlier start.
        accept_changes: see `run`.
        execution: see `run`.
        rehash: see `run`.
        command: command line that the tables name.
        console: where progress is shown; None = the terminal or notebook.

    Raises:
        SettingsError: a region is not known, or the suite's other settings do not fit it.
        DataError: radiographs or lung masks are missing or unreadable, or a split leaks.
    """
    output = Path(output)
    runs = {
        one.data.region: run(
            one, output=output, retry_failed=retry_failed, accept_changes=accept_changes,
            execution=execution, rehash=rehash, command=command, console=console,
        )
        for one in suites_by_region(suite, regions)
    }  # fmt: skip
    boards: dict[str, Ranking] = {region: done.leaderboard.board for region, done in runs.items()}
    index, _ = runs[WHOLE].folder.index_and_folds()
    effects = region_effects(boards, index.table.set_index("image_id")["group"])
    page = write_region_table(
        output / f"{suite.name}-regions", effects, boards[WHOLE], _mask_tier(suite.data, index), command
    )
    return Comparison(
        runs=tuple(runs.values()), effects=effects, page=page, csv=page.parent / TABLE, shown=region_table(effects)
    )


def _mask_tier(data: DataSpec, index: Index) -> str:
    """Return where the masks of all regions come from."""
    masked = dataclasses.replace(data, require_lung_mask=True)
    return mask_tier(masked, drawn_masks=bool((index.table["lung_mask"] != "").any()))


def suites_by_region(suite: Suite, regions: Sequence[str]) -> list[Suite]:
    """Return a suite once for each region, named NAME-REGION, whole images first, and otherwise equal.

    All use images with a lung mask alone, so that their images and folds are the same. Controls that see the same
    whatever the region is stand in the run of whole images only.

    Raises:
        SettingsError: a region is not known or named twice, or the suite's other settings do not fit it.
    """
    known = typing.get_args(Region)
    asked = f"--regions {','.join(regions)}"
    if unknown := [region for region in regions if region not in known]:
        raise SettingsError(f"--regions {unknown[0]}: expected some of {', '.join(known)}.")
    if len(set(regions)) < len(regions):
        raise SettingsError(f"{asked}: expected each region once.")
    if WHOLE not in regions:
        raise SettingsError(f"{asked}: expected {WHOLE} among them, to compare with.")
    if len(regions) == 1:
        raise SettingsError(f"{asked}: expected a further region, to be compared with {WHOLE}.")
    reading = tuple(
        name for name in suite.controls.names if name in CONTROLS_OF_REGIONS or name not in DEFAULT_CONTROLS
    )
    suites = []
    for region in sorted(regions, key=lambda region: region != WHOLE):
        controls = suite.controls
        if region != WHOLE:
            controls = dataclasses.replace(controls, names=reading)
        try:
            data = dataclasses.replace(suite.data, region=typing.cast("Region", region), require_lung_mask=True)
            suites.append(dataclasses.replace(suite, name=f"{suite.name}-{region}", data=data, controls=controls))
        except SettingsError as error:
            raise SettingsError(f"--regions {region}: {error}") from None
    return suites
