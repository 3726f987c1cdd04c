"""Decisions of every row with 95 % intervals over patients, which the leaderboard's own tables have no room for."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.decision_intervals import confusion_metric_intervals
from pneumobench.metrics.validation import Booleans
from pneumobench.reporting.columns import DECISIONS, interval_text, number
from pneumobench.reporting.main_tables import Cells, cells

Threshold = Literal["half", "tuned"]


def decision_cells(board: Leaderboard, group: pd.Series[int], threshold: Threshold) -> Cells:
    """Return decisions out of fold, at probability 0.5 or at the threshold from each fold's validation part.

    Args:
        board: the leaderboard, whose numbers these are.
        group: patient group by image_id.
        threshold: which.
    """
    rows = []
    for row in board.rows:
        if row.out_of_fold is None:
            continue
        counts: Confusion = row.out_of_fold.at_half if threshold == "half" else row.out_of_fold.at_tuned
        table = row.predictions
        intervals = confusion_metric_intervals(
            _called(row, threshold), table["label"].to_numpy() == 1, group.loc[table["image_id"]].to_numpy()
        )
        found = [
            f"{number(counts.value(metric.name), metric.digits)} {interval_text(intervals[metric.name], metric.digits)}"
            for metric in DECISIONS
        ]
        rows.append([row.architecture, *(cell.strip() for cell in found)])
    return cells(["architecture", *(metric.heading for metric in DECISIONS)], rows)


def _called(row: Row, threshold: Threshold) -> Booleans:
    """Return which images (N,) are called pneumonia."""
    probability = row.predictions["probability"].to_numpy(np.float64)
    of_fold = row.predictions["fold"].map(row.thresholds).to_numpy(np.float64)
    return np.asarray(probability >= (DEFAULT_THRESHOLD if threshold == "half" else of_fold), dtype=np.bool_)
