"""The table of external data: the terminal, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.external import ExternalScore
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import interval_text, number

HEADINGS: Final = (
    "Architecture", "AUC [95 %]", "single networks", "own data", "drop [95 %]", "Accuracy", "Recall", "Specificity",
    "F1", "MCC", "MCC, validation threshold", "ECE",
)  # fmt: skip
IN_TERMINAL: Final = {
    "Architecture": "architecture",
    "AUC": "AUC",
    "own data": "own data",
    "drop [95 %]": "drop [95 %]",
    "Recall": "Recall",
    "Specificity": "Spec.",
}  # what fits in 80 characters
MEANING: Final = (
    "AUC and decisions are those of the mean probability of the networks asked; none of them was trained on these "
    "images. `single networks`: mean of their own AUC. `own data`: AUC out of fold on the run's own images, where each "
    "is scored by one network, too; the drop compares these two. Intervals: bootstrap over the patients of both "
    "sources. Decisions at probability 0.5, and at the mean of the thresholds that its validation parts chose."
)


def _cells(score: ExternalScore) -> dict[str, str]:
    at = score.at_half
    values = (
        score.architecture,
        f"{number(score.auc)} {interval_text(score.auc_interval)}",
        number(score.single_auc),
        number(score.internal_auc),
        f"{number(score.drop)} {interval_text(score.drop_interval)}",
        *(
            number(value)
            for value in (at.accuracy, at.recall, at.specificity, at.f1, at.mcc, score.at_tuned.mcc, score.ece)
        ),
    )
    return dict(zip(HEADINGS, values, strict=True))


def external_table(name: str, scores: Sequence[ExternalScore]) -> Table:
    """Return the table for a terminal."""
    table = Table(
        title=f"External data: {escape(name)}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading, short in IN_TERMINAL.items():
        first = heading == HEADINGS[0]
        table.add_column(escape(short), justify="left" if first else "right", overflow="fold", no_wrap=not first)
    for score in scores:
        cells = _cells(score) | {"AUC": number(score.auc)}
        table.add_row(*(escape(cells[heading]) for heading in IN_TERMINAL))
    return table


def write_external_table(folder: Path, name: str, what: str, scores: Sequence[ExternalScore], command: str) -> Path:
    """Write README.md and scores.csv into a folder and return the first.

    Args:
        folder: of the external data, inside the run.
        name: of the data.
        what: counts of images and patients, in words.
        scores: best first.
        command: command line that made them.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    plain = ("auc", "single_auc", "internal_auc", "drop", "brier", "ece")
    points = ("accuracy", "precision", "recall", "specificity", "f1", "mcc")
    writer.writerow(
        ["architecture", "folds", "images", *plain, "auc_low", "auc_high", "drop_low", "drop_high", *points,
         *(f"{point}_tuned" for point in points)]
    )  # fmt: skip
    for score in scores:
        numbers = [getattr(score, key) for key in plain]
        for interval in (score.auc_interval, score.drop_interval):
            numbers += _ends(interval)
        numbers += [getattr(at, point) for at in (score.at_half, score.at_tuned) for point in points]
        writer.writerow([score.architecture, score.folds, score.images, *(f"{value:.6f}" for value in numbers)])
    write_text(folder / "scores.csv", buffer.getvalue())
    lines = [f"# External data: {name}", "", what, "", MEANING, "", f"`{command}`", ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "| --- " + "| ---: " * (len(HEADINGS) - 1) + "|"]
    lines += ["| " + " | ".join(_cells(score).values()) + " |" for score in scores]
    write_text(folder / "README.md", "\n".join(lines) + "\n")
    return folder / "README.md"


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
