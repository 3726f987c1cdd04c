"""The picture that carries the page: every row as an interval of AUC on one axis, the best baseline as a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pneumobench.leaderboard.board import Kind, Leaderboard, Row
from pneumobench.leaderboard.scores import Scores
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.area_axis import AreaAxis
from pneumobench.reporting.columns import interval_text, number
from pneumobench.reporting.finding import best_control
from pneumobench.suite.names import CONTROL_PREFIX

LEFT_PERCENT, RIGHT_PERCENT = 2.0, 98.0  # of a cell's width: room for half a dot and half a number at both ends
LEAST_GAP: Final = 0.07  # of the axis between two numbers that are written at it


@dataclass(frozen=True, kw_only=True)
class IntervalMark:
    """An area and its interval, as shares of a cell's width in percent, and in words.

    Args:
        at: the area.
        low, high: ends of its interval; None where there is none.
        text: the area in words.
        interval: the interval in words; empty where there is none.
    """

    at: float
    low: float | None
    high: float | None
    text: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class ForestLane:
    """One row: `name` is shown for `architecture`; `official` is None where the run has no separate test."""

    architecture: str
    name: str
    kind: Kind
    in_top_group: bool
    is_reference: bool
    out_of_fold: IntervalMark
    official: IntervalMark | None


@dataclass(frozen=True, kw_only=True)
class Forest:
    """All rows with an area, in the order of the table; `reference` is where the best baseline stands."""

    lanes: tuple[ForestLane, ...]
    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    reference_official: float | None

    @property
    def has_official(self) -> bool:
        """Whether a separate test is shown beside."""
        return any(lane.official for lane in self.lanes)

    def mark(self, architecture: str, *, official: bool) -> IntervalMark | None:
        """Return where the area of a row stands, for a bar in a cell; None where it has none."""
        lane = next((lane for lane in self.lanes if lane.architecture == architecture), None)
        return None if lane is None else lane.official if official else lane.out_of_fold


def forest_plot(board: Leaderboard) -> Forest | None:
    """Return the plot; None where nothing was scored. Both parts have one axis, so that a shift is seen as one."""
    rows = [row for row in board.rows if row.out_of_fold is not None and _area(row.out_of_fold) is not None]
    if not rows:
        return None
    axis = area_axis(rows)
    control = best_control(board)
    lanes = tuple(_lane(row, axis, is_reference=row is control) for row in rows)
    reference = next((lane for lane in lanes if lane.is_reference), None)
    return Forest(
        lanes=lanes,
        ticks=_ticks(axis),
        reference=reference.out_of_fold.at if reference else None,
        reference_official=reference.official.at if reference and reference.official else None,
    )


def area_axis(rows: list[Row]) -> AreaAxis:
    """Return the axis that holds the areas of all rows and their intervals, out of fold and on the separate test."""
    areas: list[float] = []
    for scores in [scores for row in rows for scores in (row.out_of_fold, row.official) if scores is not None]:
        areas.append(scores.auc)
        if scores.auc_interval is not None:
            areas += [scores.auc_interval.low, scores.auc_interval.high]
    return AreaAxis.around(areas)


def interval_mark(value: float, interval: Interval | None, axis: AreaAxis) -> IntervalMark:
    """Return where an area and its interval stand in a cell."""
    words = interval_text(interval)
    return IntervalMark(
        at=_percent(axis, value),
        low=_percent(axis, interval.low) if interval and words else None,
        high=_percent(axis, interval.high) if interval and words else None,
        text=number(value),
        interval=words,
    )


def _lane(row: Row, axis: AreaAxis, *, is_reference: bool) -> ForestLane:
    assert row.out_of_fold is not None
    official = row.official if row.official is not None and _area(row.official) is not None else None
    return ForestLane(
        architecture=row.architecture,
        name=row.architecture.removeprefix(CONTROL_PREFIX),
        kind=row.kind,
        in_top_group=row.in_top_group,
        is_reference=is_reference,
        out_of_fold=interval_mark(row.out_of_fold.auc, row.out_of_fold.auc_interval, axis),
        official=None if official is None else interval_mark(official.auc, official.auc_interval, axis),
    )


def _area(scores: Scores) -> float | None:
    """Return the area, None where it is undefined (NaN)."""
    return scores.auc if scores.auc == scores.auc else None


def _percent(axis: AreaAxis, area: float) -> float:
    return round(LEFT_PERCENT + (RIGHT_PERCENT - LEFT_PERCENT) * axis.at(area), 2)


def _ticks(axis: AreaAxis) -> tuple[tuple[float, str], ...]:
    """Return the numbers at the axis, from the right: one that has no room beside the last is left out."""
    kept: list[float] = []
    for area in reversed(axis.ticks):
        if not kept or axis.at(kept[-1]) - axis.at(area) >= LEAST_GAP:
            kept.append(area)
    return tuple((_percent(axis, area), f"{area:g}") for area in reversed(kept))
