"""Explanations of one architecture, summed up: its score without lungs, and whether its heat maps mean anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from pneumobench.leaderboard.lung_attention import AttentionSummary, attention_with_outcomes, summaries
from pneumobench.leaderboard.scores import area_of
from pneumobench.metrics.intervals import Interval, mean_interval
from pneumobench.records.explanation_record import CHECK_COLUMNS, NOT_MASKED, Explanations

SIMILAR: Final = (
    0.5  # a map whose ranks correlate this much with that of shuffled weights does not show what was learnt
)


@dataclass(frozen=True, kw_only=True)
class AblationScore:
    """AUC on out-of-fold images with one part blanked.

    Args:
        images: images scored: those with a lung mask.
        mask_tier: where the lung masks come from: drawn, segmented or box.
        auc: area under the ROC curve within folds; 0.5 = chance.
        interval: 95 % interval over patients.
    """

    images: int
    mask_tier: str
    auc: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class MeanWithInterval:
    """A mean over images with its 95 % bootstrap interval over patients; NaN and None without images."""

    mean: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """One attribution method on one architecture, over the images that all of its methods were checked on.

    The two verdicts rest on all images that this method was checked on.

    Args:
        method: name.
        not_available: why there are no maps; None where there are.
        images: images explained.
        seconds_per_image: mean time of one map.
        attention: lung attention, by outcome too; None where every map is degenerate.
        corners, borders, outside_body: mean shares of positive attention there, 0 to 1.
        deletion_gain: mean deletion area minus that of a random map; below 0 = better than random.
        insertion_gain: mean insertion area minus that of a random map; above 0 = better than random.
        randomised_similarity: mean rank correlation with the maps of shuffled weights; should be near 0.
        depends_on_weights: the upper end of that interval lies under 0.5; None without an interval.
        faithful: deletion or insertion beats random maps by its whole interval; None without an interval.
    """

    method: str
    not_available: str | None
    images: int
    seconds_per_image: float | None
    attention: AttentionSummary | None
    corners: MeanWithInterval
    borders: MeanWithInterval
    outside_body: MeanWithInterval
    deletion_gain: MeanWithInterval
    insertion_gain: MeanWithInterval
    randomised_similarity: MeanWithInterval
    depends_on_weights: bool | None
    faithful: bool | None

    @property
    def trusted(self) -> bool | None:
        """Whether the method passed both checks on this architecture; None where one could not be made."""
        if self.depends_on_weights is None or self.faithful is None:
            return None
        return self.depends_on_weights and self.faithful


def ablation_scores(found: Sequence[Explanations], group: pd.Series[int]) -> dict[str, AblationScore]:
    """Return the scores by what was blanked, `none` first; empty where nothing was asked or one class is missing."""
    tables = [part.ablation for part in found if len(part.ablation)]
    if not tables:
        return {}
    rows = pd.concat(tables).sort_values(["blanking", "image_id"], ignore_index=True)
    scores = {}
    for region, part in rows.groupby("blanking", sort=True):
        has_pneumonia = part["label"].to_numpy() == 1
        if has_pneumonia.all() or not has_pneumonia.any():
            return {}
        area = area_of(part, group)
        scores[str(region)] = AblationScore(
            images=len(part),
            mask_tier=" and ".join(sorted({asked.record.mask_tier for asked in found})),
            auc=area.value,
            interval=area.area_interval(),
        )
    return dict(sorted(scores.items(), key=lambda item: (item[0] != NOT_MASKED, item[0])))


def method_summaries(
    found: Sequence[Explanations], pooled: pd.DataFrame, group: pd.Series[int]
) -> tuple[MethodSummary, ...]:
    """Sum up every method over the folds that ran it by its newest definition there, by name.

    Args:
        found: explanations of the folds.
        pooled: out-of-fold predictions: image_id, label, probability.
        group: patient group by image_id.
    """
    names = sorted({name for part in found for name in part.record.methods})
    shared = {image_id for part in found for image_id in shared_images(part)}
    return tuple(_method_summary(name, found, shared, pooled, group) for name in names)


def shared_images(found: Explanations) -> set[str]:
    """Return the images of a fold that every method with maps was checked on; all images where they share none."""
    tables = [set(table["image_id"]) for table in found.methods.values()]
    return (set.intersection(*tables) or set.union(*tables)) if tables else set()


def _method_summary(
    name: str, found: Sequence[Explanations], shared: set[str], pooled: pd.DataFrame, group: pd.Series[int]
) -> MethodSummary:
    asked = [part for part in found if name in part.record.methods]
    newest = max(part.record.methods[name].definition for part in asked)  # maps of two definitions have no mean
    asked = [part for part in asked if part.record.methods[name].definition == newest]
    metadata = [part.record.methods[name] for part in asked]
    tables = [part.methods[name] for part in asked if name in part.methods]
    columns = {column: MeanWithInterval(mean=float("nan"), interval=None) for column in CHECK_COLUMNS}
    attention, images, gains = None, 0, (columns["deletion"], columns["insertion"])
    verdict = _Verdict(depends_on_weights=None, faithful=None)
    if tables:
        rows = attention_with_outcomes(pd.concat(tables), pooled).sort_values("image_id", ignore_index=True)
        verdict = _Verdict.of(rows, group)
        rows = rows[rows["image_id"].isin(shared)].reset_index(drop=True)
        images = len(rows)
        columns = {column: _mean(rows[column], rows["image_id"], group) for column in CHECK_COLUMNS}
        gains = _gains(rows, group)
        attention = next(iter(summaries(rows, group)), None)
    seconds = [fact.seconds_per_image for fact in metadata if fact.seconds_per_image is not None]
    return MethodSummary(
        method=name,
        not_available=next((fact.not_available for fact in metadata if fact.not_available), None)
        if not tables
        else None,
        images=images,
        seconds_per_image=float(np.mean(seconds)) if seconds else None,
        attention=attention,
        corners=columns["corners"],
        borders=columns["borders"],
        outside_body=columns["outside_body"],
        deletion_gain=gains[0],
        insertion_gain=gains[1],
        randomised_similarity=columns["randomised_similarity"],
        depends_on_weights=verdict.depends_on_weights,
        faithful=verdict.faithful,
    )


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """Whether a method holds on an architecture, from all images that it was checked on."""

    depends_on_weights: bool | None
    faithful: bool | None

    @classmethod
    def of(cls, rows: pd.DataFrame, group: pd.Series[int]) -> _Verdict:
        similarity = _mean(rows["randomised_similarity"], rows["image_id"], group)
        gains = _gains(rows, group)
        return cls(
            depends_on_weights=None if _no_interval(similarity) else _end(similarity, "high") < SIMILAR,
            faithful=None if any(map(_no_interval, gains)) else _end(gains[0], "high") < 0 or _end(gains[1], "low") > 0,
        )


def _gains(rows: pd.DataFrame, group: pd.Series[int]) -> tuple[MeanWithInterval, MeanWithInterval]:
    """Return deletion and insertion areas minus those of random maps."""
    deletion, insertion = (
        _mean(rows[area] - rows[f"{area}_random"], rows["image_id"], group) for area in ("deletion", "insertion")
    )
    return deletion, insertion


def _mean(values: pd.Series[float], image_id: pd.Series[str], group: pd.Series[int]) -> MeanWithInterval:
    usable = values.notna().to_numpy()
    if not usable.any():
        return MeanWithInterval(mean=float("nan"), interval=None)
    kept = values.to_numpy(np.float64)[usable]
    interval = mean_interval(kept, group.loc[image_id[usable]].to_numpy()) if len(kept) > 1 else None
    return MeanWithInterval(mean=float(kept.mean()), interval=interval)


def _no_interval(mean: MeanWithInterval) -> bool:
    return mean.interval is None or math.isnan(mean.interval.low)


def _end(mean: MeanWithInterval, end: Literal["low", "high"]) -> float:
    assert mean.interval is not None
    return mean.interval.low if end == "low" else mean.interval.high
