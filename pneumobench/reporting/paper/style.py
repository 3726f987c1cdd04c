"""How figures for papers look: sizes at which they are printed, fonts, hues, and the same bytes on every machine."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.reporting.area_figure import COLOURS
from pneumobench.suite.names import CONTROL_PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN: Final = 3.3  # one column of a page of two
PAGE_IN: Final = 7.0  # both columns
TALLEST_IN: Final = 9.0  # what a page holds above its caption
FONT_PT: Final = 7.5
SMALL_PT: Final = 7.0  # the smallest there is, at the final size
PNG_DPI: Final = 300
HUES: Final = COLOURS[:-1]  # black is that of the baseline
INK, PALE, FAINT = "#222222", "#8c8c8c", "#dddddd"
SHADE: Final = "#e3ecf5"
DASHES: Final[tuple[Any, ...]] = (
    "-",
    (0, (5, 1.5)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (1.2, 1)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)

STYLE: Final[dict[str, Any]] = {
    "font.family": ["DejaVu Sans", "sans-serif"],  # comes with matplotlib: the same widths everywhere
    "font.size": FONT_PT,
    "axes.titlesize": FONT_PT,
    "axes.labelsize": FONT_PT,
    "figure.labelsize": FONT_PT,
    "legend.fontsize": SMALL_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "text.parse_math": False,  # a name with dollar signs is a name
    "pdf.fonttype": 42,  # TrueType, which journals ask for
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "pneumobench",
    "savefig.dpi": PNG_DPI,
}

Format: TypeAlias = Literal["pdf", "svg", "png"]
FORMATS: Final[tuple[Format, ...]] = ("pdf", "svg", "png")


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A figure.

    Args:
        name: of its files, without suffix.
        title: a few words.
        caption: what it shows and what it does not, without markup.
        figure: at its final size.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What a run has no data for, and why, in words."""

    what: str
    why: str


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """Draw with `STYLE` and matplotlib's own defaults, whatever the machine's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", STYLE))
        yield


def figure_bytes(figure: Figure, kind: Format, metadata: Mapping[str, Any]) -> bytes:
    """Return a figure as a file; the same figure gives the same bytes. Within `paper_style` alone."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=dict(metadata))
    return buffer.getvalue()


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure whose parts make room for each other."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width_in, min(height_in, TALLEST_IN)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    return figure


def shown_name(row: Row) -> str:
    """Return the name of a row as figures write it; that of a baseline without its prefix."""
    return row.architecture.removeprefix(CONTROL_PREFIX)


def complete_networks(board: Leaderboard) -> tuple[Row, ...]:
    """Return the ranked networks, best first."""
    return tuple(row for row in board.networks if row.state == "complete" and row.out_of_fold is not None)


PANEL_IN: Final = 1.75
MOST_PANELS: Final = 42  # six columns, seven lines: a page


def panel_columns(count: int) -> int:
    """Return how many panels stand beside each other.

    >>> [panel_columns(count) for count in (1, 4, 7, 12, 40)]
    [1, 4, 4, 5, 6]
    """
    return min(count, 4 if count <= 8 else 5 if count <= 15 else 6)


def panels(count: int, *, line_in: float, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Return a figure with small panels alike in size and axes, at most `MOST_PANELS`.

    Args:
        count: how many.
        line_in: height of a line of panels where there are four in it; lower where there are more.
        share_y: whether vertical axes are alike too.
    """
    columns = panel_columns(count)
    lines = math.ceil(count / columns)
    width = min(PAGE_IN, columns * PANEL_IN)
    height = line_in * min(1.0, width / columns / PANEL_IN * 1.08)
    figure = new_figure(width, 0.55 + lines * height)
    grid = figure.subplots(lines, columns, sharex=True, sharey=share_y, squeeze=False)
    axes = list(grid.ravel())
    for unused in axes[count:]:
        above = axes[axes.index(unused) - columns]
        above.tick_params(labelbottom=True)
        unused.remove()
    return figure, axes[:count]


def panel_title(axes: Axes, name: str, count: int) -> None:
    """Write the name of a network above its panel, on as many lines as it needs."""
    room = int(min(PAGE_IN / panel_columns(count), PANEL_IN) * 72 * 0.92 / (SMALL_PT * 0.6))
    axes.set_title("\n".join(wrapped(name, room)), fontsize=SMALL_PT, pad=3)


def wrapped(name: str, room: int) -> list[str]:
    """Return a name on lines of at most `room` characters, broken behind its separators where there are any.

    >>> wrapped("vit_base_patch16_224", 12), wrapped("resnet18", 12)
    (['vit_base_', 'patch16_224'], ['resnet18'])
    """
    lines, rest = [], name
    while len(rest) > room:
        end = max(rest.rfind(mark, 1, room) for mark in "_-. ") + 1 or room
        lines.append(rest[:end].rstrip())
        rest = rest[end:]
    return [*lines, rest]


def fitting(rows: tuple[Row, ...], what: str) -> tuple[tuple[Row, ...], list[LeftOut]]:
    """Return the rows that one figure of panels has room for, and what is said of the others."""
    further = rows[MOST_PANELS:]
    if not further:
        return rows, []
    names = ", ".join(map(shown_name, further))
    return rows[:MOST_PANELS], [LeftOut(what=f"{names} in {what}", why=f"a page holds {MOST_PANELS} panels")]
