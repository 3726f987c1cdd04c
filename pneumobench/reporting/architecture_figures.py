"""The geometry of the figures on the page of one architecture: from predictions and epochs to coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.leaderboard.board import Row
from pneumobench.leaderboard.scores import folds_of
from pneumobench.metrics.calibration import reliability_bins
from pneumobench.metrics.curves import precision_recall_band, precision_recall_within_folds, roc_band
from pneumobench.metrics.discrimination import roc_curve_within_folds
from pneumobench.metrics.selective import risk_coverage
from pneumobench.reporting.figures import Tick

WIDTH: Final = 300.0
HEIGHT: Final = 240.0
RESAMPLES: Final = 200  # of patients: a band is looked at, no number is read from it
PLACES: Final = 101
BINS: Final = 20
POINTS: Final = 200  # of a curve with a point for every image
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve: `points` is an SVG point list, `look` the classes of its stroke."""

    name: str
    points: str
    look: str
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Curves and a band over two linear axes.

    Args:
        title: what it shows.
        x_label, y_label: what stands at the axes.
        x_ticks, y_ticks: marks on them.
        lines: curves.
        band: SVG point list of the area between two curves; empty where there is none.
        diagonal: SVG point list of a dashed guide; empty where there is none.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    band: str = ""
    diagonal: str = ""

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Name and look of each curve."""
        return tuple((line.name, line.look) for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class _Axes:
    """Two linear axes, each from its lower to its upper end."""

    x: tuple[float, float]
    y: tuple[float, float]

    def points(self, x: Floats, y: Floats) -> str:
        return " ".join(f"{a:g},{b:g}" for a, b in self.places(x, y))

    def places(self, x: Floats, y: Floats) -> list[tuple[float, float]]:
        across = np.clip((x - self.x[0]) / (self.x[1] - self.x[0]), 0, 1) * WIDTH
        down = HEIGHT - np.clip((y - self.y[0]) / (self.y[1] - self.y[0]), 0, 1) * HEIGHT
        kept: list[tuple[float, float]] = []
        for place in zip(across.round(1).tolist(), down.round(1).tolist(), strict=True):
            if not kept or kept[-1] != place:
                kept.append(place)
        return kept

    def x_ticks(self) -> tuple[Tick, ...]:
        low, values = np.array([self.y[0]]), _round_steps(*self.x)
        return tuple(Tick(at=self.places(np.array([value]), low)[0][0], text=f"{value:g}") for value in values)

    def y_ticks(self) -> tuple[Tick, ...]:
        low, values = np.array([self.x[0]]), _round_steps(*self.y)
        return tuple(Tick(at=self.places(low, np.array([value]))[0][1], text=f"{value:g}") for value in values)


UNIT: Final = _Axes(x=(0.0, 1.0), y=(0.0, 1.0))


def _round_steps(low: float, high: float) -> list[float]:
    """Return about five round numbers from one end to the other; whole ones where the axis counts."""
    rough = max((high - low) / 5, 1.0 if low >= 1 else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [
        round(step * number, 10) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _labels(table: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
    return table["probability"].to_numpy(np.float64), table["label"].to_numpy() == 1


def roc_plot(row: Row, group: pd.Series[int]) -> Plot:
    """Return the mean ROC curve of the folds with its band over patients."""
    (probability, label), folds = _labels(row.predictions), folds_of(row.predictions)
    groups = group.loc[row.predictions["image_id"]].to_numpy()
    x, y = roc_curve_within_folds(probability, label, folds)
    band = roc_band(probability, label, folds, groups, np.linspace(0, 1, PLACES), resamples=RESAMPLES)
    return Plot(
        title="ROC, mean of the folds",
        x_label="1 − specificity",
        y_label="recall",
        x_ticks=UNIT.x_ticks(),
        y_ticks=UNIT.y_ticks(),
        lines=(Line(name="mean of the folds", points=UNIT.points(np.asarray(x), np.asarray(y)), look="c0"),),
        band=_between(UNIT, band.at, band.low, band.high),
        diagonal=UNIT.points(np.array([0.0, 1]), np.array([0.0, 1])),
    )


def precision_plot(row: Row, group: pd.Series[int]) -> Plot:
    """Return the mean precision-recall curve of the folds with its band over patients."""
    (probability, label), folds = _labels(row.predictions), folds_of(row.predictions)
    groups = group.loc[row.predictions["image_id"]].to_numpy()
    x, y = precision_recall_within_folds(probability, label, folds)
    band = precision_recall_band(probability, label, folds, groups, np.linspace(0.01, 1, PLACES), resamples=RESAMPLES)
    share = float(label.mean())
    return Plot(
        title="Precision and recall, mean of the folds",
        x_label="recall",
        y_label="precision",
        x_ticks=UNIT.x_ticks(),
        y_ticks=UNIT.y_ticks(),
        lines=(Line(name="mean of the folds", points=UNIT.points(x, y), look="c0"),),
        band=_between(UNIT, band.at, band.low, band.high),
        diagonal=UNIT.points(np.array([0.0, 1]), np.array([share, share])),
    )


def _between(axes: _Axes, at: Floats, low: Floats, high: Floats) -> str:
    there = ~(np.isnan(low) | np.isnan(high))
    return axes.points(np.append(at[there], at[there][::-1]), np.append(low[there], high[there][::-1]))


def reliability_plot(row: Row) -> Plot:
    """Return shares of pneumonia by mean probability, before and after temperature scaling."""
    lines = []
    for column, name, look in (("probability", "as trained", "c1 d1"), ("tempered", "after temperature", "c0")):
        bins = reliability_bins(row.predictions[column].to_numpy(np.float64), row.predictions["label"] == 1)
        places = UNIT.places(bins.probability, bins.share)
        lines.append(Line(name=name, points=UNIT.points(bins.probability, bins.share), look=look, dots=tuple(places)))
    return Plot(
        title="Reliability",
        x_label="mean probability of a bin",
        y_label="share with pneumonia",
        x_ticks=UNIT.x_ticks(),
        y_ticks=UNIT.y_ticks(),
        lines=tuple(lines),
        diagonal=UNIT.points(np.array([0.0, 1]), np.array([0.0, 1])),
    )


def risk_plot(row: Row) -> Plot:
    """Return the share of errors among the most confident images, by how many are kept."""
    coverage, risk = risk_coverage(*_labels(row.predictions))
    chosen = np.unique(np.linspace(0, len(risk) - 1, POINTS).astype(int))
    axes = _Axes(x=(0.0, 1.0), y=(0.0, max(float(risk.max()) * 1.1, 0.01)))
    return Plot(
        title="Errors left, by what is decided",
        x_label="share of images that are decided",
        y_label="share of errors",
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        lines=(Line(name="errors", points=axes.points(coverage[chosen], risk[chosen]), look="c0"),),
    )


def score_plot(row: Row, subtype: pd.Series[str]) -> Plot:
    """Return how the probabilities of each class and etiology are spread: shares of its images in equal bins."""
    kinds = subtype.loc[row.predictions["image_id"]].to_numpy()
    probability, edges = row.predictions["probability"].to_numpy(np.float64), np.linspace(0, 1, BINS + 1)
    shares = {
        kind: np.histogram(probability[kinds == kind], edges)[0] / (kinds == kind).sum() for kind in sorted(set(kinds))
    }
    axes = _Axes(x=(0.0, 1.0), y=(0.0, max(float(share.max()) for share in shares.values()) * 1.05))
    lines = [
        Line(
            name=f"{kind} ({int((kinds == kind).sum()):,})",
            points=axes.points(np.repeat(edges, 2)[1:-1], np.repeat(share, 2)),
            look=f"c{number % 7} d{number % 3}",
        )
        for number, (kind, share) in enumerate(shares.items())
    ]
    return Plot(
        title="Scores by class and etiology",
        x_label="probability of pneumonia",
        y_label="share of its images",
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        lines=tuple(lines),
    )


def history_plots(histories: Mapping[int, pd.DataFrame]) -> tuple[Plot, ...]:
    """Return losses and the AUC of the validation part by epoch, a line a fold; none where no job has two epochs."""
    long = {fold: table for fold, table in histories.items() if len(table) > 1}
    if not long:
        return ()
    last = max(float(table["epoch"].max()) for table in long.values()) + 1
    losses = (("train_loss", "training", "c1 d1"), ("tune_loss", "validation", "c0"))
    asked = ((losses, "Loss", "loss"), ((("tune_auc", "validation", "c0"),), "AUC of the validation part", "AUC"))
    found = []
    for wanted, title, label in asked:  # a table that was edited may lack a column, and its page is made all the same
        there = [one for one in wanted if all(_has_numbers(table, one[0]) for table in long.values())]
        if there:
            found.append(_by_epoch(long, last, there, title, label))
    return tuple(found)


def _has_numbers(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(np.isfinite(table[column].to_numpy(np.float64)).any())


def _by_epoch(
    histories: Mapping[int, pd.DataFrame], last: float, columns: Sequence[tuple[str, str, str]], title: str, label: str
) -> Plot:
    values = np.concatenate(
        [table[column].to_numpy(np.float64) for table in histories.values() for column, *_ in columns]
    )
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    room = max(high - low, 1e-3) * 0.05
    axes = _Axes(x=(1.0, last), y=(low - room, min(high + room, 1.0) if label == "AUC" else high + room))
    lines = [
        Line(
            name=f"{words}, fold {fold}",
            points=axes.points(table["epoch"].to_numpy(np.float64) + 1, table[column].to_numpy(np.float64)),
            look=look,
        )
        for column, words, look in columns
        for fold, table in sorted(histories.items())
    ]
    return Plot(
        title=title, x_label="epoch", y_label=label, x_ticks=axes.x_ticks(), y_ticks=axes.y_ticks(), lines=tuple(lines)
    )
