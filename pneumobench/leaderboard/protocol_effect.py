"""What a split does to a score: the same network, settings and images under several protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.scores import area_of
from pneumobench.metrics.intervals import Interval

REFERENCE: Final = "patient"  # the protocol that the others are compared with


@dataclass(frozen=True, kw_only=True)
class ProtocolEffect:
    """The score of one architecture under one protocol.

    Args:
        architecture: its name; controls too.
        protocol: how images were split.
        images: images that were tested.
        auc: area under the ROC curve of the tested images, within folds.
        auc_interval: its 95 % interval over patients.
        difference: auc minus that of the reference protocol; None for the reference.
        difference_interval: its 95 % interval; a patient who is tested under both protocols is one patient.
    """

    architecture: str
    protocol: str
    images: int
    auc: float
    auc_interval: Interval | None
    difference: float | None
    difference_interval: Interval | None


def protocol_effects(boards: Mapping[str, Leaderboard], group: pd.Series[int]) -> tuple[ProtocolEffect, ...]:
    """Compare every architecture that is complete under all protocols, best first under the reference.

    Args:
        boards: leaderboard of the run of each protocol, all over the same index.
        group: patient group by image_id.

    Raises:
        SettingsError: the reference protocol is missing.
    """
    if REFERENCE not in boards:
        raise SettingsError(
            f"protocols {', '.join(boards)}: expected {REFERENCE!r} among them, to compare others with."
        )
    complete = {
        protocol: {
            row.architecture: row
            for row in board.rows
            if row.state == "complete" and row.out_of_fold is not None and row.kind != "ensemble"
        }
        for protocol, board in boards.items()
    }
    effects = []
    for name, reference in complete[REFERENCE].items():
        if not all(name in rows for rows in complete.values()):
            continue
        for protocol, rows in complete.items():
            row = rows[name]
            assert row.out_of_fold is not None
            assert reference.out_of_fold is not None
            other = protocol != REFERENCE
            effects.append(
                ProtocolEffect(
                    architecture=name,
                    protocol=protocol,
                    images=len(row.predictions),
                    auc=row.out_of_fold.auc,
                    auc_interval=row.out_of_fold.auc_interval,
                    difference=row.out_of_fold.auc - reference.out_of_fold.auc if other else None,
                    difference_interval=_difference_interval(row, reference, group) if other else None,
                )
            )
    return tuple(effects)


def _difference_interval(row: Row, reference: Row, group: pd.Series[int]) -> Interval:
    return area_of(row.predictions, group).minus(area_of(reference.predictions, group)).difference_interval()
