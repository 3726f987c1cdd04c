"""The columns that say how unsure a network is, and the words that stand above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pneumobench.leaderboard.board import Row
from pneumobench.leaderboard.scores import COVERAGES
from pneumobench.leaderboard.uncertainty import Decided, Uncertainty
from pneumobench.reporting.columns import Column

UNCERTAINTY_WORDS: Final = (
    "A network is unsure of an image where neither probability, after temperature scaling, is large. Images below a "
    "confidence that is chosen on each fold's validation part, so that 95, 90 or 80 % of them reach it, are left to a "
    "reader; the table shows which share of other images reached it, and the share of errors among these at threshold "
    "0.5. Where other images differ from those of the validation part, the shares need not hold."
)
Read = Callable[[Row], Uncertainty | None]


def _value(read: Read, value: Callable[[Uncertainty], float | None]) -> Callable[[Row], float | None]:
    def of_row(row: Row) -> float | None:
        found = read(row)
        return None if found is None else value(found)

    return of_row


def _decided(coverage: float, value: Callable[[Decided], float]) -> Callable[[Uncertainty], float]:
    return lambda found: value(found.decided[f"{coverage:g}"])


def _columns(read: Read, prefix: str) -> tuple[Column, ...]:
    shown = [
        Column(
            key=f"{prefix}entropy",
            heading="Entropy",
            meaning="mean entropy of the tempered predictions, in bits: 0 = always sure, 1 = as unsure as a coin",
            value=_value(read, lambda found: found.entropy),
            higher_is_better=False,
        ),
        Column(
            key=f"{prefix}risk_area",
            heading="AURC",
            meaning="area under the risk-coverage curve: mean share of errors over all shares of images that are "
            "decided, the most confident first; 0 = none (Geifman et al. 2019)",
            value=_value(read, lambda found: found.risk_area),
            digits=4,
            higher_is_better=False,
        ),
    ]
    for coverage in COVERAGES:
        name = f"{100 * coverage:.0f}"
        shown += [
            Column(
                key=f"{prefix}decided_{name}",
                heading=f"Decided at {name} %",
                meaning=f"share of images that reach the confidence which {name} % of the validation part reach",
                value=_value(read, _decided(coverage, lambda found: found.share)),
                higher_is_better=None,
            ),
            Column(
                key=f"{prefix}errors_{name}",
                heading=f"Errors at {name} %",
                meaning="share of errors among the images that are decided",
                value=_value(read, _decided(coverage, lambda found: found.errors)),
                digits=4,
                higher_is_better=False,
            ),
        ]
    return tuple(shown)


SPLIT_DECISIONS: Final = Column(
    key="official_split_decisions",
    heading="Folds disagree",
    meaning="share of images that the folds' models do not all decide alike at threshold 0.5",
    value=_value(lambda row: row.official_uncertainty, lambda found: found.split_decisions),
    higher_is_better=False,
)
UNCERTAINTY: Final = _columns(lambda row: row.uncertainty, "")
OFFICIAL_UNCERTAINTY: Final = (*_columns(lambda row: row.official_uncertainty, "official_"), SPLIT_DECISIONS)
