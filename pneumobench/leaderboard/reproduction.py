"""Paper against reproduction: what is printed, whether it can be true, and what the recipe gives here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pneumobench.claims.checker import Claim, Verdict, check_claim
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.metrics.confusion import confusion_of
from pneumobench.metrics.decision_intervals import confusion_metric_intervals
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.table import COUNT_METRICS


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """One printed metric and what the recipe gave.

    Args:
        metric: its name.
        printed: as printed.
        value: here, at probability 0.5; None = the network has no score.
        interval: its 95 % interval over patients.
    """

    metric: str
    printed: str
    value: float | None
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """One system of a paper.

    Args:
        system: its name in the paper.
        architecture: what reproduces it; empty = nothing does.
        verdict: what the claims checker says of the printed numbers.
        images: images that were scored here.
        metrics: the printed metrics that can be compared.
        auc: area under the ROC curve here, None without a score.
    """

    system: str
    architecture: str
    verdict: Verdict
    images: int
    metrics: tuple[Reproduced, ...]
    auc: float | None


def reproductions(claims: Sequence[Claim], board: Leaderboard, group: pd.Series[int]) -> tuple[Reproduction, ...]:
    """Set the claims of a paper against a leaderboard of its recipe.

    Where the recipe holds images out of all folds, those are compared, by the mean probability of the folds' networks.

    Args:
        claims: what is reported.
        board: leaderboard of the run of the paper's suite.
        group: patient group by image_id.
    """
    rows = {row.architecture: row for row in board.networks}
    found = []
    for claim in claims:
        row = rows.get(claim.architecture)
        table = None if row is None else _scored(row, held_out=board.held_out)
        found.append(
            Reproduction(
                system=claim.system,
                architecture=claim.architecture,
                verdict=check_claim(claim),
                images=0 if table is None else len(table),
                metrics=_metrics(claim, table, group),
                auc=_auc(row, held_out=board.held_out),
            )
        )
    return tuple(found)


def _scored(row: Row, *, held_out: bool) -> pd.DataFrame | None:
    table = row.official_predictions if held_out else row.predictions
    return table if row.out_of_fold is not None and len(table) else None


def _auc(row: Row | None, *, held_out: bool) -> float | None:
    scores = None if row is None else (row.official if held_out else row.out_of_fold)
    return None if scores is None else scores.auc


def _metrics(claim: Claim, table: pd.DataFrame | None, group: pd.Series[int]) -> tuple[Reproduced, ...]:
    values: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    if table is not None:
        called = table["probability"].to_numpy(np.float64) >= DEFAULT_THRESHOLD
        label = table["label"].to_numpy() == 1
        intervals = confusion_metric_intervals(called, label, group.loc[table["image_id"]].to_numpy())
        values = confusion_of(called, label).values()
    return tuple(
        Reproduced(
            metric=metric.name,
            printed=metric.text,
            value=values.get(metric.name),
            interval=intervals.get(metric.name),
        )
        for metric in claim.metrics
        if metric.name in COUNT_METRICS  # the others are printed alone: they have no interval here
    )
