"""The leaderboard as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.reporting.class_columns import THREE_CLASS_WORDS, THREE_CLASSES
from pneumobench.reporting.columns import LUNG_ATTENTION, NOTHING, OUT_OF_FOLD, interval_text, number
from pneumobench.reporting.compared import controls_words
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.map_words import attention_words
from pneumobench.reporting.words import data_words, leak_notice, marks, weights_notice
from pneumobench.suite.names import CONTROL_PREFIX

# what fits in 80 characters, with headings short enough for it
KIND_LETTERS = {"control": "c", "ensemble": "e"}  # in place of the rank
SHOWN_CLASSES = {
    "macro_auc": "Macro AUC",
    "three_class_accuracy": "Acc.",
    "macro_f1": "Macro F1",
    "bacterial_auc": "Bact./viral",
}
SHOWN = {"auc": "AUC", "recall": "Recall", "specificity": "Spec.", "mcc": "MCC", "lar_adjusted": "LAR adj."}


def terminal_table(board: Leaderboard) -> Table:
    """Return the ranking with the few columns that fit in a terminal."""
    table = console_table(
        title=f"Leaderboard: {board.suite}",
        caption=(
            "\n".join(filter(None, (weights_notice(board), leak_notice(board), data_words(board)))) + "\n"
            "AUC within folds with its 95 % interval by patient. * top group: not told apart from the first. c "
            "shortcut baseline (control), e ensemble.\n"
            + "\n".join(filter(None, (controls_words(board), attention_words(board))))
        ),
    )
    columns = [column for column in (*OUT_OF_FOLD, *LUNG_ATTENTION) if column.key in SHOWN]
    table.add_column("#", justify="right", min_width=2)
    table.add_column("architecture")
    for column in columns:
        table.add_column(SHOWN[column.key], justify="right", no_wrap=True)
    for row in board.rows:
        cells = []
        for column in columns:
            text = number(column.value(row), column.digits)
            if column.key == "auc" and column.interval:
                text = f"{text} {interval_text(column.interval(row))}".strip()
            cells.append(escape(text + column.mark(row)))
        # the first column says that it is a control; without the prefix it stays on one line
        name = row.architecture.removeprefix(CONTROL_PREFIX) + marks(row)
        if row.state != "complete":
            name += f"\n{row.status}"
        style = "dim" if row.is_control or row.state != "complete" else None
        table.add_row(KIND_LETTERS.get(row.kind, str(row.rank or NOTHING)), Name(name), *cells, style=style)
    return table


def three_class_table(board: Leaderboard) -> Table | None:
    """Return the scores of normal, bacterial and viral that fit in a terminal; None for a task of two classes."""
    rows = [row for row in board.rows if row.three_classes is not None]
    if not rows:
        return None
    table = console_table(
        title="Normal, bacterial, viral",
        caption=THREE_CLASS_WORDS,
    )
    columns = [column for column in THREE_CLASSES if column.key in SHOWN_CLASSES]
    table.add_column("architecture")
    for column in columns:
        table.add_column(SHOWN_CLASSES[column.key], justify="right", no_wrap=True)
    for row in rows:
        cells = []
        for column in columns:
            text = number(column.value(row), column.digits)
            if column.key == "macro_auc" and column.interval:
                text = f"{text} {interval_text(column.interval(row))}".strip()
            cells.append(escape(text))
        name = Name(row.architecture.removeprefix(CONTROL_PREFIX))
        table.add_row(name, *cells, style="dim" if row.is_control or row.state != "complete" else None)
    return table


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the ranking, and for three classes their scores."""
    console.print(terminal_table(board))
    if (classes := three_class_table(board)) is not None:
        console.print(classes)
