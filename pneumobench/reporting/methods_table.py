"""The checks of attribution methods as a table in the terminal."""

from __future__ import annotations

from collections.abc import Collection

from rich.markup import escape
from rich.table import Table

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.reporting.columns import NOTHING, number
from pneumobench.reporting.console import console_table
from pneumobench.reporting.words import METHODS_WORDS, verdict_words

HEADINGS = ("images", "LAR adj.", "del.", "ins.", "shuffled")


def methods_table(board: Leaderboard, methods: Collection[str], architectures: Collection[str]) -> Table:
    """Return a row for each of these architectures and methods, with the few columns that fit in a terminal."""
    table = console_table(title="Attribution methods on the same images", caption=METHODS_WORDS)
    table.add_column("architecture\n  method", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=12, overflow="fold")
    for row in board.rows:
        if row.architecture not in architectures:
            continue
        table.add_row(escape(row.architecture))
        for found in row.methods:
            if found.method not in methods:
                continue
            name = f"  {found.method}"
            if found.not_available:
                table.add_row(name, *[NOTHING] * len(HEADINGS), "no maps", style="dim")
                continue
            attention = number(found.attention.pneumonia.lar_adjusted) if found.attention else NOTHING
            checks = (found.deletion_gain, found.insertion_gain, found.randomised_similarity)
            cells = [str(found.images), attention, *(number(check.mean, 2) for check in checks)]
            table.add_row(name, *cells, escape(verdict_words(found)))
    return table
