"""Do the heat maps of a method mean anything on an architecture? Every check over folds, and one verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from pneumobench.leaderboard.lung_attention import (
    AttentionSummary,
    attention_with_outcomes,
    scored_as_chance,
    summaries,
)
from pneumobench.leaderboard.randomised_maps import (
    NO_MEAN,
    SIMILARITIES,
    MeanWithInterval,
    RandomisationSummary,
    randomisation_summary,
    way_from_chance,
)
from pneumobench.metrics.intervals import mean_interval
from pneumobench.records.explanation_record import CHECK_RULES, SHARES, Explanations

# of the way from chance to the network's own map: more of it left without the weights, or less of it left by a little
# noise, and the map does not show what was learnt
HALF: Final = 0.5

Outcome = Literal["passed", "failed", "not informative", "not checked", "earlier rules"]


@dataclass(frozen=True, kw_only=True)
class AttentionShare:
    """Mean share of positive attention in a region, 0 to 1, and the share of the image that the region is (chance)."""

    mean: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class MapVerdict:
    """What the checks say together, and why where it is not `passed`."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """One attribution method on one architecture, over the images that all of its methods were checked on.

    The verdict rests on all images that this method was checked on. Of a method that was checked by earlier rules,
    curves and randomisation are not shown: they were read against other maps.

    Args:
        method: name.
        not_available: why there are no maps; None where there are.
        images: images explained.
        refused: maps that the method refused, of all images; they are used nowhere.
        degenerate: maps without any positive attention, of all images.
        error: largest error of a map that is used, as the method defines it; None of methods that do not tell.
        steps: median number of steps of a map, refused ones included; None of methods that do not tell.
        seconds_per_image: mean time of one map.
        attention: lung attention, by outcome too; None without images.
        corners, borders, outside_body: positive attention there; a degenerate map is scored as chance.
        deletion_gain: deletion area minus that of the same maps in other places; below 0 = better.
        insertion_gain: insertion area minus theirs; above 0 = better.
        randomised: what is left when weights are shuffled; None where no map points anywhere.
        verdict: what all of it says.
    """

    method: str
    not_available: str | None
    images: int
    refused: int
    degenerate: int
    error: float | None
    steps: float | None
    seconds_per_image: float | None
    attention: AttentionSummary | None
    corners: AttentionShare
    borders: AttentionShare
    outside_body: AttentionShare
    deletion_gain: MeanWithInterval
    insertion_gain: MeanWithInterval
    randomised: RandomisationSummary | None
    verdict: MapVerdict

    @property
    def trusted(self) -> bool | None:
        """Whether the method passed its checks on this architecture; None where they were not made by today's rules."""
        return {"passed": True, "failed": False, "not informative": False}.get(self.verdict.outcome)


def method_summaries(
    found: Sequence[Explanations], pooled: pd.DataFrame, group: pd.Series[int]
) -> tuple[MethodSummary, ...]:
    """Sum up every method over the folds that ran it by its newest definition and rules there, by name.

    Args:
        found: explanations of the folds.
        pooled: out-of-fold predictions: image_id, label, probability.
        group: patient group by image_id.
    """
    names = sorted({name for part in found for name in part.record.methods})
    shared = {image_id for part in found for image_id in shared_images(part)}
    return tuple(_method_summary(name, found, shared, pooled, group) for name in names)


def shared_images(found: Explanations) -> set[str]:
    """Return the images of a fold of which every method with maps has one; all images where they share none."""
    tables = [set(table.loc[table["refused"] == 0, "image_id"]) for table in found.methods.values()]
    return (set.intersection(*tables) or set.union(*tables)) if tables else set()


def _method_summary(
    name: str, found: Sequence[Explanations], shared: set[str], pooled: pd.DataFrame, group: pd.Series[int]
) -> MethodSummary:
    asked = [part for part in found if name in part.record.methods]
    # maps of two definitions have no mean, nor have checks by two sets of rules
    newest = max((part.record.methods[name].definition, part.record.methods[name].rules) for part in asked)
    asked = [
        part for part in asked if (part.record.methods[name].definition, part.record.methods[name].rules) == newest
    ]
    metadata = [part.record.methods[name] for part in asked]
    tables = [part.methods[name] for part in asked if name in part.methods]
    rows = pd.DataFrame(columns=["image_id", "lar", "refused"])
    attention, images, degenerate = None, 0, 0
    shares, gains = dict.fromkeys(SHARES, AttentionShare(mean=math.nan, chance=math.nan)), (NO_MEAN, NO_MEAN)
    error, steps, randomised, verdict = None, None, None, MapVerdict(outcome="not checked")
    if tables:
        rows = attention_with_outcomes(pd.concat(tables), pooled).sort_values("image_id", ignore_index=True)
        used = rows[rows["refused"] == 0].reset_index(drop=True)
        degenerate = int(used["lar"].isna().sum())
        error, steps = _or_none(used["error"].max()), _or_none(rows["steps"].median())
        randomised = randomisation_summary([fact.randomised for fact in metadata if fact.randomised is not None])
        earlier = newest[1] < CHECK_RULES
        verdict = _verdict(rows, _gains(used, group), randomised) if not earlier else _EARLIER
        shown = used[used["image_id"].isin(shared)].reset_index(drop=True)
        images = len(shown)
        shares = {share: _share(shown, share) for share in SHARES}
        gains = (NO_MEAN, NO_MEAN) if earlier else _gains(shown, group)
        attention = next(iter(summaries(shown, group)), None)
    seconds = [fact.seconds_per_image for fact in metadata if fact.seconds_per_image is not None]
    return MethodSummary(
        method=name,
        not_available=next((fact.not_available for fact in metadata if fact.not_available), None)
        if not tables
        else None,
        images=images,
        refused=int(rows["refused"].sum()),
        degenerate=degenerate,
        error=error,
        steps=steps,
        seconds_per_image=float(np.mean(seconds)) if seconds else None,
        attention=attention,
        deletion_gain=gains[0],
        insertion_gain=gains[1],
        randomised=randomised,
        verdict=verdict,
        **shares,
    )


_EARLIER: Final = MapVerdict(outcome="earlier rules")


def _verdict(
    rows: pd.DataFrame, gains: tuple[MeanWithInterval, MeanWithInterval], randomised: RandomisationSummary | None
) -> MapVerdict:
    """Return what the checks of today say of a method, `rows` being of all images, refused ones included."""
    empty = int((rows["refused"] == 1).sum() + rows.loc[rows["refused"] == 0, "lar"].isna().sum())
    if 2 * empty > len(rows):
        return MapVerdict(outcome="not informative", reasons=(f"{empty} of {len(rows)} maps empty or refused",))
    ends = [gains[0].high, gains[1].low]
    if randomised is not None:
        ends += [end for left in randomised.left.values() for end in (left.low, left.high)]
    if randomised is None or any(map(math.isnan, ends)):
        return MapVerdict(outcome="not checked", reasons=("not enough images or randomisations",))
    if any(way_from_chance(randomised.repeated, randomised.chance, name) < HALF for name in SIMILARITIES):
        return MapVerdict(outcome="not informative", reasons=("a little noise in the image changes the map",))
    failed = []
    if any(left.low >= HALF for left in randomised.left.values()):
        failed.append("independent of what was learnt")
    elif any(left.high >= HALF for left in randomised.left.values()):
        failed.append("not shown to depend on what was learnt")
    if not (gains[0].high < 0 and gains[1].low > 0):
        failed.append("no better than maps in other places")
    return MapVerdict(outcome="failed" if failed else "passed", reasons=tuple(failed))


def _share(rows: pd.DataFrame, region: str) -> AttentionShare:
    area = rows[f"{region}_area"]
    share = rows[region].where(~scored_as_chance(rows)["degenerate"], area)
    return AttentionShare(mean=float(share.mean()), chance=float(area.mean()))


def _gains(rows: pd.DataFrame, group: pd.Series[int]) -> tuple[MeanWithInterval, MeanWithInterval]:
    """Return deletion and insertion areas minus those of the same maps in other places, over patients."""
    deletion, insertion = (
        _mean(rows[area] - rows[f"{area}_random"], rows["image_id"], group) for area in ("deletion", "insertion")
    )
    return deletion, insertion


def _mean(values: pd.Series[float], image_id: pd.Series[str], group: pd.Series[int]) -> MeanWithInterval:
    usable = values.notna().to_numpy()
    if not usable.any():
        return NO_MEAN
    kept = values.to_numpy(np.float64)[usable]
    interval = mean_interval(kept, group.loc[image_id[usable]].to_numpy()) if len(kept) > 1 else None
    return MeanWithInterval(mean=float(kept.mean()), interval=interval)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
