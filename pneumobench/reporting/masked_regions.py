"""Test-time masking, as people read it: a row for each network and each way to mask its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pneumobench.leaderboard.board import Row
from pneumobench.leaderboard.checks import AblationScore
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import Column, interval_text, number
from pneumobench.reporting.words import mask_words


@dataclass(frozen=True)
class Masking:
    """A way to mask images in words.

    Args:
        masked: what is masked.
        outline: whose outline the mask has.
        fill: what is put in its place.
    """

    masked: str
    outline: str
    fill: str


NOT_MASKED: Final = Masking("nothing", "–", "–")
MASKINGS: Final[dict[str, Masking]] = {
    "none": NOT_MASKED,
    "without_lungs": Masking("lungs", "own", "mean of the rest"),
    "lungs_blurred": Masking("lungs", "own", "their own blur"),
    "without_lungs_other_outline": Masking("lungs", "another patient's", "mean of the rest"),
    "fixed_region_removed": Masking("where lungs are in the training part", "none: one region", "mean of the rest"),
    "only_lungs": Masking("all but the lungs", "own", "mean of the lungs"),
    "only_lungs_other_outline": Masking("all but the lungs", "another patient's", "mean of what is left"),
    "without_borders": Masking("the outer tenth", "none: one region", "mean of the middle"),
}


def _value(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.ablation[name].auc if name in row.ablation else None


def _interval(name: str) -> Callable[[Row], Interval | None]:
    return lambda row: row.ablation[name].interval if name in row.ablation else None


def _normals(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.ablation[name].normals_called_positive if name in row.ablation else None


def _meaning(way: Masking) -> str:
    return f"{way.masked} masked; outline: {way.outline}; fill: {way.fill}"


ABLATION_SCORES: Final = tuple(
    Column(
        key=f"auc_blanked_{name}",
        heading=f"AUC, {way.masked} masked",
        meaning=f"AUC out of fold on the images that have a lung mask; {_meaning(way)}",
        value=_value(name),
        interval=_interval(name),
        higher_is_better=None,
    )
    for name, way in MASKINGS.items()
)
NORMALS_CALLED: Final = tuple(
    Column(
        key=f"normals_called_positive_{name}",
        heading=f"Normals called, {way.masked} masked",
        meaning=f"share of normal images called pneumonia at threshold 0.5; {_meaning(way)}",
        value=_normals(name),
        higher_is_better=None,
    )
    for name, way in MASKINGS.items()
)
HEADINGS: Final = (
    "architecture", "masked", "outline", "fill", "masks", "images", "AUC [95 %]", "normals positive"
)  # fmt: skip


def masking_lines(rows: Sequence[Row], source: str) -> list[list[str]]:
    """Return the cells of the table, in the order of `HEADINGS`."""
    return [
        [
            row.architecture, way.masked, way.outline, way.fill, mask_words(found.mask_tier, source),
            f"{found.images:,}", _auc(found), number(found.normals_called_positive, 2),
        ]
        for row in rows
        for name, way in MASKINGS.items()
        if (found := row.ablation.get(name)) is not None
    ]  # fmt: skip


def _auc(found: AblationScore) -> str:
    return f"{number(found.auc)} {interval_text(found.interval)}".strip()
