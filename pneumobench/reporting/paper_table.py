"""Paper against reproduction as a table, in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.reproduction import Reproduction
from pneumobench.reporting.columns import NOTHING, interval_text, number
from pneumobench.reporting.console import Name, console_table
from pneumobench.texts import counted, markdown_text

HEADINGS: Final = ("System", "Metric", "Printed", "Reproduced [95 %]", "Printed numbers")
MEANING: Final = (
    "Each system of each paper: what is printed, what its recipe gives here at probability 0.5 with a 95 % interval "
    "over patients, and whether the printed numbers can be true. The two are comparable only as far as the differences "
    "listed below allow."
)


@dataclass(frozen=True, kw_only=True)
class PaperResult:
    """One paper.

    Args:
        title: its title.
        run: name of the run of its recipe.
        reproductions: its systems.
        assumed: what the paper does not give and what was assumed, by key.
        differences: what else differs from the paper, in words.
    """

    title: str
    run: str
    reproductions: tuple[Reproduction, ...]
    assumed: Mapping[str, str]
    differences: tuple[str, ...]


def _rows(result: PaperResult) -> list[list[str]]:
    rows = []
    for one in result.reproductions:
        for place, metric in enumerate(one.metrics):
            here = NOTHING
            if metric.value is not None:
                here = f"{number(metric.value)} {interval_text(metric.interval)}".strip()
            first = place == 0
            rows.append(
                [one.system if first else "", metric.metric.replace("_", " "), metric.printed, here,
                 one.verdict.kind if first else ""]
            )  # fmt: skip
    return rows


def paper_table(result: PaperResult) -> Table:
    """Return the table of a paper for a terminal."""
    table = console_table(result.title)
    for place, heading in enumerate(HEADINGS):
        table.add_column(escape(heading), justify="right" if place in (2, 3) else "left")
    for system, *row in _rows(result):
        table.add_row(Name(system), *map(escape, row))
    return table


def write_paper_table(folder: Path, results: Sequence[PaperResult], command: str) -> Path:
    """Write a part for each paper and the page of all whose parts lie there, and return the page.

    Args:
        folder: folder of runs: the page is papers.md in it, a part papers/RUN.md.
        results: papers that were run now; the part of each takes the place of the one of its last run.
        command: the literal command that ran them.
    """
    for result in results:
        lines = [f"## {markdown_text(result.title)}", "", f"`{markdown_text(command)}`", ""]
        lines += ["| " + " | ".join(HEADINGS) + " |", "| --- | --- | ---: | ---: | --- |"]
        lines += ["| " + " | ".join(map(markdown_text, row)) + " |" for row in _rows(result)]
        lines += ["", "What the claims checker says:", ""]
        lines += [
            f"- {markdown_text(' '.join([f'{one.system}:', *one.verdict.words]))}" for one in result.reproductions
        ]
        scored = [
            f"- {markdown_text(one.system)}: {counted(one.images, 'image')} scored here by {one.architecture}, AUC "
            f"{number(one.auc)}"
            for one in result.reproductions
            if one.auc is not None
        ]
        lines += ["", "Here:", "", *scored] if scored else []
        lines += ["", "Differences from the paper:", ""]
        lines += [f"- {words}" for words in result.differences]
        lines += [f"- assumed: `{key}`: {markdown_text(why)}" for key, why in result.assumed.items()]
        write_text(folder / "papers" / f"{result.run}.md", "\n".join([*lines, ""]))
    parts = [path.read_text(encoding="utf-8") for path in sorted((folder / "papers").glob("*.md"))]
    page = folder / "papers.md"
    write_text(page, "\n".join(["# Paper against reproduction", "", MEANING, "", *parts]))
    return page
