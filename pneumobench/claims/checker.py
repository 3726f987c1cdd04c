"""Verdicts on reported numbers: the matrices that fit, a rounding slip, or the contradiction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np

from pneumobench.claims.matrices import MATRICES_MAX, Reported, matching
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.table import PRINTED_METRICS

SLIP_UNITS: Final = 0.999  # cut off, or rounded the wrong way: less than one unit of the last digit
FOLDS_TRIED: Final = range(2, 11)
TRUSTED: Final = ("accuracy", "recall", "specificity")  # what is told of a matrix that the paper left out

VerdictKind = Literal["consistent", "slip", "contradiction"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is reported of a system on one test set.

    Args:
        system: its name.
        images: size of the test set.
        pneumonia: how many of them show pneumonia; None = not given.
        metrics: as printed.
        matrix: confusion matrix as printed; None = none was.
        averaged_over: folds or runs that the metrics are means over.
        architecture: name of the architecture that reproduces it; empty = none does.
    """

    system: str
    images: int
    pneumonia: int | None
    metrics: tuple[Reported, ...]
    matrix: Confusion | None = None
    averaged_over: int = 1
    architecture: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What follows from a claim.

    Args:
        kind: consistent, slip (all fits but for a rounding slip), or contradiction.
        matrices: confusion matrices that fit; none for a contradiction.
        words: sentences that say why.
    """

    kind: VerdictKind
    matrices: tuple[Confusion, ...]
    words: tuple[str, ...]


def check_claim(claim: Claim) -> Verdict:
    """Judge a claim.

    Raises:
        SettingsError: the test set is too large to try all matrices of it.
    """
    if claim.matrix is not None:
        return _check_matrix(claim, claim.matrix)
    if impossible := [found for metric in claim.metrics if (found := _impossible_accuracy(claim, metric))]:
        return Verdict(kind="contradiction", matrices=(), words=tuple(impossible))
    if claim.averaged_over > 1:
        return _check_means(claim)
    if fitting := matching(claim.images, claim.pneumonia, claim.metrics):
        return Verdict(kind="consistent", matrices=tuple(fitting), words=(_count_words(fitting, claim),))
    for count in range(1, len(claim.metrics) + 1):
        for loose in combinations(claim.metrics, count):
            slack = {metric.name: SLIP_UNITS for metric in loose if metric.relation == "="}
            if slack and (fitting := matching(claim.images, claim.pneumonia, claim.metrics, slack_units=slack)):
                slips = [_slip_words(fitting, metric) for metric in loose]
                return Verdict(kind="slip", matrices=tuple(fitting), words=(*slips, _count_words(fitting, claim)))
    return Verdict(kind="contradiction", matrices=(), words=_conflict_words(claim))


def _check_means(claim: Claim) -> Verdict:
    """Judge means over several test sets: they have no matrix, and only accuracy moves in known steps."""
    total = claim.images * claim.averaged_over
    accuracy = next((m for m in claim.metrics if m.name == "accuracy" and m.relation == "="), None)
    if accuracy is None:
        words = f"Means over {claim.averaged_over} test sets have no confusion matrix: nothing can be checked."
        return Verdict(kind="consistent", matrices=(), words=(words,))
    if not _is_step(accuracy, total):
        words = f"Accuracy {accuracy.text} is no step of {total:,} images, but for a rounding slip."
        return Verdict(kind="slip", matrices=(), words=(words,))
    words = f"Means over {claim.averaged_over} test sets have no confusion matrix of their own; the accuracy is a step."
    return Verdict(kind="consistent", matrices=(), words=(words,))


def _check_matrix(claim: Claim, matrix: Confusion) -> Verdict:
    """Judge a printed matrix by its sum, its prevalence and the printed metrics."""
    words, slips = [], []
    if matrix.images != claim.images:
        words.append(
            f"The printed matrix adds up to {matrix.images:,} images, not the {claim.images:,} that are stated."
        )
    if claim.pneumonia is not None and matrix.pneumonia != claim.pneumonia:
        words.append(f"It holds {matrix.pneumonia:,} images with pneumonia, not {claim.pneumonia:,}.")
    for metric in claim.metrics:
        value = matrix.value(metric.name)
        if _fits(metric, value):
            continue
        if metric.relation == "=" and _fits(metric, value, SLIP_UNITS):
            slips.append(_slip_words([matrix], metric))
        else:
            words.append(f"Its {_spoken(metric.name)} is {_number(value)}; {metric.text} is printed.")
    if words:
        return Verdict(kind="contradiction", matrices=(), words=(*words, *slips))
    if slips:
        return Verdict(kind="slip", matrices=(matrix,), words=tuple(slips))
    agreed = ", ".join(_spoken(metric.name) for metric in claim.metrics)
    said = f"The printed matrix gives every number: {agreed}." if agreed else "The printed matrix adds up."
    return Verdict(kind="consistent", matrices=(matrix,), words=(said,))


def _fits(metric: Reported, value: float, slack_units: float = 0.5) -> bool:
    return bool(metric.fits(np.array([value]), slack_units=slack_units)[0])


def _impossible_accuracy(claim: Claim, metric: Reported) -> str:
    """Say that no count of right answers gives an accuracy, and which number of folds would; empty if one does."""
    if metric.name != "accuracy" or metric.relation != "=":
        return ""
    total = claim.images * claim.averaged_over
    if _is_step(metric, total):
        return ""
    below = math.floor(metric.value * total)
    steps = f"{_number(below / total)} ({below} right) and {_number((below + 1) / total)} ({below + 1})"
    averages = [
        folds for folds in FOLDS_TRIED if folds != claim.averaged_over and _is_step(metric, claim.images * folds)
    ]
    *most, last = map(str, averages or [0])
    several = f"{', '.join(most)} or {last}" if most else last
    hint = f" As a mean over {several} test sets of that size it could." if averages else ""
    # an accuracy that is off by a rounding slip is for the search of slips to tell
    if _is_step(metric, total, SLIP_UNITS):
        return ""
    return f"Accuracy {metric.text} cannot come from {total:,} images: the nearest are {steps}.{hint}"


def _is_step(metric: Reported, total: int, slack_units: float = 0.5) -> bool:
    right = np.arange(
        math.floor((metric.value - metric.unit) * total), math.ceil((metric.value + metric.unit) * total) + 1
    )
    return bool(metric.fits(right / total, slack_units=slack_units).any())


def _count_words(found: Sequence[Confusion], claim: Claim) -> str:
    if len(found) >= MATRICES_MAX:
        return f"{MATRICES_MAX:,} confusion matrices fit, or more: the numbers say little."
    told = {metric.name for metric in claim.metrics}
    ranges = []
    for name in (name for name in TRUSTED if name not in told or len(found) == 1):
        values = [matrix.value(name) for matrix in found]
        low, high = _number(min(values)), _number(max(values))
        ranges.append(f"{_spoken(name)} {low}" if low == high else f"{_spoken(name)} {low} to {high}")
    if len(found) == 1:
        return f"Exactly one confusion matrix fits: {found[0]} ({', '.join(ranges)})."
    tail = f": {', '.join(ranges)}" if ranges else ""
    return f"{len(found):,} confusion matrices fit{tail}."


def _slip_words(found: Sequence[Confusion], metric: Reported) -> str:
    value = min((matrix.value(metric.name) for matrix in found), key=lambda value: abs(value - metric.value))
    spoken = _spoken(metric.name)
    return f"{spoken[0].upper()}{spoken[1:]} {value:.5f} was printed as {metric.text}: a rounding slip."


def _conflict_words(claim: Claim) -> tuple[str, ...]:
    """Name the fewest metrics without which a matrix fits."""
    for count in range(1, len(claim.metrics)):
        for dropped in combinations(claim.metrics, count):
            kept = [metric for metric in claim.metrics if metric not in dropped]
            if found := matching(claim.images, claim.pneumonia, kept):
                names = " and ".join(_spoken(metric.name) for metric in dropped)
                near = min(found, key=lambda matrix: sum(abs(matrix.value(m.name) - m.value) for m in dropped))
                values = ", ".join(f"{_number(near.value(m.name))} against the printed {m.text}" for m in dropped)
                return (f"No confusion matrix fits. Without {names} {len(found):,} would; the nearest gives {values}.",)
    return ("No confusion matrix fits, not even for one of the metrics alone.",)


def _spoken(name: str) -> str:
    """Return a metric's name inside a sentence: abbreviations such as MCC as they are written."""
    heading = PRINTED_METRICS[name].heading
    return heading if heading.isupper() else name.replace("_", " ")


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}".removeprefix("0")
