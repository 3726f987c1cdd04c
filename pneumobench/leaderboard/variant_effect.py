"""What a setting does to a score: the same architectures under several values of it, compared with one of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import area_of
from pneumobench.metrics.comparison import holm
from pneumobench.metrics.estimates import PatientEstimate
from pneumobench.metrics.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class VariantDifference:
    """An area under the ROC curve minus that of the reference.

    Args:
        difference: negative = less than the reference.
        interval: its 95 % interval over patients; a patient who is tested under both values is one patient.
        p_value: two-sided.
        p_holm: the same, corrected for all rows of the table that are compared.
    """

    difference: float
    interval: Interval
    p_value: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class VariantEffect:
    """The score of one architecture under one value of a setting.

    Args:
        architecture: its name; controls too.
        value: of the setting.
        images: images that were tested.
        area: area under the ROC curve of these images, within folds, with the influence of every patient.
        area_interval: its 95 % interval over patients.
        official_auc: that of the mean probability of all folds' models on the official test folder; None without one.
        official_interval: its interval.
        against: what changes against the reference; None for the reference.
    """

    architecture: str
    value: str
    images: int
    area: PatientEstimate
    area_interval: Interval
    official_auc: float | None
    official_interval: Interval | None
    against: VariantDifference | None


def variant_effects(
    boards: Mapping[str, Leaderboard], reference: str, group: pd.Series[int]
) -> tuple[VariantEffect, ...]:
    """Compare every architecture that is complete under the reference and another value, best first there.

    Left out are controls whose area no value changes, as under other settings of the networks.

    Args:
        boards: leaderboard of the run under each value, all over the same images.
        reference: value that the others are compared with.
        group: patient group by image_id.
    """
    complete = {value: _complete(board) for value, board in boards.items()}
    effects: list[VariantEffect] = []
    for name in complete[reference]:
        rows = {value: of_value[name] for value, of_value in complete.items() if name in of_value}
        if len(rows) < 2:
            continue
        found = _effects(rows, reference, group)
        if not rows[reference].is_control or any(one.against and one.against.difference for one in found):
            effects += found
    return _corrected(effects)


def _complete(board: Leaderboard) -> dict[str, Row]:
    return {
        row.architecture: row
        for row in board.rows
        if row.state == "complete" and row.out_of_fold is not None and row.kind != "ensemble"
    }


def _effects(rows: Mapping[str, Row], reference: str, group: pd.Series[int]) -> list[VariantEffect]:
    areas = {value: area_of(row.predictions, group) for value, row in rows.items()}
    effects = []
    for value, row in rows.items():
        difference = areas[value].minus(areas[reference])
        effects.append(
            VariantEffect(
                architecture=row.architecture,
                value=value,
                images=len(row.predictions),
                area=areas[value],
                area_interval=areas[value].area_interval(),
                official_auc=None if row.official is None else row.official.auc,
                official_interval=None if row.official is None else row.official.auc_interval,
                against=None
                if value == reference
                else VariantDifference(
                    difference=difference.value,
                    interval=difference.difference_interval(),
                    p_value=difference.p_value(),
                    p_holm=difference.p_value(),
                ),
            )
        )
    return effects


def _corrected(effects: list[VariantEffect]) -> tuple[VariantEffect, ...]:
    """Return the rows with Holm's correction over all that are compared."""
    corrected = iter(holm([effect.against.p_value for effect in effects if effect.against is not None]))
    return tuple(
        effect
        if effect.against is None
        else dataclasses.replace(effect, against=dataclasses.replace(effect.against, p_holm=next(corrected)))
        for effect in effects
    )
