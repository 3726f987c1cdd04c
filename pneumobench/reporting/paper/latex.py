"""Tables of text as LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pneumobench.reporting.main_tables import Cells
from pneumobench.texts import safe_text

LONG_TABLE: Final = 45  # rows from which a table breaks across pages
# what LaTeX would read as its own, and signs that pdflatex has no letter for
SIGNS: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "*": r"$\ast$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "…": r"\ldots{}",
    "\u00a0": "~",
}
NUMBER: Final = frozenset("0123456789.,−–±<[]? *†‡")  # of which cells of numbers are made, with their marks


def latex_text(text: str) -> str:
    r"""Return text on one line as LaTeX shows it; letters outside of ASCII stay, as UTF-8.

    >>> latex_text("vit_b † −0.5 ≤ 95 % & more")
    'vit\\_b $\\dagger$ $-$0.5 $\\leq$ 95 \\% \\& more'
    """
    plain = safe_text(" ".join(text.split()))
    parts = [SIGNS.get(character, character) for character in plain]
    for place in range(1, len(plain)):
        if plain[place - 1] == plain[place] == "-":  # two would be a dash
            parts[place] = "{}-"
    return "".join(parts)


def latex_table(table: Cells, comments: Sequence[str]) -> str:
    r"""Return a table for `\input`: a tabular, or a longtable of many rows, with comments above it.

    Args:
        table: its cells.
        comments: lines on what it is and where it comes from.
    """
    import pandas as pd

    long = len(table.rows) > LONG_TABLE
    # a bracket first in a row would be taken for the space that `\\` may be followed by
    body = [[_cell(cell) for cell in row] for row in table.rows]
    head = [_cell(cell) for cell in table.head]
    needs = r"% needs \usepackage{booktabs}" + (r" and \usepackage{longtable}" if long else "")
    frame = pd.DataFrame(body, columns=pd.Index(head), dtype=object)
    styler = frame.style.hide(axis="index")
    text = styler.to_latex(
        hrules=True, column_format=_columns(table), environment="longtable" if long else None
    )  # fmt: skip
    return "\n".join([*(f"% {' '.join(line.split())}" for line in comments), needs, text.rstrip("\n")]) + "\n"


def _cell(text: str) -> str:
    escaped = latex_text(text)
    return f"{{{escaped}}}" if escaped.startswith("[") else escaped


def _columns(table: Cells) -> str:
    """Return the alignment of each column: numbers at the right, words at the left."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.head)
    return "".join("r" if _is_number(column) else "l" for column in columns)


def _is_number(column: Sequence[str]) -> bool:
    return bool(column) and all(set(cell) <= NUMBER for cell in column)
