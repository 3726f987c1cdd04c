"""The leaderboard as a table in the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from pneumobench.reporting.columns import (
    LUNG_ATTENTION,
    NOTHING,
    POOLED,
    data_words,
    interval_text,
    number,
    weights_notice,
)
from pneumobench.results.leaderboard import Leaderboard

SHOWN = ("auc", "accuracy", "recall", "specificity", "mcc")  # what fits in 100 characters


def terminal_table(board: Leaderboard) -> Table:
    """Return the ranking with the few columns that fit in a terminal."""
    table = Table(
        title=f"Leaderboard: {escape(board.suite)}",
        caption=escape(f"* top group. {weights_notice(board)}\n{data_words(board)}"),
        caption_justify="left",
    )
    columns = [*(column for column in POOLED if column.key in SHOWN), *LUNG_ATTENTION]
    table.add_column("#", justify="right")
    table.add_column("architecture", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in board.rows:
        cells = []
        for column in columns:
            text = number(column.value(row), column.digits)
            if column.key == "auc" and column.interval:
                text = f"{text} {interval_text(column.interval(row))}".strip()
            cells.append(escape(text))
        name = escape(row.architecture) + (" *" if row.in_top_group else "")
        if row.state != "complete":
            name += f"\n{escape(row.status)}"
        style = None if row.state == "complete" else "dim"
        table.add_row(str(row.rank or NOTHING), name, *cells, style=style)
    return table
