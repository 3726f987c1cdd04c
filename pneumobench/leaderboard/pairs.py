"""Two rows on the same images: what their areas and their decisions differ by, for every pair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import Row
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD, area_of
from pneumobench.metrics.estimates import PatientEstimate, share_estimate


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first minus the second, its 95 % interval over patients, and p of a two-sided paired test by patient."""

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class RowPair:
    """Two rows, and what they differ by out of fold: area within folds, accuracy at probability 0.5."""

    first: str
    second: str
    auc: Difference
    accuracy: Difference


def comparable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that scored the same images: the complete ones with both classes."""
    return [row for row in rows if row.state == "complete" and row.predictions["label"].nunique() == 2]


def row_pairs(rows: Sequence[Row], group: pd.Series[int]) -> list[RowPair]:
    """Return every pair of rows, in their order.

    Args:
        rows: complete ones.
        group: patient group by image_id.
    """
    areas = {row.architecture: area_of(row.predictions, group) for row in rows}
    right = {row.architecture: _accuracy(row.predictions, group) for row in rows}
    return [
        RowPair(
            first=first,
            second=second,
            auc=_difference(areas[first], areas[second]),
            accuracy=_difference(right[first], right[second]),
        )
        for first, second in itertools.combinations(areas, 2)
    ]


def _accuracy(table: pd.DataFrame, group: pd.Series[int]) -> PatientEstimate:
    called = table["probability"].to_numpy(np.float64) >= DEFAULT_THRESHOLD
    return share_estimate(called == (table["label"].to_numpy() == 1), group.loc[table["image_id"]].to_numpy())


def _difference(first: PatientEstimate, second: PatientEstimate) -> Difference:
    found = first.minus(second)
    interval = found.difference_interval()
    return Difference(value=found.value, low=interval.low, high=interval.high, p_value=found.p_value())
