"""The table of external data: the terminal, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.external import ExternalScore, inverted
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.table import COUNT_METRICS, METRICS
from pneumobench.reporting.columns import interval_text, number
from pneumobench.reporting.console import Name, console_table
from pneumobench.texts import markdown_text

SCORES, PAGE = "scores.csv", "README.md"
# The AUC comes first, with what it is compared with, then every other metric of the table.
OTHERS: Final = tuple(metric for metric in METRICS.values() if metric.name != "auc")
HEADINGS: Final = (
    "Architecture", "AUC [95 %]", "single networks", "own data", "drop [95 %]", *(metric.heading for metric in OTHERS),
    "MCC, validation threshold",
)  # fmt: skip
IN_TERMINAL: Final = {
    "Architecture": "architecture",
    "AUC": "AUC",
    "single networks": "single",
    "own data": "own data",
    "drop [95 %]": "drop [95 %]",
    "Recall": "Recall",
    "Specificity": "Spec.",
}  # what fits in 80 characters
INVERTED: Final = "inverted"
INVERTED_WORDS: Final = (
    "inverted where its interval lies wholly below 0.5: normal images have the higher scores; the order is not lost, "
    "but the wrong way round"
)
MEANING_IN_TERMINAL: Final = (
    "AUC, recall and specificity: mean probability of the networks asked. single: mean of their own AUC; drop: own "
    "data minus single."
)
MEANING: Final = (
    "AUC and decisions are those of the mean probability of the networks asked; none of them was trained on these "
    "images. `single networks`: mean of their own AUC. `own data`: AUC within folds on the run's own images, where "
    "each is scored by one network, too; the drop compares these two. Intervals are over the patients of both "
    "sources. Decisions at probability 0.5, and at the mean of the thresholds that its validation parts chose. "
    f"An AUC is called {INVERTED_WORDS}."
)


def external_auc(value: float, interval: Interval) -> str:
    """Return an area on external images with its interval, and whether it is inverted.

    >>> external_auc(0.426, Interval(low=0.382, high=0.471))
    '0.426 [0.382, 0.471] inverted'
    """
    return f"{number(value)} {interval_text(interval)}" + (f" {INVERTED}" if inverted(interval) else "")


def _cells(score: ExternalScore) -> dict[str, str]:
    values = (
        score.architecture,
        external_auc(score.auc, score.auc_interval),
        number(score.single_auc),
        number(score.internal_auc),
        f"{number(score.drop)} {interval_text(score.drop_interval)}",
        *(number(score.value(metric.name), metric.digits) for metric in OTHERS),
        number(score.at_tuned.value("mcc")),
    )
    return dict(zip(HEADINGS, values, strict=True))


def external_table(name: str, scores: Sequence[ExternalScore]) -> Table:
    """Return the table for a terminal; an inverted AUC is told beside the name, where there is room."""
    some_inverted = any(score.inverted for score in scores)
    table = console_table(
        title=f"External data: {name}",
        caption=f"{MEANING_IN_TERMINAL} AUC {INVERTED_WORDS}." if some_inverted else MEANING_IN_TERMINAL,
    )
    for heading, short in IN_TERMINAL.items():
        first = heading == HEADINGS[0]
        table.add_column(escape(short), justify="left" if first else "right", no_wrap=not first)
    for score in scores:
        cells = _cells(score) | {"AUC": number(score.auc)}
        numbers = [escape(cells[heading]) for heading in IN_TERMINAL if heading != HEADINGS[0]]
        table.add_row(Name(score.architecture + (f" ({INVERTED})" if score.inverted else "")), *numbers)
    return table


def write_external_table(
    folder: Path, name: str, what: str, scores: Sequence[ExternalScore], command: str, notes: Sequence[str] = ()
) -> Path:
    """Write README.md and scores.csv into the folder of external data inside a run, and return the first.

    The other arguments are those of `external_texts`.
    """
    for file, text in external_texts(name, what, scores, command, notes).items():
        write_text(folder / file, text)
    return folder / PAGE


def external_texts(
    name: str, what: str, scores: Sequence[ExternalScore], command: str, notes: Sequence[str] = ()
) -> dict[str, str]:
    """Return the text of scores.csv and README.md by name.

    Args:
        name: of the data.
        what: counts of images and patients, in words.
        scores: best first.
        command: command line that made them.
        notes: warnings that stand above the table.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    areas = ("auc", "single_auc", "internal_auc", "drop")
    ends = ("auc_low", "auc_high", "drop_low", "drop_high")
    writer.writerow(
        ["architecture", "folds", "images", *areas, *ends, *(metric.name for metric in OTHERS),
         *(f"{name}_tuned" for name in COUNT_METRICS), INVERTED]
    )  # fmt: skip
    for score in scores:
        numbers = [getattr(score, key) for key in areas]
        for interval in (score.auc_interval, score.drop_interval):
            numbers += [interval.low, interval.high]
        numbers += [score.value(metric.name) for metric in OTHERS]
        numbers += [score.at_tuned.value(name) for name in COUNT_METRICS]
        cells = ("" if math.isnan(value) else f"{value:.6f}" for value in numbers)
        writer.writerow([score.architecture, score.folds, score.images, *cells, str(score.inverted).lower()])
    lines = [f"# External data: {markdown_text(name)}", "", markdown_text(what), "", MEANING, "", f"`{command}`", ""]
    lines += [line for note in notes for line in (f"> **{markdown_text(note)}**", "")]
    lines += ["| " + " | ".join(HEADINGS) + " |", "| --- " + "| ---: " * (len(HEADINGS) - 1) + "|"]
    lines += ["| " + " | ".join(map(markdown_text, _cells(score).values())) + " |" for score in scores]
    return {SCORES: buffer.getvalue(), PAGE: "\n".join(lines) + "\n"}
