"""What a region is worth: the same networks trained and tested on it, against those of the whole image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import area_of
from pneumobench.metrics.comparison import holm
from pneumobench.metrics.intervals import Interval

WHOLE: Final = "whole"  # the region that the others are compared with


@dataclass(frozen=True, kw_only=True)
class RegionDifference:
    """An area under the ROC curve minus that of whole images, on the same images.

    Args:
        difference: negative = the region says less.
        interval: its 95 % interval over patients.
        p_value: two-sided.
        p_holm: the same, corrected for all rows of the table that are compared.
    """

    difference: float
    interval: Interval
    p_value: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class RegionEffect:
    """The score of one architecture that was trained and tested on one region.

    Args:
        architecture: its name; controls too.
        region: see `data.region`.
        images: images that were tested, the same for all regions.
        auc: area under the ROC curve over all tested images.
        auc_interval: its 95 % interval over patients.
        official_auc: that of the mean probability of all folds' models on the official test folder; None without one.
        official_interval: its interval.
        against_whole: None for whole images.
    """

    architecture: str
    region: str
    images: int
    auc: float
    auc_interval: Interval | None
    official_auc: float | None
    official_interval: Interval | None
    against_whole: RegionDifference | None


def region_effects(boards: Mapping[str, Leaderboard], group: pd.Series[int]) -> tuple[RegionEffect, ...]:
    """Compare every architecture that is complete on whole images and on another region, best first on whole images.

    Args:
        boards: leaderboard of the run of each region, all over the same images and folds.
        group: patient group by image_id.

    Raises:
        SettingsError: whole images are missing, or the runs tested other images.
    """
    if WHOLE not in boards:
        raise SettingsError(f"regions {', '.join(boards)}: expected {WHOLE!r} among them, to compare others with.")
    complete = {region: _complete(board) for region, board in boards.items()}
    effects = []
    for name in complete[WHOLE]:
        rows = {region: found[name] for region, found in complete.items() if name in found}
        if len(rows) > 1:
            against = _against_whole(rows, group)
            effects += [_effect(region, row, against.get(region)) for region, row in rows.items()]
    return _corrected(effects)


def _complete(board: Leaderboard) -> dict[str, Row]:
    return {
        row.architecture: row
        for row in board.rows
        if row.state == "complete" and row.out_of_fold is not None and row.kind != "ensemble"
    }


def _effect(region: str, row: Row, against: RegionDifference | None) -> RegionEffect:
    assert row.out_of_fold is not None
    official = row.official
    return RegionEffect(
        architecture=row.architecture,
        region=region,
        images=len(row.predictions),
        auc=row.out_of_fold.auc,
        auc_interval=row.out_of_fold.auc_interval,
        official_auc=None if official is None else official.auc,
        official_interval=None if official is None else official.auc_interval,
        against_whole=against,
    )


def _against_whole(rows: Mapping[str, Row], group: pd.Series[int]) -> dict[str, RegionDifference]:
    """Return the differences of one architecture from its row on whole images, not yet corrected for their number."""
    whole = set(rows[WHOLE].predictions["image_id"])
    area = area_of(rows[WHOLE].predictions, group)
    found = {}
    for region, row in rows.items():
        if other := len(set(row.predictions["image_id"]) ^ whole):
            raise SettingsError(
                f"region {region}: {other} tested images are not those of {WHOLE}; run all regions with "
                "data.require_lung_mask true."
            )
        if region != WHOLE:
            difference = area_of(row.predictions, group).minus(area)
            found[region] = RegionDifference(
                difference=difference.value,
                interval=difference.difference_interval(),
                p_value=(p_value := difference.p_value()),
                p_holm=p_value,
            )
    return found


def _corrected(effects: list[RegionEffect]) -> tuple[RegionEffect, ...]:
    """Return the rows with Holm's correction over all that are compared."""
    compared = [effect.against_whole for effect in effects if effect.against_whole is not None]
    corrected = iter(holm([found.p_value for found in compared]))
    return tuple(
        effect
        if effect.against_whole is None
        else dataclasses.replace(
            effect, against_whole=dataclasses.replace(effect.against_whole, p_holm=next(corrected))
        )
        for effect in effects
    )
