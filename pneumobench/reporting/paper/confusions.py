"""Confusion matrices at the threshold from the validation part; of three classes by the largest probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.thresholds import MAIN_RULE, THRESHOLD_RULES
from pneumobench.reporting.columns import number
from pneumobench.reporting.compared import control_name
from pneumobench.reporting.paper.style import (
    INK,
    SMALL_PT,
    Drawn,
    LeftOut,
    complete_networks,
    fitting,
    panel_columns,
    panel_title,
    panels,
    shown_name,
)
from pneumobench.reporting.words import tested_words
from pneumobench.suite.spec import CLASSES
from pneumobench.texts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = Sequence[Sequence[int]]  # images by class (rows) and call (columns)
WORDS: Final = ("normal", "pneumonia")
CELLS_WITH_WORDS: Final = 8  # beside each other on a page; of more, words are cut
SHORT: Final = {"pneumonia": "pneum.", "bacterial": "bact."}
DARK_FROM: Final = 0.6  # share of a row from which the cell is dark and its text white


def confusions(board: Leaderboard) -> Iterator[Drawn | LeftOut]:
    """Draw the matrix of each network that completed all folds, and of the best baseline."""
    best = [row for row in board.rows if row.architecture == control_name(board)]
    networks, left_out = fitting((*complete_networks(board), *best), "the confusion matrices")
    yield from left_out
    matrices = [(row, _two(row.out_of_fold.at_tuned)) for row in networks if row.out_of_fold is not None]
    yield _drawn("confusion", "Confusion matrices", matrices, WORDS, _caption(board, best))
    three = [(row, row.three_classes.confusion) for row in networks if row.three_classes is not None]
    if three:
        caption = (
            f"Images by class and by what they were called, the class of the largest probability, out of fold. "
            f"{tested_words(board)} Shade and percentages are shares of the images of a class."
        )
        yield _drawn("confusion-classes", "Confusion matrices of three classes", three, CLASSES, caption)
    else:
        yield LeftOut(what="the confusion matrices of three classes", why="the run has two classes (task: binary)")


def _two(counts: Confusion) -> Counts:
    return ((counts.tn, counts.fp), (counts.fn, counts.tp))


def _drawn(name: str, title: str, matrices: Sequence[tuple[Row, Counts]], words: Sequence[str], caption: str) -> Drawn:
    figure, axes = panels(len(matrices), line_in=1.55 if len(words) == 2 else 1.75)
    narrow = len(words) * panel_columns(len(matrices)) > CELLS_WITH_WORDS
    ticks = [SHORT.get(word, word) if narrow else word for word in words]
    for one, (row, counts) in zip(axes, matrices, strict=True):
        _matrix(one, counts, small=len(words) > 2)
        one.set_xticks(range(len(words)), ticks, fontsize=SMALL_PT)
        one.set_yticks(range(len(words)), ticks, rotation=90, va="center", fontsize=SMALL_PT)
        panel_title(one, f"{shown_name(row)} (baseline)" if row.is_control else shown_name(row), len(matrices))
    figure.supxlabel("called")
    figure.supylabel("label")
    return Drawn(name=name, title=title, figure=figure, caption=caption)


def _matrix(axes: Axes, counts: Counts, *, small: bool) -> None:
    shares = [[count / max(1, sum(line)) for count in line] for line in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, line in enumerate(counts):
        for x, count in enumerate(line):
            share = shares[y][x]
            axes.text(
                x, y, f"{count:,}\n{number(100 * share, 0 if small else 1)} %", ha="center", va="center",
                fontsize=SMALL_PT, color="white" if share >= DARK_FROM else INK, linespacing=1.1,
            )  # fmt: skip
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _caption(board: Leaderboard, best: Sequence[Row]) -> str:
    baseline = f" The last is {shown_name(best[0])}, the best shortcut baseline." if best else ""
    return (
        f"{counted(board.images, 'image')} by label and by what they were called. {tested_words(board)} Each fold "
        f"has its own threshold, chosen on its validation part ({THRESHOLD_RULES[MAIN_RULE].words}). Shade and "
        "percentages are shares of the images of a label: in the upper left the specificity, in the lower right the "
        f"recall of the leaderboard, tuned.{baseline} Counts of images, not of patients; no intervals."
    )
