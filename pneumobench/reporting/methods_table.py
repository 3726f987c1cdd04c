"""The checks of attribution methods as a table in the terminal."""

from __future__ import annotations

from collections.abc import Collection

from rich.markup import escape
from rich.table import Table

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.reporting.columns import NOTHING, number
from pneumobench.reporting.console import console_table
from pneumobench.reporting.map_words import METHODS_WORDS, verdict_words

HEADINGS = ("images", "LAR adj.", "del.", "ins.", "left")


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
            left = None if found.randomised is None else found.randomised.left["rank_correlation"].mean
            checks = (found.deletion_gain.mean, found.insertion_gain.mean, left)
            cells = [str(found.images), attention, *(number(check, 2) for check in checks)]
            table.add_row(name, *cells, escape(verdict_words(found)))
    return table
