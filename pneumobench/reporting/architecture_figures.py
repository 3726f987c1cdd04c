"""The geometry of the figures on the page of one architecture: from predictions and epochs to coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from pneumobench.reporting.plots import Axes, Floats, Line, Plot

RESAMPLES: Final = 200  # of patients: a band is looked at, no number is read from it
PLACES: Final = 101
BINS: Final = 20
POINTS: Final = 200  # of a curve with a point for every image
UNIT: Final = Axes(x=(0.0, 1.0), y=(0.0, 1.0))
PARTS: Final = tuple(  # of the lines of an epoch's figure
    Line(name=name, points="", look=stroke) for name, stroke in (("training part", "c1 d1"), ("validation part", "c0"))
)


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


def _between(axes: Axes, at: Floats, low: Floats, high: Floats) -> str:
    there = ~(np.isnan(low) | np.isnan(high))
    return axes.points(np.append(at[there], at[there][::-1]), np.append(low[there], high[there][::-1]))


def reliability_plot(row: Row) -> Plot:
    """Return shares of pneumonia by mean probability, before and after temperature scaling."""
    lines = []
    for column, name, look in (("tempered", "after temperature", "c0"), ("probability", "as trained", "c1 d1")):
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
    coverage, risk = risk_coverage(row.predictions["tempered"].to_numpy(np.float64), row.predictions["label"] == 1)
    chosen = np.unique(np.linspace(0, len(risk) - 1, POINTS).astype(int))
    axes = Axes(x=(0.0, 1.0), y=(0.0, max(float(risk.max()) * 1.1, 0.01)))
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
    axes = Axes(x=(0.0, 1.0), y=(0.0, max(float(share.max()) for share in shares.values()) * 1.05))
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
    axes = Axes(x=(1.0, last), y=(low - room, min(high + room, 1.0) if label == "AUC" else high + room))
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
