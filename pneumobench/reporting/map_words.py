"""What people read about heat maps: the columns of their checks, each defined once, verdicts and sentences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.map_checks import AttentionShare, MethodSummary
from pneumobench.leaderboard.randomised_maps import MeanWithInterval
from pneumobench.reporting.columns import NOTHING, interval_text, number

LUNG_ATTENTION_WORDS: Final = (
    "Grad-CAM on out-of-fold images with pneumonia, the same images for every network: the share of a map's positive "
    "attention that falls inside the lungs (LAR), what a uniform map would score (chance), and the share adjusted for "
    "chance, with its 95 % interval over patients and by outcome at threshold 0.5. Maps are read from the deepest "
    "layer that gives at least 7 x 7 cells, or from the finest there is. A map without positive attention is "
    "degenerate: it is scored as chance (0 adjusted) and counted."
)
METHODS_WORDS: Final = (
    "On the out-of-fold images that all methods of a network have a map of; verdicts rest on all images of a method. "
    "Adjusted LAR of maps resized to the image. Positive attention in corners, along borders and outside the body, and "
    "in brackets the share of the image that this is (chance); a degenerate map is scored as chance. Deletion and "
    "insertion areas minus those of the same map in other places, interval over patients (deletion below 0 and "
    "insertion above 0 = better). Left: how much of a map is left when all weights are shuffled, by rank correlation "
    "and by structural similarity of smoothed maps, 0 = as much as between the map and itself in other places, 1 = as "
    "much as between the maps of an image with and without a little noise; mean and interval over independent "
    "shuffles. Exactness: what a method tells of its own error. A method that was checked by the rules of an earlier "
    "version shows its attention alone."
)


def _share_text(share: AttentionShare) -> str:
    return f"{number(share.mean, 2)}{_bracketed(share.chance)}"


def _bracketed(chance: float) -> str:
    return "" if math.isnan(chance) else f" ({number(chance, 2)})"


def _interval_cell(found: MeanWithInterval | None) -> str:
    return NOTHING if found is None else f"{number(found.mean)} {interval_text(found.interval)}".strip()


def _left(found: MethodSummary, name: str) -> MeanWithInterval | None:
    return None if found.randomised is None else found.randomised.left[name]


def _exactness(found: MethodSummary) -> str:
    if found.error is None or found.steps is None:
        return NOTHING
    return f"{100 * found.error:.1f} % off at most, {found.steps:.0f} steps (median)"


@dataclass(frozen=True, kw_only=True)
class MethodColumn:
    """A column of the checks: its heading, the whole cell as text, and the number that it is sorted by."""

    heading: str
    text: Callable[[MethodSummary], str]
    value: Callable[[MethodSummary], float | None]


def _share_column(heading: str, read: Callable[[MethodSummary], AttentionShare]) -> MethodColumn:
    return MethodColumn(
        heading=heading, text=lambda found: _share_text(read(found)), value=lambda found: read(found).mean
    )


def _interval_column(heading: str, read: Callable[[MethodSummary], MeanWithInterval | None]) -> MethodColumn:
    def value(found: MethodSummary) -> float | None:
        return None if (mean := read(found)) is None else mean.mean

    return MethodColumn(heading=heading, text=lambda found: _interval_cell(read(found)), value=value)


def _adjusted(found: MethodSummary) -> float | None:
    return found.attention.pneumonia.lar_adjusted if found.attention else None


METHOD_COLUMNS: Final = (
    MethodColumn(heading="images", text=lambda found: str(found.images), value=lambda found: found.images),
    MethodColumn(heading="LAR adj.", text=lambda found: number(_adjusted(found)), value=_adjusted),
    _share_column("corners (chance)", lambda found: found.corners),
    _share_column("borders (chance)", lambda found: found.borders),
    _share_column("outside body (chance)", lambda found: found.outside_body),
    _interval_column("deletion", lambda found: found.deletion_gain),
    _interval_column("insertion", lambda found: found.insertion_gain),
    _interval_column("left (rank)", lambda found: _left(found, "rank_correlation")),
    _interval_column("left (SSIM)", lambda found: _left(found, "structural_similarity")),
    MethodColumn(heading="exactness", text=_exactness, value=lambda found: found.error),
    MethodColumn(
        heading="s / image",
        text=lambda found: number(found.seconds_per_image),
        value=lambda found: found.seconds_per_image,
    ),
)


def verdict_words(found: MethodSummary) -> str:
    """Say in a few words whether a method's maps can be trusted on an architecture."""
    if found.not_available:
        return f"not available: {found.not_available}"
    reasons = ", ".join(found.verdict.reasons)
    words = {
        "passed": "passed",
        "failed": f"‡ {reasons}",
        "not informative": f"‡ not informative here: {reasons}",
        "not checked": f"? {reasons or 'not checked'}",
        "earlier rules": "? checked by earlier rules only: explain it again",
    }[found.verdict.outcome]
    refused = f"; {found.refused} maps refused" if found.refused else ""
    return words + refused


def attention_words(board: Leaderboard) -> str:
    """Explain the marks behind a lung attention ratio; nothing where there is none."""
    if not any(row.attention for row in board.rows):
        return ""
    return (
        "‡ the heat maps failed a check on this network: they do not depend on what it learnt, are changed by a little "
        "noise, or name the pixels it uses no better than the same maps in other places. ? they were not checked, or "
        "by the rules of an earlier version."
    )
