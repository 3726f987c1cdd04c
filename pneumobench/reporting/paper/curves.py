"""ROC and precision-recall curves of the networks within folds, with bands over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import folds_of
from pneumobench.metrics.curves import (
    BAND_RESAMPLES,
    Band,
    precision_recall_band,
    precision_recall_within_folds,
    roc_band,
)
from pneumobench.metrics.discrimination import roc_curve_within_folds
from pneumobench.metrics.validation import Booleans, Floats
from pneumobench.reporting.area_figure import Floats as Places
from pneumobench.reporting.columns import interval_text, number
from pneumobench.reporting.compared import control_name
from pneumobench.reporting.paper.style import (
    COLUMN_IN,
    DASHES,
    HUES,
    INK,
    PALE,
    SMALL_PT,
    Drawn,
    LeftOut,
    complete_networks,
    new_figure,
    shown_name,
    wrapped,
)
from pneumobench.reporting.words import tested_words
from pneumobench.texts import counted, verb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED: Final = 8  # networks with a hue and a line in the legend; all others are thin and gray
BANDS: Final = 3  # of the best of them: more would cover each other
LEGEND_ROOM: Final = 52  # characters
CORNERS: Final = (0.02, 0.05, 0.1, 0.2, 0.3)  # widths that the enlarged corner may have
ROOM_BELOW: Final = 0.3  # of precision, for the inset
COARSE: Final = 101  # places of a band over the whole, and as many in the corner


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One of the two curves: how it is computed, and where its best corner lies."""

    name: str
    title: str
    heading: str
    curve: Callable[[Floats, Booleans, Places | None], tuple[Floats, Floats]]
    band: Callable[..., Band]
    number: Callable[[Row], str]
    x_label: str
    y_label: str
    corner_right: bool  # else at the left
    inset: tuple[float, float, float, float]


def _curve_of_roc(probability: Floats, label: Booleans, folds: Places | None) -> tuple[Floats, Floats]:
    return roc_curve_within_folds(probability, label, folds)


def _curve_of_precision(probability: Floats, label: Booleans, folds: Places | None) -> tuple[Floats, Floats]:
    return precision_recall_within_folds(probability, label, folds)


def _auc(row: Row) -> str:
    assert row.out_of_fold is not None
    return f"{number(row.out_of_fold.auc)} {interval_text(row.out_of_fold.auc_interval)}".strip()


def _average_precision(row: Row) -> str:
    assert row.out_of_fold is not None
    return number(row.out_of_fold.value("average_precision"))


ROC: Final = _Kind(
    name="roc",
    title="ROC curves",
    heading="AUC within folds [95 %]",
    curve=_curve_of_roc,
    band=roc_band,
    number=_auc,
    x_label="1 − specificity",
    y_label="recall (sensitivity)",
    corner_right=False,
    inset=(0.36, 0.1, 0.6, 0.6),
)
PRECISION_RECALL: Final = _Kind(
    name="precision-recall",
    title="Precision-recall curves",
    heading="average precision within folds",
    curve=_curve_of_precision,
    band=precision_recall_band,
    number=_average_precision,
    x_label="recall (sensitivity)",
    y_label="precision (positive predictive value)",
    corner_right=True,
    inset=(0.12, 0.16, 0.6, 0.6),
)


def curves(board: Leaderboard, group: pd.Series[int]) -> Iterator[Drawn | LeftOut]:
    """Draw both kinds of curves.

    Args:
        board: the leaderboard.
        group: patient group by image_id.
    """
    networks = complete_networks(board)
    for row in board.networks:
        if row not in networks:
            yield LeftOut(what=f"curves, calibration and matrices of {shown_name(row)}", why=row.status)
    best = next((row for row in board.rows if row.architecture == control_name(board)), None)
    for kind in (ROC, PRECISION_RECALL):
        yield _drawn(board, networks, best, group, kind)


def _drawn(
    board: Leaderboard, networks: tuple[Row, ...], best: Row | None, group: pd.Series[int], kind: _Kind
) -> Drawn:
    named, further = networks[:NAMED], networks[NAMED:]
    labels = [_label(row, kind) for row in [*named, *([best] if best else [])]]
    lines = 1 + sum(label.count("\n") + 1 for label in labels) + bool(further)
    figure = new_figure(COLUMN_IN, COLUMN_IN - 0.24 + 0.145 * lines)
    axes = figure.subplots()
    corner = _corner(kind, [*named, *([best] if best else [])])
    low = _least_height(board, kind, below=ROOM_BELOW)
    inset = None
    if _is_hidden(kind, [*networks, *([best] if best else [])], low):
        low = _least_height(board, kind, below=0.1)
    else:
        inset = axes.inset_axes(kind.inset)
    places = np.unique(np.concatenate([np.linspace(0, 1, COARSE), _near(kind, np.linspace(0, corner, COARSE))]))
    for row in further:
        _line(axes, inset, row, kind, color=PALE, linewidth=0.4, zorder=1)
    for place, row in enumerate(named):
        style = {"color": HUES[place % len(HUES)], "linestyle": DASHES[(place + place // len(HUES)) % len(DASHES)]}
        _line(axes, inset, row, kind, label=labels[place], zorder=3 + NAMED - place, **style)
        if place < BANDS:
            probability, label, folds = _arrays(row)
            patients = group.loc[row.predictions["image_id"]].to_numpy()
            band = kind.band(probability, label, folds, patients, places[places > 0], seed=board.seed)
            for one in filter(None, (axes, inset)):
                one.fill_between(band.at, band.low, band.high, color=style["color"], alpha=0.16, linewidth=0, zorder=2)
    if best is not None:
        _line(axes, inset, best, kind, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.3, label=labels[-1], zorder=3)
    if further:
        axes.plot([], [], color=PALE, linewidth=0.4, label=f"{counted(len(further), 'further network')}")
    _frame(axes, board, kind, low)
    if inset is not None:
        _enlarged(axes, inset, kind, corner)
    figure.legend(
        loc="outside lower left", title=kind.heading, alignment="left", title_fontsize=SMALL_PT, labelspacing=0.25,
        borderpad=0.2,
    )  # fmt: skip
    return Drawn(
        name=kind.name,
        title=kind.title,
        figure=figure,
        caption=_caption(board, kind, named, further, best, enlarged=inset is not None),
    )


def _label(row: Row, kind: _Kind) -> str:
    """Return name and number of a row, on one line where the legend has room for it."""
    name = f"{shown_name(row)} (baseline)" if row.is_control else shown_name(row)
    whole = f"{name}  {kind.number(row)}"
    return whole if len(whole) <= LEGEND_ROOM else "\n".join([*wrapped(name, LEGEND_ROOM), kind.number(row)])


def _arrays(row: Row) -> tuple[Floats, Booleans, Places | None]:
    table = row.predictions
    label = np.asarray(table["label"].to_numpy() == 1, dtype=np.bool_)
    return table["probability"].to_numpy(np.float64), label, folds_of(table)  # type: ignore[return-value]


def _line(axes: Axes, inset: Axes | None, row: Row, kind: _Kind, *, label: str = "", **style: object) -> None:
    x, y = kind.curve(*_arrays(row))
    axes.plot(x, y, label=label or None, **style)  # type: ignore[arg-type]
    if inset is not None:
        inset.plot(x, y, **style)  # type: ignore[arg-type]


def _near(kind: _Kind, widths: Floats) -> Floats:
    return 1 - widths if kind.corner_right else widths


def _corner(kind: _Kind, rows: list[Row]) -> float:
    """Return the side of the smallest corner that the curve of the middle network passes through."""
    middle = rows[len(rows) // 2]
    x, y = kind.curve(*_arrays(middle))
    inside = _near(kind, x)
    for width in CORNERS:
        if (y[inside <= width] >= 1 - width / 2).any():
            return width
    return CORNERS[-1]


def _least_height(board: Leaderboard, kind: _Kind, *, below: float) -> float:
    """Return where the vertical axis begins: for precision so far below the share of pneumonia, on a tenth."""
    share = board.pneumonia_images / board.images
    return 0.0 if kind is ROC else max(0.0, round(np.floor(share * 10 - 1e-9) / 10 - below, 1))


def _is_hidden(kind: _Kind, rows: list[Row], low: float) -> bool:
    """Tell whether an inset, with the numbers at its axes, would cover a part of a curve; heights begin at `low`."""
    left, bottom, width, height = kind.inset
    for row in rows:
        x, y = kind.curve(*_arrays(row))
        y = (y - low) / (1 - low)
        across = (x > left - 0.12) & (x < left + width + 0.01)
        if (across & (y > bottom - 0.08) & (y < bottom + height + 0.02)).any():
            return True
    return False


def _frame(axes: Axes, board: Leaderboard, kind: _Kind, low: float) -> None:
    axes.set_xlabel(kind.x_label)
    axes.set_ylabel(kind.y_label)
    if kind is ROC:
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    else:
        share = board.pneumonia_images / board.images
        axes.axhline(share, color=PALE, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(low - 0.01 * (1 - low), 1 + 0.01 * (1 - low))
    axes.grid()


def _enlarged(axes: Axes, inset: Axes, kind: _Kind, corner: float) -> None:
    """Let an inset show the corner that a box marks."""
    from matplotlib.patches import Rectangle

    left = 1 - corner if kind.corner_right else 0.0
    inset.set_xlim(left, left + corner)
    inset.set_ylim(1 - corner, 1)
    for axis, low_end in ((inset.xaxis, left), (inset.yaxis, 1 - corner)):
        axis.set_ticks(np.round([low_end, low_end + corner / 2, low_end + corner], 3))
        axis.set_tick_params(labelsize=SMALL_PT, pad=1.5)
    inset.spines[["top", "right"]].set_visible(True)
    inset.grid()
    axes.add_patch(Rectangle((left, 1 - corner), corner, corner, fill=False, edgecolor=INK, linewidth=0.5, zorder=20))


def _caption(
    board: Leaderboard, kind: _Kind, named: tuple[Row, ...], further: tuple[Row, ...], best: Row | None,
    *, enlarged: bool,
) -> str:  # fmt: skip
    mean = (
        f"Each curve is the mean of the curves of {board.folds} folds, weighted by images"
        if board.folds > 1 else "Each curve is that of the test part"
    )  # fmt: skip
    bands = counted(min(BANDS, len(named)), "network")
    what, areas = (
        ("recall at every 1 - specificity", "the AUC of the leaderboard, with the 95 % interval over patients")
        if kind is ROC
        else ("precision at every recall, as steps", "the average precision of the leaderboard")
    )
    sentences = [
        f"{counted(board.images, 'image')} ({board.pneumonia_images:,} with pneumonia). "
        f"{tested_words(board)} {mean}: {what}. The areas under them, in the legend, are {areas}.",
        f"Bands: 95 % of {BAND_RESAMPLES} resamples of patients, at each place by itself, for the best {bands}; they "
        "say nothing of differences, which are paired.",
        "The box shows the best corner, enlarged." if enlarged else "",
    ]
    if kind is PRECISION_RECALL:
        share = number(board.pneumonia_images / board.images)
        sentences.append(
            f"Gray and dotted: the share of pneumonia, {share}, the precision of calling at random; with another share "
            "of pneumonia the curves are other ones."
        )
    if best is not None:
        sentences.append(f"Black and dotted: {shown_name(best)}, the best shortcut baseline.")
    if further:
        of_others = counted(len(further), "further network")
        sentences.append(f"Thin and gray: {of_others}, which {verb(len(further), 'has')} a smaller AUC.")
    return " ".join(filter(None, sentences))
