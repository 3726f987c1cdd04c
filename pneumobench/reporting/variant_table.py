"""The table of a comparison, in the terminal, as Markdown and as CSV, and what seeds and subsets add to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.leaderboard.learning_curve import LearningCurve
from pneumobench.leaderboard.seed_noise import SeedNoise, SeedOrder
from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.metrics.intervals import Interval
from pneumobench.records.comparison import Compared
from pneumobench.reporting.columns import NOTHING, interval_text, number, p_value_text
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.variant_words import (
    CURVE_WORDS,
    SEED_NOISE_WORDS,
    SEED_ORDER_WORDS,
    VARIANT_WORDS,
    VariantWords,
)
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.texts import markdown_text

DIGITS: Final = 4


def words_of(axis: Compared, setting: str) -> VariantWords:
    """Return the words of a comparison with its setting in their place."""
    words = VARIANT_WORDS[axis]
    return VariantWords(
        title=words.title.format(setting=setting),
        heading=words.heading.format(setting=setting),
        meaning=words.meaning.format(setting=setting),
        values=words.values,
    )


def variant_table(effects: Sequence[VariantEffect], words: VariantWords, reference: str) -> Table:
    """Return the table for a terminal of 80 characters: without the intervals of the areas themselves."""
    table = console_table(title=words.title)
    headings = ("architecture", words.heading.rsplit(".", 1)[-1], "AUC", f"minus {reference} [95 %]")
    for place, heading in enumerate(headings):
        table.add_column(escape(heading), justify="left" if place < 2 else "right", no_wrap=place == 2)
    for effect in effects:
        name = effect.architecture
        table.add_row(
            Name(name.removeprefix(CONTROL_PREFIX)),
            *map(escape, (effect.value, number(effect.area.value), _difference(effect, 3))),
            style="dim" if name.startswith(CONTROL_PREFIX) else None,
        )
    return table


def variant_csv(effects: Sequence[VariantEffect], heading: str) -> str:
    """Return every number of a comparison as CSV: areas in [0, 1] and their differences, six digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    numbers = ("auc", "difference", "official_auc")
    named = [name for column in numbers for name in (column, f"{column}_low", f"{column}_high")]
    writer.writerow(["architecture", heading.replace(" ", "_"), "images", *named, "p_value", "p_holm"])
    for effect in effects:
        against = effect.against
        pairs = (
            (effect.area.value, effect.area_interval),
            (None, None) if against is None else (against.difference, against.interval),
            (effect.official_auc, effect.official_interval),
        )
        cells = [cell for value, interval in pairs for cell in (_cell(value), *_ends(interval))]
        p_values = ["", ""] if against is None else [f"{against.p_value:.6g}", f"{against.p_holm:.6g}"]
        writer.writerow([effect.architecture, effect.value, effect.images, *cells, *p_values])
    return buffer.getvalue()


def variant_lines(effects: Sequence[VariantEffect], words: VariantWords, reference: str) -> list[str]:
    """Return the table of a comparison as lines of Markdown."""
    headings = (
        "architecture", words.heading, "images tested", "AUC [95 %]", f"minus {reference} [95 %]", "p (Holm)",
        "AUC official test folder [95 %]",
    )  # fmt: skip
    rows = [
        [
            effect.architecture,
            effect.value,
            f"{effect.images:,}",
            _with_interval(effect.area.value, effect.area_interval),
            _difference(effect, DIGITS),
            NOTHING if effect.against is None else p_value_text(effect.against.p_holm),
            _with_interval(effect.official_auc, effect.official_interval),
        ]
        for effect in effects
    ]
    return _markdown(headings, rows, left=2)


def seed_lines(noise: Sequence[SeedNoise], order: Sequence[SeedOrder]) -> list[str]:
    """Return what seeds add: two sections of Markdown."""
    headings = ("architecture", "seeds", "mean AUC", "deviation over seeds", "error over patients", "both")
    rows = [
        [
            one.architecture,
            str(one.seeds),
            *(number(value, DIGITS) for value in (one.mean, one.seed_sd, one.patient_error, one.single_run_sd)),
        ]
        for one in noise
    ]
    lines = ["## Seeds and patients", "", SEED_NOISE_WORDS, "", *_markdown(headings, rows, left=1)]
    if not order:
        return lines
    headings = (
        "higher mean", "lower mean", "difference [95 %]", "deviation over seeds", "error over patients",
        "turned",
    )  # fmt: skip
    rows = [
        [
            one.better,
            one.worse,
            _with_interval(one.difference, one.interval),
            number(one.seed_sd, DIGITS),
            number(one.patient_error, DIGITS),
            f"{one.turned} of {one.pairs}",
        ]
        for one in order
    ]
    return [*lines, "", "## The order of two trainings", "", SEED_ORDER_WORDS, "", *_markdown(headings, rows, left=2)]


def curve_lines(curves: Sequence[LearningCurve]) -> list[str]:
    """Return what numbers of images add: a section of Markdown."""
    headings = ("architecture", "b [95 %]", "AUC for twice the images [95 %]", "limit [95 %]", "largest residual")
    rows = [
        [
            one.architecture,
            _with_interval(one.exponent, one.exponent_interval, 2),
            _with_interval(one.doubled, one.doubled_interval) if one.holds else NOTHING,
            _with_interval(one.limit, one.limit_interval) if one.holds else NOTHING,
            number(one.residual, DIGITS),
        ]
        for one in curves
    ]
    return ["## Fitted law", "", CURVE_WORDS, "", *_markdown(headings, rows, left=1)]


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    rule = "|" + " --- |" * left + " ---: |" * (len(headings) - left)
    return [f"| {' | '.join(map(markdown_text, cells))} |" for cells in (headings,)] + [
        rule,
        *(f"| {' | '.join(map(markdown_text, row))} |" for row in rows),
    ]


def _difference(effect: VariantEffect, digits: int) -> str:
    against = effect.against
    return NOTHING if against is None else _with_interval(against.difference, against.interval, digits)


def _with_interval(value: float | None, interval: Interval | None, digits: int = DIGITS) -> str:
    return NOTHING if value is None else f"{number(value, digits)} {interval_text(interval, digits)}".strip()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _ends(interval: Interval | None) -> tuple[str, str]:
    return ("", "") if interval is None else (_cell(interval.low), _cell(interval.high))
