"""External images shown in several ways, and what coarse facts without structure say of the label: Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.external import inverted
from pneumobench.leaderboard.external_variants import STRATA, FactScore, SetFact, StrataScore, VariantScore
from pneumobench.metrics.intervals import Interval
from pneumobench.radiographs.gray_facts import GRAY_FACTS
from pneumobench.reporting.columns import NOTHING, interval_text, number, p_value_text
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.external_table import INVERTED, INVERTED_WORDS, external_auc
from pneumobench.suite.external_variants import AS_IS, VARIANT_WORDS
from pneumobench.texts import markdown_text

VARIANTS_TABLE, FACTS_TABLE, STRATA_TABLE, PAGE = "variants.csv", "facts.csv", "strata.csv", "README.md"
ALL_FACTS: Final = "all_facts"
FACT_WORDS: Final = {
    **GRAY_FACTS,
    ALL_FACTS: "gradient boosting on all of these, trained on the run's own images as the networks of each fold were",
}
DIRECTION_WORDS: Final = {
    "same": "same direction", "opposite": "**opposite direction**", "unclear": "not shown by both",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExternalVariants:
    """What came of showing external images in several ways.

    Args:
        scores: a row for each architecture and variant, as they are first.
        facts: what coarse facts without structure say of the label in both sets.
        strata: AUC among external images that are alike in a fact.
        lungs_refused: external images whose segmented lungs were not plausible; None where none were segmented.
    """

    scores: tuple[VariantScore, ...]
    facts: tuple[FactScore, ...]
    strata: tuple[StrataScore, ...]
    lungs_refused: int | None


def variants_console(found: ExternalVariants) -> Table:
    """Return the table of variants for a terminal."""
    table = console_table(
        title="The same images, shown in other ways",
        caption=f"minus {AS_IS}: the same patients on both sides. What facts alone say stands in the page.",
    )
    for place, heading in enumerate(("architecture", "variant", "AUC", f"minus {AS_IS} [95 %]")):
        table.add_column(escape(heading), justify="left" if place < 2 else "right", no_wrap=place > 1)
    for score in found.scores:
        auc = number(score.auc) + (f" {INVERTED}" if inverted(score.auc_interval) else "")
        table.add_row(Name(score.architecture), *map(escape, (score.variant, auc, _difference(score))))
    return table


def write_variants(folder: Path, found: ExternalVariants, what: str, commands: Sequence[str]) -> Path:
    """Write README.md and a CSV of each table into a folder and return the first.

    Args:
        folder: `variants/` of the external data.
        found: the scores.
        what: counts of images and patients, in words.
        commands: command lines that made the run, and these.
    """
    write_text(folder / VARIANTS_TABLE, variants_csv(found.scores))
    sets = [f"{where}_{key}" for where in ("own", "external") for key in ("normal", "pneumonia", "auc", "low", "high")]
    facts = _csv(
        ["fact", *sets, "direction"],
        ([one.name, *_numbers(one.own), *_numbers(one.external), one.direction] for one in found.facts),
    )
    strata = _csv(
        ["architecture", "fact", "auc", "auc_low", "auc_high"],
        ([one.architecture, one.fact, one.auc, *_ends(one.auc_interval)] for one in found.strata),
    )
    write_text(folder / FACTS_TABLE, facts)
    write_text(folder / STRATA_TABLE, strata)
    write_text(folder / PAGE, "\n".join(_page(found, what, commands)) + "\n")
    return folder / PAGE


def variants_csv(scores: Iterable[VariantScore]) -> str:
    """Return the text of variants.csv."""
    return _csv(
        ["architecture", "variant", "auc", "auc_low", "auc_high", "difference", "difference_low", "difference_high",
         "p_holm", "recall", "specificity"],
        (
            [one.architecture, one.variant, one.auc, *_ends(one.auc_interval), one.difference,
             *_ends(one.difference_interval), one.p_holm, *map(one.decisions.value, ("recall", "specificity"))]
            for one in scores
        ),
    )  # fmt: skip


def _page(found: ExternalVariants, what: str, commands: Sequence[str]) -> list[str]:
    shown = dict.fromkeys(score.variant for score in found.scores)
    cut = found.lungs_refused
    refused = "" if cut is None else f" Images without plausible segmented lungs: {cut:,}."
    return [
        "# External images, shown in other ways",
        "",
        markdown_text(what),
        "",
        *["```text", *commands, "```"],
        "",
        "AUC of the mean probability of the networks asked. None of them was trained on images that were changed so: a "
        "variant shows how a network answers to the change, not what it could learn. Intervals are over patients; the "
        "same patients stand on both sides of a difference, p-values are corrected (Holm) for all of them. Recall and "
        f"specificity at probability 0.5. An AUC is called {INVERTED_WORDS}.{refused}",
        "",
        *[f"- `{variant}`: {VARIANT_WORDS[variant]}" for variant in shown],
        "",
        *_markdown(
            ("architecture", "variant", "AUC [95 %]", f"minus {AS_IS} [95 %]", "p (Holm)", "recall", "specificity"),
            2,
            [
                [one.architecture, one.variant, external_auc(one.auc, one.auc_interval), _difference(one),
                 NOTHING if one.p_holm is None else p_value_text(one.p_holm),
                 *(number(one.decisions.value(name)) for name in ("recall", "specificity"))]
                for one in found.scores
            ],
        ),
        "",
        *facts_lines(found.facts),
        "",
        *strata_lines(found.strata),
    ]  # fmt: skip


def facts_lines(facts: Sequence[FactScore]) -> list[str]:
    """Return the lines of what facts say of the label in both sets, as Markdown."""
    return [
        "## What coarse facts without structure say of the label",
        "",
        "Facts of the images as the networks see them, resized. An AUC above 0.5: the value is higher with pneumonia; "
        "below: lower. Own: the images that were tested within folds of the run. A fact with opposite directions, "
        "which a network relies on, would turn its scores round; the table does not say that one does.",
        "",
        *[f"- `{name}`: {FACT_WORDS[name]}" for name in (one.name for one in facts)],
        "",
        *_markdown(
            ("fact", "own: normal / pneumonia", "own AUC [95 %]", "external: normal / pneumonia", "external AUC [95 %]",
             "direction"),
            1,
            [
                [one.name, _means(one.own), _area(one.own), _means(one.external),
                 external_auc(one.external.auc, one.external.auc_interval) if one.name == ALL_FACTS
                 else _area(one.external),
                 DIRECTION_WORDS[one.direction]]
                for one in facts
            ],
        ),
    ]  # fmt: skip


def strata_lines(strata: Sequence[StrataScore]) -> list[str]:
    """Return the lines of the AUC among external images that are alike in a fact, as Markdown."""
    return [
        "## Among images that are alike in a fact",
        "",
        f"External images as they are, in {STRATA} parts of equal size by the fact; AUC within parts, averaged by "
        "images. Where it is nearer to 0.5 than that of all images, the fact goes along with a part of what the scores "
        "say of the label.",
        "",
        *_markdown(
            ("architecture", *dict.fromkeys(one.fact for one in strata)),
            1,
            [
                [name, *[external_auc(one.auc, one.auc_interval) for one in strata if one.architecture == name]]
                for name in dict.fromkeys(one.architecture for one in strata)
            ],
        ),
    ]


def _difference(score: VariantScore) -> str:
    if score.difference is None:
        return NOTHING
    return f"{number(score.difference)} {interval_text(score.difference_interval)}"


def _means(one: SetFact) -> str:
    if math.isnan(one.normal):
        return NOTHING
    digits = 1 if max(one.normal, one.pneumonia) > 1 else 3
    return f"{number(one.normal, digits)} / {number(one.pneumonia, digits)}"


def _area(one: SetFact) -> str:
    return f"{number(one.auc)} {interval_text(one.auc_interval)}"


def _numbers(one: SetFact) -> list[float]:
    return [one.normal, one.pneumonia, one.auc, *_ends(one.auc_interval)]


def _ends(interval: Interval | None) -> tuple[float, float]:
    return (math.nan, math.nan) if interval is None else (interval.low, interval.high)


def _markdown(head: Sequence[str], words: int, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table whose first columns are words and whose others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * words + " ---: |" * (len(head) - words)]
    return [*lines, *("| " + " | ".join(map(markdown_text, row)) + " |" for row in rows)]


def _csv(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _cell(cell: str | float | None) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return cell if isinstance(cell, str) else f"{cell:.6f}"
