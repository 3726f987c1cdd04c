"""The main tables as cells of text, each made once: for Markdown, and for papers as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.reporting.columns import (
    LUNG_ATTENTION,
    NOTHING,
    OFFICIAL,
    OUT_OF_FOLD,
    Column,
    interval_text,
    number,
    p_value_text,
)
from pneumobench.reporting.words import KIND_WORDS, marks, weights_words
from pneumobench.texts import markdown_text

DIFFERENCE_DIGITS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A table of text.

    Args:
        head: what stands above the columns.
        rows: each as long as `head`.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it as Markdown, without an end of line.

        >>> print(Cells(head=("a", "b"), rows=(("1", "x|y"),)).markdown())
        | a | b |
        | --- | --- |
        | 1 | x\\|y |
        """
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(markdown_text(cell) for cell in line) + " |" for line in lines)


def cells(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Cells:
    """Return a table of text."""
    return Cells(head=tuple(head), rows=tuple(tuple(row) for row in rows))


def with_interval(column: Column, row: Row) -> str:
    """Return the number of a row in a column, with its mark and its interval: `0.994 [0.993, 0.996]`."""
    text = number(column.value(row), column.digits) + column.mark(row)
    interval = interval_text(column.interval(row), column.digits) if column.interval else ""
    return f"{text} {interval}" if interval else text


def ranking_cells(board: Leaderboard) -> Cells:
    """Return the main table: networks, ensembles and baselines, best first, out of fold."""
    columns = [*OUT_OF_FOLD, *LUNG_ATTENTION]
    rows = [
        [
            KIND_WORDS.get(row.kind, str(row.rank or NOTHING)),
            row.architecture + marks(row),
            *[with_interval(column, row) for column in columns],
            weights_words(row.weights_origin) if row.weights_origin else NOTHING,
            row.status,
        ]
        for row in board.rows
    ]
    return cells(["#", "architecture", *[column.heading for column in columns], "weights", "status"], rows)


def official_cells(board: Leaderboard) -> Cells:
    """Return the table of the separate test images, in the order of the ranking."""
    rows = []
    for row in board.rows:
        if row.official is None:
            continue
        single = row.official_fold_spread["auc"]
        found = [with_interval(column, row) for column in OFFICIAL]
        rows.append([row.architecture, *found, f"{number(single.mean)} ± {number(single.sd)}"])
    return cells(["architecture", *[column.heading for column in OFFICIAL], "AUC, single models"], rows)


def pair_cells(board: Leaderboard) -> Cells:
    """Return the differences in AUC of all pairs of complete networks."""
    digits = DIFFERENCE_DIGITS
    rows = [
        [
            pair.better,
            pair.worse,
            f"{number(pair.difference, digits)} [{number(pair.low, digits)}, {number(pair.high, digits)}]",
            p_value_text(pair.p_value),
            p_value_text(pair.p_holm),
        ]
        for pair in board.differences
    ]
    return cells(["better", "worse", "difference in AUC", "p", "p, Holm"], rows)
