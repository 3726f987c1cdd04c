"""Cost against score: the area of every network over what it takes, and those that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.reporting.area_axis import AreaAxis
from pneumobench.reporting.columns import COST, Column, number
from pneumobench.reporting.forest import area_axis
from pneumobench.reporting.plots import WIDTH, Axes, Label, Line, Plot, Tick

COST_FIGURE_WORDS: Final = (
    "AUC out of fold with its interval, over what a network takes. The line joins the networks that no other beats in "
    "both; whether two of them can be told apart is another question, which the paired tests answer."
)
ROOM: Final = 0.08  # beside the outermost costs, as a share of the axis
LEAST_GAP: Final = 15.0  # between two numbers at an axis
LETTER: Final = 6.2  # width of one of a label, about


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """A column of costs; `less_is_better` says which way a network is cheaper."""

    column: Column
    less_is_better: bool


_COLUMNS: Final = {column.key: column for column in COST}
_COSTS: Final = (
    _Cost(column=_COLUMNS["parameters"], less_is_better=True),
    _Cost(column=_COLUMNS["flops"], less_is_better=True),
    _Cost(column=_COLUMNS["training_minutes"], less_is_better=True),
    _Cost(column=_COLUMNS["inference"], less_is_better=False),
)


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the places of those that no other beats: none costs at most as much and scores at least as well.

    Among equals in both the first stands for all.

    >>> pareto_front([1.0, 2.0, 3.0], [0.9, 0.8, 0.95])
    [0, 2]
    """
    front, best = [], -math.inf
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -scores[place], place)):
        if scores[place] > best:
            front.append(place)
            best = scores[place]
    return front


def cost_plots(board: Leaderboard) -> tuple[Plot, ...]:
    """Return a plot for each cost that at least two networks have."""
    ranked = [row for row in board.networks if row.state == "complete" and row.out_of_fold is not None]
    ranked = [row for row in ranked if row.out_of_fold is not None and not math.isnan(row.out_of_fold.auc)]
    plots = []
    for cost in _COSTS:
        found = [(row, value) for row in ranked if (value := cost.column.value(row)) is not None and value > 0]
        if len(found) > 1:
            plots.append(_plot(cost, [row for row, _ in found], [value for _, value in found]))
    return tuple(plots)


def _plot(cost: _Cost, rows: list[Row], costs: list[float]) -> Plot:
    areas = area_axis(rows)
    logs = np.log10(costs)
    room = max(float(np.ptp(logs)), 0.3) * ROOM
    axes = Axes(x=(float(logs.min()) - room, float(logs.max()) + room), y=(0.0, 1.0))
    scores = [row.out_of_fold.auc for row in rows if row.out_of_fold is not None]
    sign = 1.0 if cost.less_is_better else -1.0
    front = pareto_front([sign * value for value in costs], scores)
    heights = np.array([areas.at(score) for score in scores])
    joined = sorted(front, key=lambda place: costs[place])
    places = axes.places(logs, heights)
    lines = [
        Line(
            name=row.architecture,
            value=f"AUC {number(scores[place])}, {number(costs[place], cost.column.digits)}",
            points=_whisker(row, float(logs[place]), axes, areas.at),
            look="c0 thin" if place in front else "c6 thin",
            dots=(places[place],),
        )
        for place, row in enumerate(rows)
    ]
    step = Line(name="the front", points=axes.points(logs[joined], heights[joined]), look="c0 d2")
    return Plot(
        title=f"AUC and {cost.column.heading}" + ("" if cost.less_is_better else ", more is cheaper"),
        x_label=f"{cost.column.heading}, logarithmic",
        y_label="AUC",
        x_ticks=_log_ticks(axes),
        y_ticks=_area_ticks(axes, areas),
        lines=(*lines, step),
        labels=_labels(
            [row.architecture for row in rows], places, [*front, *(n for n in range(len(rows)) if n not in front)]
        ),
    )


def _whisker(row: Row, log: float, axes: Axes, at: Callable[[float], float]) -> str:
    interval = row.out_of_fold.auc_interval if row.out_of_fold is not None else None
    if interval is None or math.isnan(interval.low):
        return ""
    return axes.points(np.array([log, log]), np.array([at(interval.low), at(interval.high)]))


def _labels(names: Sequence[str], places: Sequence[tuple[float, float]], order: Sequence[int]) -> tuple[Label, ...]:
    """Return the names that find room beside their points, asked in this order: inside, and over no other."""
    taken = [(x - 4, y - 8, x + 4, y + 8) for x, y in places]
    labels = []
    for place in order:
        x, y = places[place]
        long = LETTER * len(names[place])
        for right, up in ((True, True), (False, True), (True, False), (False, False)):
            start, line = (x + 6 if right else x - 6 - long), y + (-5 if up else 13)
            box = (start, line - 10, start + long, line + 2)
            if start < 0 or start + long > WIDTH + 14 or any(_overlap(box, other) for other in taken):
                continue
            taken.append(box)
            anchor = "start" if right else "end"
            labels.append(
                Label(x=round(x + (6 if right else -6), 1), y=round(line, 1), text=names[place], anchor=anchor)
            )
            break
    return tuple(labels)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _log_ticks(axes: Axes) -> tuple[Tick, ...]:
    """Return marks at 1, 2, 5, 10 ... times a power of ten; the powers alone where there is no room."""
    low, high = axes.x
    for factors in ((1, 2, 5), (1,)):
        values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
        ticks = [axes.x_tick(math.log10(v), f"{v:,.10g}") for v in values if low <= math.log10(v) <= high]
        if len(ticks) <= 6:
            break
    return tuple(ticks)


def _area_ticks(axes: Axes, areas: AreaAxis) -> tuple[Tick, ...]:
    kept: list[Tick] = []
    for area in reversed(areas.ticks):
        tick = axes.y_tick(areas.at(area), f"{area:g}")
        if not kept or abs(tick.at - kept[-1].at) >= LEAST_GAP:
            kept.append(tick)
    return tuple(reversed(kept))
