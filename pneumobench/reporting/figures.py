"""The geometry of the page's figures: from scores to the coordinates that the template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import folds_of
from pneumobench.metrics.discrimination import roc_curve_within_folds
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import main_attention, number
from pneumobench.reporting.plots import COLOURS, Axes, Line, Plot, Tick, look

SIDE: Final = 300.0  # units of the square ROC panels
LANE_WIDTH: Final = 560.0  # units of the plots with one lane for each architecture
LANE_HEIGHT: Final = 42.0
ZOOM: Final = 0.2  # the corner where good architectures differ


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One architecture in a plot of lanes: marks, a main value with its whisker, and a reference."""

    architecture: str
    y: float
    colour: int
    marks: tuple[Tick, ...]
    main: float | None
    main_text: str
    low: float | None
    high: float | None
    reference: float | None


@dataclass(frozen=True, kw_only=True)
class LanePlot:
    """Lanes under each other on one axis."""

    height: float
    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]


def roc_panels(rows: Sequence[Row], *, official: bool) -> tuple[Plot, ...]:
    """Return the whole ROC square and its upper left corner; no panel when there is nothing to draw."""
    shown = [
        (series, row, row.official_predictions if official else row.predictions)
        for series, row in enumerate(rows)
        if (row.official if official else row.out_of_fold) is not None and row.state == "complete"
    ]
    if not shown:
        return ()
    panels = []
    for name, title, room in (("whole", "whole curve", 1.0), ("corner", "upper left corner", ZOOM)):
        axes = Axes(x=(0.0, room), y=(1.0 - room, 1.0), width=SIDE, height=SIDE, cut=False)
        panels.append(
            Plot(
                title=title,
                x_label="1 − specificity",
                y_label="recall",
                x_ticks=axes.x_ticks(),
                y_ticks=axes.y_ticks(),
                lines=tuple(_curve(series, row, table, axes, official=official) for series, row, table in shown),
                diagonal=axes.points(np.array([0.0, 1.0]), np.array([0.0, 1.0])) if room == 1 else "",
                clip=f"{'official' if official else 'out_of_fold'}-{name}",
                width=SIDE,
                height=SIDE,
            )
        )
    return tuple(panels)


def _curve(series: int, row: Row, table: pd.DataFrame, axes: Axes, *, official: bool) -> Line:
    false_positive, true_positive = roc_curve_within_folds(
        table["probability"].to_numpy(np.float64), table["label"].to_numpy() == 1, folds_of(table)
    )
    scores = row.official if official else row.out_of_fold
    return Line(
        name=row.architecture,
        points=axes.points(np.asarray(false_positive), np.asarray(true_positive)),
        look=look(series),
        value=number(scores.auc if scores else None),
    )


def fold_plot(board: Leaderboard) -> LanePlot | None:
    """Return the AUC of every fold as a dot, with their mean and its interval; None without any score."""
    rows = [(series, row) for series, row in enumerate(board.networks) if row.out_of_fold is not None]
    values = [scores.auc for _, row in rows for scores in row.folds.values()]
    values += [row.out_of_fold.auc_interval.low for _, row in rows if row.out_of_fold and row.out_of_fold.auc_interval]
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return None
    step, low = _step(1.0 - min(values))
    ticks = np.arange(low, 1.0 + step / 2, step)

    def across(value: float) -> float:
        return round((value - low) / (1.0 - low) * LANE_WIDTH, 1)

    lanes = []
    for position, (series, row) in enumerate(rows):
        assert row.out_of_fold is not None
        low_end, high_end = _ends(row.out_of_fold.auc_interval)
        lanes.append(
            Lane(
                architecture=row.architecture,
                y=(position + 0.5) * LANE_HEIGHT,
                colour=series % COLOURS,
                marks=tuple(
                    Tick(at=across(scores.auc), text=f"fold {fold}: AUC {number(scores.auc)}")
                    for fold, scores in sorted(row.folds.items())
                ),
                main=across(row.out_of_fold.auc),
                main_text=number(row.out_of_fold.auc),
                low=None if low_end is None else across(low_end),
                high=None if high_end is None else across(high_end),
                reference=None,
            )
        )
    digits = max(1, -math.floor(math.log10(step) + 1e-9))
    return LanePlot(
        height=len(lanes) * LANE_HEIGHT,
        ticks=tuple(Tick(at=across(float(tick)), text=f"{tick:.{digits}f}") for tick in ticks),
        lanes=tuple(lanes),
    )


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    """Return the ends of an interval, None where it is undefined: a whisker is then left out."""
    if interval is None or math.isnan(interval.low):
        return None, None
    return interval.low, interval.high


def _step(room: float) -> tuple[float, float]:
    """Return a round tick step and the lower end of an axis that ends at 1 and holds `room` below it."""
    for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1):
        if room <= 6 * step:
            return step, round(1.0 - step * max(2, math.ceil(room / step + 0.2)), 6)
    return 0.2, 0.0


def attention_plot(board: Leaderboard) -> LanePlot | None:
    """Return mean LAR over pneumonia images as bars from 0 to 1, each with what chance would score."""
    rows = [
        (series, row, found)
        for series, row in enumerate(board.networks)
        if (found := main_attention(row)) is not None and not math.isnan(found.pneumonia.lar)
    ]
    if not rows:
        return None
    lanes = [
        Lane(
            architecture=row.architecture,
            y=(position + 0.5) * LANE_HEIGHT,
            colour=series % COLOURS,
            marks=(),
            main=round(found.pneumonia.lar * LANE_WIDTH, 1),
            main_text=number(found.pneumonia.lar),
            low=None if (end := _ends(found.lar_interval)[0]) is None else round(end * LANE_WIDTH, 1),
            high=None if (end := _ends(found.lar_interval)[1]) is None else round(end * LANE_WIDTH, 1),
            reference=round(found.pneumonia.chance * LANE_WIDTH, 1),
        )
        for position, (series, row, found) in enumerate(rows)
    ]
    return LanePlot(
        height=len(lanes) * LANE_HEIGHT,
        ticks=tuple(Tick(at=tick * LANE_WIDTH, text=f"{tick:.1f}") for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        lanes=tuple(lanes),
    )
