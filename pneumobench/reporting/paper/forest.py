"""The forest plot: every row of the leaderboard as a point with its interval, on an axis that opens towards 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pneumobench.leaderboard.board import Kind, Leaderboard, Row
from pneumobench.leaderboard.scores import Scores
from pneumobench.reporting.area_axis import LEAST_LOSS
from pneumobench.reporting.area_figure import COLOURS, DRAWN_TICKS, Floats, area_axis, least_loss, losses_of
from pneumobench.reporting.columns import interval_text, number
from pneumobench.reporting.compared import TOP_GROUP_WORDS, control_name, folds_words
from pneumobench.reporting.paper.style import (
    INK,
    PAGE_IN,
    PALE,
    SHADE,
    SMALL_PT,
    Drawn,
    LeftOut,
    new_figure,
    shown_name,
)
from pneumobench.reporting.words import patients_words, separate_test, separate_test_words, tested_words
from pneumobench.texts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LANE_IN: Final = 0.175
LABEL: Final = "AUC (logarithmic towards 1)"
# colour, marker, and whether it is filled
MARKS: Final[dict[Kind, tuple[str, str, bool]]] = {
    "network": (COLOURS[0], "o", True),
    "ensemble": (COLOURS[1], "D", True),
    "control": (INK, "s", False),
}
KIND_WORDS: Final[dict[Kind, str]] = {
    "network": "network", "ensemble": "ensemble", "control": "shortcut baseline"
}  # fmt: skip
Read = Callable[[Row], Scores | None]
Area = tuple[float, float, float]  # and the ends of its interval


def forest(board: Leaderboard) -> Iterator[Drawn | LeftOut]:
    """Draw AUC and interval of every row, out of fold and, where it exists, on the separate test images."""
    rows = [row for row in board.rows if _area(row.out_of_fold) is not None]
    for row in board.rows:
        if row not in rows:
            yield LeftOut(what=f"{shown_name(row)} in the forest plot", why=f"no scores ({row.status})")
    parts: list[tuple[str, Read]] = [(_tested_heading(board), lambda row: row.out_of_fold)]
    if any(_area(row.official) is not None for row in rows):
        images = counted(board.official_images, "image")
        parts.append((f"{separate_test(board)} ({images})", lambda row: row.official))
    else:
        yield LeftOut(what="the second panel of the forest plot", why="the run has no official test folder")
    best = next((row for row in rows if row.architecture == control_name(board)), None)
    if best is None:
        yield LeftOut(what="the line of the best baseline", why="no shortcut baseline completed all folds")
    figure = new_figure(PAGE_IN, 1.0 + LANE_IN * len(rows))
    drawn = np.ravel(figure.subplots(1, len(parts), sharey=True, squeeze=False))
    # one axis for both parts, as on the page of the run, so that a shift is seen as one
    areas = [_ends(scores) for _, read in parts for row in rows if _area(scores := read(row)) is not None and scores]
    for place, (axes, (heading, read)) in enumerate(zip(drawn, parts, strict=True)):
        _panel(axes, rows, read, best, areas, shaded=place == 0)
        axes.set_title(heading, loc="left")
    _names(drawn[0], rows)
    _legend(figure, rows, best)
    yield Drawn(
        name="forest", title="AUC of every network and baseline", figure=figure, caption=_caption(board, best, parts)
    )


def _area(scores: Scores | None) -> float | None:
    return None if scores is None or math.isnan(scores.auc) else scores.auc


def _ends(scores: Scores) -> Area:
    """Return an area and the ends of its interval, the area itself where there is none."""
    interval = scores.auc_interval
    if interval is None or math.isnan(interval.low):
        return scores.auc, scores.auc, scores.auc
    return scores.auc, interval.low, interval.high


def _panel(
    axes: Axes, rows: Sequence[Row], read: Read, best: Row | None, all_areas: Sequence[Area], *, shaded: bool
) -> None:
    areas = {place: _ends(found) for place, row in enumerate(rows) if _area(found := read(row)) is not None and found}
    least = least_loss(all_areas)
    everything = losses_of(all_areas, least=least)
    for place, row in enumerate(rows):
        if shaded and row.in_top_group:
            axes.axhspan(place - 0.5, place + 0.5, color=SHADE, linewidth=0, zorder=0)
        if place not in areas:
            continue
        loss, low, high = losses_of(areas[place], least=least)
        colour, marker, filled = MARKS[row.kind]
        colour = colour if row.state == "complete" else PALE
        axes.plot([low, high], [place, place], color=colour, linewidth=1.1)
        axes.plot(
            [loss], [place], marker=marker, markersize=4.4 if marker == "o" else 4, color=colour, linestyle="none",
            markerfacecolor=colour if filled else "white", markeredgewidth=1, clip_on=False,
            zorder=3,
        )  # fmt: skip
        axes.annotate(
            f"{number(areas[place][0])} {_interval(read(row))}".strip(), (1, place), xycoords=("axes fraction", "data"),
            xytext=(5, 0), textcoords="offset points", va="center", fontsize=SMALL_PT, annotation_clip=False,
        )  # fmt: skip
    if best is not None and (reference := _area(read(best))) is not None:
        axes.axvline(float(losses_of([reference], least=least)[0]), color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.grid(axis="x")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    perfect = bool((everything <= least).any()) and least > LEAST_LOSS
    area_axis(axes.xaxis, axes, _with_ticks(everything), LABEL, least=least if perfect else None, gap=0.14)


def _interval(scores: Scores | None) -> str:
    return interval_text(scores.auc_interval) if scores else ""


def _with_ticks(losses: Floats) -> Floats:
    """Return losses between which at least two ticks lie, on both sides further ones where there are too few."""
    ticks = 1 - np.array(DRAWN_TICKS)  # falling
    if np.sum((ticks >= losses.min()) & (ticks <= losses.max())) >= 2:
        return losses
    above, below = ticks[ticks > losses.max()], ticks[ticks < losses.min()]
    return np.concatenate([losses, above[-1:], below[:1]])


def _names(axes: Axes, rows: Sequence[Row]) -> None:
    names = [
        f"{shown_name(row)} †" if row.clears_controls is False else shown_name(row)
        if row.state == "complete" else f"{shown_name(row)} ({row.status})"
        for row in rows
    ]  # fmt: skip
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", pad=16)
    for row, label in zip(rows, axes.get_yticklabels(), strict=True):
        label.set_fontstyle("italic" if row.is_control else "normal")
    for place, row in enumerate(rows):
        if row.rank is not None:
            axes.annotate(
                str(row.rank), (0, place), xycoords=("axes fraction", "data"), xytext=(-5, 0), ha="right",
                textcoords="offset points", va="center", fontsize=SMALL_PT, annotation_clip=False,
            )  # fmt: skip


def _legend(figure: Figure, rows: Sequence[Row], best: Row | None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    for kind, (colour, marker, filled) in MARKS.items():
        if any(row.kind == kind for row in rows):
            face = colour if filled else "white"
            style: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "markersize": 4.2,
                "markerfacecolor": face,
                "linewidth": 1.1,
            }
            handles.append(Line2D([], [], label=KIND_WORDS[kind], **style))
    if best is not None:
        handles.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="best baseline"))
    if any(row.in_top_group for row in rows):
        handles.append(Patch(facecolor=SHADE, label="top group"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.6)


def _tested_heading(board: Leaderboard) -> str:
    return f"Out of fold ({counted(board.images, 'image')})" if board.folds > 1 else f"Test ({board.images:,} images)"


def _caption(board: Leaderboard, best: Row | None, parts: Sequence[object]) -> str:
    sentences = [
        f"Area under the ROC curve of {board.images:,} images of "
        f"{patients_words(board.source, board.patients, board.patient_rule, unknown=board.patients_unknown)}, with its "
        "95 % interval over patients; the axis is logarithmic in 1 - AUC.",
        tested_words(board),
        folds_words(board),
        "Numbers at the left are ranks, which networks alone have.",
        f"Shaded: top group, {TOP_GROUP_WORDS}",
    ]
    if best is not None:
        sentences.append(
            f"Hollow: shortcut baselines, which see no more of a radiograph than their name says; dashed: the best of "
            f"them, {shown_name(best)}. †: does not clear it (paired test by patient, p < 0.05, Holm over all networks "
            "and ensembles)."
        )
    if len(parts) > 1:
        sentences.append(f"Right: {separate_test_words(board)}")
    sentences.append("Overlapping intervals are no test: differences are in the table of pairs.")
    return " ".join(" ".join(sentence.split()) for sentence in sentences if sentence)
