"""What networks score that were trained and tested on a region, as a table in the terminal and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.region_effect import WHOLE, RegionEffect
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import NOTHING, interval_text, number, p_value_text
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.words import data_words, mask_words, weights_notice
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.texts import markdown_text

TABLE: Final = "regions.csv"
HEADINGS: Final = (
    "architecture", "region", "images tested", "AUC [95 %]", f"minus {WHOLE} [95 %]", "p (Holm)",
    "AUC official test folder [95 %]",
)  # fmt: skip
MEANING: Final = (
    "Every network was trained, tuned and tested on images of one region, on the same images, folds and settings. "
    "`without_lungs`, `only_lungs`: masked by the image's own lungs; their outline stays visible as the edge of the "
    "mask. `without_lungs_other_outline`, `only_lungs_other_outline`: masked by the lungs of another patient, drawn "
    "without regard to class among the images tested in the same fold; parts of the image's own lungs stay. "
    "`fixed_region_removed`: without the smallest region that holds 99.5 % of all lung pixels of the fold's training "
    "part, the same for all images: no outline, and next to no lung. `mask_only`: the lung mask, without gray values. "
    "What is masked has the mean gray of what is left. Intervals and p-values: the same patients drawn for both "
    "regions; Holm over all comparisons of this table."
)


def _with_interval(value: float | None, interval: Interval | None, digits: int = 4) -> str:
    return NOTHING if value is None else f"{number(value, digits)} {interval_text(interval, digits)}".strip()


def _cells(effect: RegionEffect) -> list[str]:
    against = effect.against_whole
    return [
        effect.architecture,
        effect.region,
        f"{effect.images:,}",
        _with_interval(effect.auc, effect.auc_interval),
        NOTHING if against is None else _with_interval(against.difference, against.interval),
        NOTHING if against is None else p_value_text(against.p_holm),
        _with_interval(effect.official_auc, effect.official_interval),
    ]


def region_table(effects: Sequence[RegionEffect]) -> Table:
    """Return the table for a terminal of 80 characters: without the intervals of the areas themselves."""
    table = console_table(title="Networks trained and tested on a region")
    for place, heading in enumerate(("architecture", "region", "AUC", f"minus {WHOLE} [95 %]")):
        table.add_column(escape(heading), justify="left" if place < 2 else "right", no_wrap=place > 1)
    for effect in effects:
        against, name = effect.against_whole, effect.architecture
        difference = NOTHING if against is None else _with_interval(against.difference, against.interval, 3)
        table.add_row(
            Name(name.removeprefix(CONTROL_PREFIX)),
            *map(escape, (effect.region, number(effect.auc), difference)),
            style="dim" if name.startswith(CONTROL_PREFIX) else None,
        )
    return table


def write_region_table(
    folder: Path, effects: Sequence[RegionEffect], whole: Leaderboard, mask_tier: str, command: str
) -> Path:
    """Write README.md and regions.csv into a folder and return the first.

    Args:
        folder: where the files go.
        effects: rows of the table.
        whole: leaderboard of the run on whole images.
        mask_tier: where the lung masks come from.
        command: the literal command that made the runs.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    numbers = ("auc", "difference", "official_auc")
    named = [name for column in numbers for name in (column, f"{column}_low", f"{column}_high")]
    writer.writerow(["architecture", "region", "images", *named, "p_value", "p_holm"])
    for effect in effects:
        against = effect.against_whole
        pairs = (
            (effect.auc, effect.auc_interval),
            (None, None) if against is None else (against.difference, against.interval),
            (effect.official_auc, effect.official_interval),
        )
        cells = [cell for value, interval in pairs for cell in (_cell(value), *_ends(interval))]
        p_values = ["", ""] if against is None else [_cell(against.p_value), _cell(against.p_holm)]
        writer.writerow([effect.architecture, effect.region, effect.images, *cells, *p_values])
    write_text(folder / TABLE, buffer.getvalue())
    lines = ["# Networks trained on a region", "", f"> **{weights_notice(whole)}**", "", MEANING, ""]
    lines += [f"Lung masks: {mask_words(mask_tier, whole.source)}. Images without one are left out.", ""]
    lines += [f"Region `{WHOLE}`: {markdown_text(data_words(whole))}", "", f"`{command}`", ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "| --- | --- |" + " ---: |" * (len(HEADINGS) - 2)]
    lines += ["| " + " | ".join(map(markdown_text, _cells(effect))) + " |" for effect in effects]
    write_text(folder / "README.md", "\n".join(lines) + "\n")
    return folder / "README.md"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _ends(interval: Interval | None) -> tuple[str, str]:
    return ("", "") if interval is None else (_cell(interval.low), _cell(interval.high))
