"""The columns that people see, each defined once: heading, meaning, digits and how it is read from a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pneumobench.leaderboard.board import CostSummary, Row
from pneumobench.leaderboard.lung_attention import AttentionSummary
from pneumobench.leaderboard.scores import Scores
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.table import CALIBRATION_METRICS, COUNT_METRICS, METRICS, Metric

NOTHING: Final = "–"  # shown where a number does not exist
LEAST_P_SHOWN: Final = 0.0001


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of numbers.

    Args:
        key: its name in files and for sorting.
        heading: what stands above it.
        meaning: one sentence for the legend.
        digits: digits after the point.
        value: the number of a row; None or NaN where it does not exist.
        interval: its interval, if it has one.
        higher_is_better: which way a reader sorts first; None for a cost or a count.
        mark: a sign behind the number, if it needs one.
    """

    key: str
    heading: str
    meaning: str
    value: Callable[[Row], float | None]
    digits: int = 3
    interval: Callable[[Row], Interval | None] | None = None
    higher_is_better: bool | None = True
    mark: Callable[[Row], str] = lambda row: ""  # noqa: ARG005


Read = Callable[[Row], Scores | None]
DECISIONS: Final = tuple(metric for metric in COUNT_METRICS.values() if metric.in_short)  # where a table stays narrow


def _of(scores: Read, value: Callable[[Scores], float]) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        found = scores(row)
        return None if found is None else value(found)

    return read


def _auc_interval_of(scores: Read) -> Callable[[Row], Interval | None]:
    def read(row: Row) -> Interval | None:
        found = scores(row)
        return None if found is None else found.auc_interval

    return read


def _column(metric: Metric, scores: Read, value: Callable[[Scores], float], suffix: str = "") -> Column:
    """Return the column of a metric; `suffix` says what it is of, such as `tuned`."""
    return Column(
        key=f"{metric.name}_{suffix}" if suffix else metric.name,
        heading=metric.heading + (", tempered" if suffix == "tempered" else ""),
        meaning=metric.meaning,
        value=_of(scores, value),
        digits=metric.digits,
        interval=_auc_interval_of(scores) if metric.name == "auc" else None,
        higher_is_better=metric.higher_is_better,
    )


def _at_half(metric: Metric, scores: Read) -> Column:
    return _column(metric, scores, lambda found: found.value(metric.name))


def _at_tuned(metric: Metric, scores: Read) -> Column:
    return _column(metric, scores, lambda found: found.at_tuned.value(metric.name), "tuned")


def _tempered(metric: Metric, scores: Read) -> Column:
    return _column(metric, scores, lambda found: found.tempered[metric.name], "tempered")


def _full(scores: Read) -> tuple[Column, ...]:
    """Return every metric of the table, decisions at probability 0.5."""
    return tuple(_at_half(metric, scores) for metric in METRICS.values())


def _short(scores: Read) -> tuple[Column, ...]:
    """Return the metrics that stand in the main tables."""
    return tuple(_at_half(metric, scores) for metric in METRICS.values() if metric.in_short)


def _tuned(scores: Read) -> tuple[Column, ...]:
    """Return what the validation part changes: decisions at its threshold, calibration after its temperature."""
    calibration = [
        column
        for metric in CALIBRATION_METRICS.values()
        for column in (_at_half(metric, scores), _tempered(metric, scores))
    ]
    return (*(_at_tuned(metric, scores) for metric in COUNT_METRICS.values()), *calibration)


def main_attention(row: Row) -> AttentionSummary | None:
    """Return the lung attention over the largest set of masks of one tier."""
    return row.attention[0] if row.attention else None


def _attention(value: Callable[[AttentionSummary], float]) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        summary = main_attention(row)
        return None if summary is None else value(summary)

    return read


def _adjusted_interval(row: Row) -> Interval | None:
    summary = main_attention(row)
    return None if summary is None else summary.lar_adjusted_interval


def _attention_holds(row: Row) -> bool | None:
    """Tell whether the method behind the lung attention passed its checks here; None where there is nothing to mark."""
    summary = main_attention(row)
    if summary is None:
        return True
    return next((checked.trusted for checked in row.methods if checked.method == summary.method), None)


def _out_of_fold(row: Row) -> Scores | None:
    return row.out_of_fold


# one column beside AUC, in the table of every metric alone: what other people print
AUC_POOLED: Final = Column(
    key="auc_pooled",
    heading="AUC, pooled",
    meaning=(
        "area over the images of all folds together; it mixes the scales of several models, so nothing is ranked by it"
    ),
    value=lambda row: None if row.out_of_fold is None else row.out_of_fold.auc_pooled,
)


def _official(row: Row) -> Scores | None:
    return row.official


OUT_OF_FOLD: Final = _short(_out_of_fold)
OUT_OF_FOLD_FULL: Final = (*_full(_out_of_fold), AUC_POOLED)
OUT_OF_FOLD_TUNED: Final = _tuned(_out_of_fold)
OFFICIAL: Final = _short(_official)
OFFICIAL_FULL: Final = _full(_official)
OFFICIAL_TUNED: Final = _tuned(_official)
LUNG_ATTENTION: Final = (
    Column(
        key="lar_adjusted",
        heading="LAR adj.",
        meaning=(
            "lung attention ratio against chance, over pneumonia images: 0 = no better than looking "
            "everywhere, 1 = all attention inside the lungs, negative = looks away; a map without positive attention "
            "counts as 0"
        ),
        value=_attention(lambda summary: summary.pneumonia.lar_adjusted),
        interval=_adjusted_interval,
        mark=lambda row: {True: "", False: " ‡", None: " ?"}[_attention_holds(row)],
    ),
)


def _cost(value: Callable[[CostSummary], float | None], unit: float = 1.0) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        found = None if row.cost is None else value(row.cost)
        return None if found is None else found / unit

    return read


COST: Final = (
    Column(
        key="parameters",
        heading="Parameters (M)",
        meaning="millions of parameters",
        value=_cost(lambda cost: cost.parameters, 1e6),
        digits=1,
        higher_is_better=None,
    ),
    Column(
        key="flops",
        heading="GFLOPs / image",
        meaning="billions of floating-point operations for one image",
        value=_cost(lambda cost: cost.flops_per_image, 1e9),
        digits=2,
        higher_is_better=None,
    ),
    Column(
        key="step_milliseconds",
        heading="Step (ms)",
        meaning=(
            "median milliseconds of a training step of one batch, loading and augmentation included; compare "
            "architectures by it: other work of the machine in some of the steps does not move it"
        ),
        value=_cost(lambda cost: cost.step_seconds, 1e-3),
        digits=1,
        higher_is_better=None,
    ),
    Column(
        key="training_minutes",
        heading="Training (min)",
        meaning="wall-clock minutes of training, all completed folds together; a busy machine lengthens them",
        value=_cost(lambda cost: cost.training_seconds, 60.0),
        digits=1,
        higher_is_better=None,
    ),
    Column(
        key="inference",
        heading="Images / s",
        meaning="images scored in a second",
        value=_cost(lambda cost: cost.inference_images_per_second),
        digits=0,
        higher_is_better=None,
    ),
    Column(
        key="peak_memory",
        heading="Peak memory (MiB)",
        meaning="largest memory that a job added to its process; on CUDA, of the device",
        value=_cost(lambda cost: cost.peak_memory_mib),
        digits=0,
        higher_is_better=None,
    ),
)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as people read it, or a dash where there is none.

    >>> number(0.98765), number(1234.5, 0), number(float("nan")), number(-0.0001)
    ('0.988', '1,234', '–', '0.000')
    """
    return NOTHING if value is None or math.isnan(value) else f"{value:z,.{digits}f}".replace("-", "−")


def p_value_text(p_value: float) -> str:
    """Return a p-value as people read it: one that is smaller than the digits shown is not shown as a number.

    >>> p_value_text(0.0312), p_value_text(1e-9), p_value_text(0.00004)
    ('0.0312', '< 0.0001', '< 0.0001')
    """
    return f"< {LEAST_P_SHOWN:.4f}" if p_value < LEAST_P_SHOWN else number(p_value, 4)


def interval_text(interval: Interval | None, digits: int = 3) -> str:
    """Return `[0.981, 0.992]`, or an empty string where there is no interval."""
    if interval is None or math.isnan(interval.low):
        return ""
    return f"[{number(interval.low, digits)}, {number(interval.high, digits)}]"
