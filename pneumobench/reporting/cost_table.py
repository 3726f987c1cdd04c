"""What architectures take, measured in one pass: the terminal, Markdown, CSV and the page."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.records.cost_table import COST_FILES, ArchitectureCost, CostTable
from pneumobench.reporting.columns import number
from pneumobench.reporting.console import Name, console_table
from pneumobench.texts import markdown_text

Values = Callable[[ArchitectureCost, CostTable], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class CostColumn:
    """One column of the table.

    Args:
        key: its name in cost.csv.
        heading: what stands above it.
        values: the number of each round, or one.
        digits: digits after the point.
        short: heading in a terminal; empty = not shown there.
    """

    key: str
    heading: str
    values: Values
    digits: int
    short: str = ""

    def value(self, one: ArchitectureCost, table: CostTable) -> float | None:
        """Return the median over rounds; None where it was not measured."""
        return None if one.reason else statistics.median(self.values(one, table))

    def ends(self, one: ArchitectureCost, table: CostTable) -> tuple[float, float] | None:
        """Return the lowest and the highest round; None where there is one number or none."""
        values = () if one.reason else self.values(one, table)
        return (min(values), max(values)) if len(values) > 1 else None

    def text(self, one: ArchitectureCost, table: CostTable) -> str:
        """Return the cell as people read it."""
        ends = self.ends(one, table)
        shown = number(self.value(one, table), self.digits)
        return shown if ends is None else f"{shown} [{', '.join(number(end, self.digits) for end in ends)}]"


def _milliseconds(name: str) -> Values:
    return lambda one, _: [1000 * seconds for seconds in getattr(one, name)]


def _per_second(name: str, images: Callable[[CostTable], int]) -> Values:
    return lambda one, table: [images(table) / seconds for seconds in getattr(one, name)]


COST_COLUMNS: Final = (
    CostColumn(
        key="parameters_m", heading="Parameters (M)", short="params (M)",
        values=lambda one, _: (one.parameters / 1e6,), digits=1,
    ),
    CostColumn(key="gflops", heading="GFLOPs / image", values=lambda one, _: (one.flops_per_image / 1e9,), digits=2),
    CostColumn(
        key="step_ms", heading="Step (ms)", short="step (ms)", values=_milliseconds("step_seconds"), digits=1
    ),
    CostColumn(
        key="single_ms", heading="Latency, 1 image (ms)", short="1 image (ms)",
        values=_milliseconds("single_seconds"), digits=1,
    ),
    CostColumn(
        key="single_images_per_second", heading="Images / s, one at a time",
        values=_per_second("single_seconds", lambda _: 1), digits=0,
    ),
    CostColumn(key="batch_ms", heading="Latency, batch (ms)", values=_milliseconds("batch_seconds"), digits=1),
    CostColumn(
        key="batch_images_per_second", heading="Images / s, batch", short="images / s",
        values=_per_second("batch_seconds", lambda table: table.scored_batch), digits=0,
    ),
    CostColumn(
        key="peak_memory_mib", heading="Peak memory (MiB)", short="peak MiB",
        values=lambda one, _: one.peak_memory_mib, digits=0,
    ),
    CostColumn(key="drift_percent", heading="Drift (%)", values=lambda one, _: (100 * one.drift(),), digits=1),
)  # fmt: skip


def cost_meaning(table: CostTable) -> str:
    """Say what the numbers are."""
    return (
        f"Each architecture was asked once in each of {table.rounds} rounds, all of them in turn, in a process of its "
        "own; a cell is the median over rounds [lowest, highest round], seconds of a round being medians themselves. "
        f"Step: forward, loss, backward and optimiser on {table.setting['batch_size']} random images that lie ready; "
        "loading and augmentation are not in it, as they are in the step of a job's record. Latency and images / s: "
        f"from images in main memory to logits there, one at a time and {table.scored_batch} together. Peak memory: "
        "what the network, its gradients, the optimiser and one batch add to their process, on CUDA to the device. "
        "Drift: step of the last round against the first; it should be about 0 for all."
    )


def cost_facts(table: CostTable) -> str:
    """Say on what it was measured."""
    hardware, setting = table.hardware, table.setting
    channels = "gray" if setting["channels"] == 1 else "three channels"
    return (
        f"{hardware['device']}, {hardware['accelerator']}, threads {hardware['threads']} of {hardware['cores']} cores, "
        f"precision {hardware['precision']}, {hardware['memory_format']}, compile {hardware['compile']}; "
        f"{setting['image_side_px']} × {setting['image_side_px']} px, {channels}, batch {setting['batch_size']}, "
        f"{setting['optimizer']}; torch {table.software['torch']}, timm {table.software['timm']}, pneumobench "
        f"{table.software['pneumobench']} (commit {table.software['commit']})."
    )


def quiet_words(table: CostTable) -> str:
    """Say whether the machine looked quiet, and why not."""
    load = "not known" if table.load_average is None else f"{table.load_average:.1f}"
    drift = f"Load average before the first measurement: {load}. Median drift {number(100 * table.drift(), 1)} %."
    if not table.warnings():
        return f"The machine looked quiet. {drift}"
    return f"The machine was busy: {'; '.join(table.warnings())}. Measure again on a quiet one. {drift}"


def cost_rows(table: CostTable) -> list[list[str]]:
    """Return the cells of every architecture, its name first."""
    return [[one.name, *[column.text(one, table) for column in COST_COLUMNS]] for one in table.architectures]


def cost_console(table: CostTable) -> Table:
    """Return the table for a terminal."""
    shown = [column for column in COST_COLUMNS if column.short]
    made = console_table(title=f"Cost: {table.suite}", caption=quiet_words(table))
    made.add_column("architecture")
    for column in shown:
        made.add_column(escape(column.short), justify="right", no_wrap=True)
    for one in table.architectures:
        cells = [number(column.value(one, table), column.digits) for column in shown]
        made.add_row(Name(one.name), *cells)
    return made


def cost_markdown(table: CostTable) -> list[str]:
    """Return the lines of the table."""
    head = ["architecture", *[column.heading for column in COST_COLUMNS]]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(COST_COLUMNS)]
    lines += ["| " + " | ".join(map(markdown_text, cells)) + " |" for cells in cost_rows(table)]
    failed = [one for one in table.architectures if one.reason]
    return [*lines, *[f"\nNot measured: {one.name}, {markdown_text(one.reason)}." for one in failed]]


def write_cost_page(folder: Path, table: CostTable) -> Path:
    """Write cost.csv and README.md into a folder and return the second."""
    for name, text in cost_texts(table).items():
        write_text(folder / name, text)
    return folder / COST_FILES[2]


def cost_texts(table: CostTable) -> dict[str, str]:
    """Return the text of cost.csv and README.md by name."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    keys = [column.key for column in COST_COLUMNS]
    writer.writerow(["architecture", *[name for key in keys for name in (key, f"{key}_low", f"{key}_high")]])
    for one in table.architectures:
        cells = []
        for column in COST_COLUMNS:
            cells += [column.value(one, table), *(column.ends(one, table) or (None, None))]
        writer.writerow([one.name, *["" if cell is None else f"{cell:.6g}" for cell in cells]])
    lines = [f"# Cost: {markdown_text(table.suite)}", "", markdown_text(quiet_words(table)), ""]
    lines += [cost_meaning(table), "", markdown_text(cost_facts(table)), "", f"`{table.command}`", ""]
    return {COST_FILES[1]: buffer.getvalue(), COST_FILES[2]: "\n".join([*lines, *cost_markdown(table)]) + "\n"}
