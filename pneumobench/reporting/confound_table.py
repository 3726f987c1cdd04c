"""What is left of scores among images alike in facts of their acquisition, in the terminal and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.confounds import GRAY, SCORE_STRATA, STRATA, Area, Confounds, ConfoundScore
from pneumobench.metrics.adjustment import CALIPER_SD
from pneumobench.records.checksums import renew_checksums
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.columns import NOTHING, interval_text, number
from pneumobench.reporting.console import Name, console_table
from pneumobench.suite.commands import DATA_WORD
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.texts import counted, markdown_text

AREAS: Final = {"all_images": "AUC, all images", "matched": "AUC, matched images", "adjusted": "adjusted AUC"}
FACT_WORDS: Final = {"width": "width", "height": "height", "aspect": "width / height", GRAY: "mean gray level"}
PARTS: Final = {"out_of_fold": "Out of fold", "official": "Official test folder"}
CHANCE: Final = 0.5  # the area of what tells nothing
MEANING: Final = (
    "Width and height of an image come from how it was acquired, cut and stored; its mean gray level may come from "
    "that or from the disease, so that matching on it may take away what a network should see. Matched: pairs of an "
    "image with pneumonia and a normal one of the same fold, alike in all three; no image is in two pairs (optimal "
    "matching, Rosenbaum 1989). Adjusted: each image with pneumonia is set against the normal ones of its fold and its "
    f"stratum alone (covariate-adjusted AUC, Janes and Pepe 2009); the {SCORE_STRATA} strata hold equal numbers of "
    "images by what gradient boosting makes of the facts, fitted as the shortcut baselines are. AUC within folds; 95 % "
    "intervals over patients, pairs and strata taken as given."
)
CHECK: Final = (
    "The facts in place of a network: each alone, turned so that larger means pneumonia, and all together by gradient "
    "boosting. Among matched images they should tell nothing, an AUC of 0.5, else the matching did not take them away. "
    "The strata are alike in what all facts together say of the label, not in each of them: what one still tells "
    "stands under adjusted."
)
FITTED: Final = {
    "out_of_fold": "The last row was fitted anew, to the matched images of the other folds alone: what the pairs hold.",
    "official": "All together were fitted to this folder by itself, in five parts by patient.",
}
READ_WITH_CARE: Final = (
    "An AUC that stays high among matched images does not come from size and mean gray level alone. It may come from "
    "anything else that differs between the classes, in the lungs or outside: the thumbnail of 12 x 12 pixels stands "
    "in the same table."
)


def confound_table(found: Confounds) -> Table:
    """Return the table for a terminal of 80 characters."""
    table = console_table(
        title=f"AUC among {found.pairs:,} pairs alike in width, height and mean gray level",
        caption="dim: shortcut baselines, and the facts themselves, which should fall to 0.5 among matched images",
    )
    for place, heading in enumerate(("scored", "all images", "matched [95 %]", "adjusted")):
        table.add_column(escape(heading), justify="right" if place else "left", no_wrap=place > 0)
    for score in found.scores:
        table.add_row(
            Name(_shown_name(score)),
            number(score.all_images.value),
            escape(_with_interval(score.matched)),
            number(score.adjusted.value),
            style=None if score.kind == "network" else "dim",
        )
    return table


def write_confound_tables(
    folder: RunFolder, tested: Confounds, official: Confounds | None, *, caliper_sd: float, sizes: str, source: str
) -> Path:
    """Write README.md, scores.csv and strata.csv into `confounds/` of a run and return the first.

    Args:
        folder: the run.
        tested: on the cross-validated images.
        official: on the official test folder; None where there is none.
        caliper_sd: largest difference within a pair, in standard deviations.
        sizes: whose width and height they are: `originals` or `files`.
        source: where the images are from, `data.source` of the suite.
    """
    parts = {"out_of_fold": tested} | ({} if official is None else {"official": official})
    write_text(folder.confounds / "scores.csv", _scores_csv(parts))
    write_text(folder.confounds / "strata.csv", _strata_csv(parts))
    data = "" if source == "phantoms" else f" --data {DATA_WORD}"
    caliper_option = "" if caliper_sd == CALIPER_SD else f" --caliper {caliper_sd:g}"
    caliper = f"pairs differ by at most {caliper_sd:g} standard deviations in each fact"
    lines = [
        "# What is left of the scores among images that are alike",
        "",
        f"`pneumobench confounds {'/'.join(folder.path.resolve().parts[-2:])}{data}{caliper_option}`",
        "",
        f"{MEANING} Here {caliper}; width and height are those of the {sizes}, and their logarithms are compared.",
        "",
        READ_WITH_CARE,
        "",
    ]
    for part, found in parts.items():
        lines += [f"## {PARTS[part]}", "", _counts(found), ""]
        lines += _score_table([score for score in found.scores if score.kind != "fact"])
        lines += ["", f"### Check: {PARTS[part].lower()}", "", f"{CHECK} {FITTED[part]}", ""]
        lines += _score_table([score for score in found.scores if score.kind == "fact"])
        lines += ["", *failed_check(found)]
    lines += [
        "## By stratum",
        "",
        f"AUC within folds on about a {_ordinal(STRATA)} of the images each, by one fact after the other, out of fold. "
        "Intervals are in `strata.csv`.",
        "",
        *_strata_table(tested),
    ]
    write_text(folder.confounds / "README.md", "\n".join(lines) + "\n")
    renew_checksums(folder.path, [folder.confounds / name for name in ("README.md", "scores.csv", "strata.csv")])
    return folder.confounds / "README.md"


def _counts(found: Confounds) -> str:
    far = {fact: _percent(apart) for fact, apart in found.farthest.items()}
    absent = f" {counted(found.without_facts, 'image')} left out, of unknown size." if found.without_facts else ""
    return (
        f"{found.images:,} images.{absent} Matched: {counted(found.pairs, 'pair')}, of {found.normals:,} normal "
        f"images; within a pair width differs by at most {far['width']}, height by {far['height']}, width / height by "
        f"{far['aspect']}, and the mean gray level by {found.farthest[GRAY]:.1f} of 255. Adjusted: "
        f"{_percent(found.compared)} of the images with pneumonia have a normal one in their stratum and fold."
    )


def failed_check(found: Confounds) -> list[str]:
    """Say which facts the matching did not take away; nothing where none is left."""
    left = [
        f"{FACT_WORDS.get(score.name, score.name)} {_with_interval(score.matched)}"
        for score in found.scores
        if score.kind == "fact" and (score.matched.interval.low > CHANCE or score.matched.interval.high < CHANCE)
    ]
    if not left:
        return []
    return [f"**The check fails here:** {'; '.join(left)}. The AUC of matched images says nothing in this part.", ""]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _score_table(scores: list[ConfoundScore]) -> list[str]:
    rows = [
        [markdown_text(FACT_WORDS.get(score.name, score.name)), *(_with_interval(getattr(score, key)) for key in AREAS)]
        for score in scores
    ]
    return _markdown(["scored", *(f"{words} [95 %]" for words in AREAS.values())], rows, left=1)


def _strata_table(found: Confounds) -> list[str]:
    names = [score.name for score in found.scores if score.kind != "fact"]
    rows = []
    for stratum in found.strata:
        digits = 2 if stratum.fact == "aspect" else 0
        ends = (number(stratum.low, digits), number(stratum.high, digits))
        share = _percent(stratum.pneumonia_images / stratum.images)
        areas = [number(stratum.areas[name].value) for name in names]
        rows.append([FACT_WORDS[stratum.fact], " to ".join(ends), f"{stratum.images:,}", share, *areas])
    heads = ["fact", "from, to", "images", "pneumonia", *(markdown_text(name) for name in names)]
    return _markdown(heads, rows, left=2)


def _markdown(heads: list[str], rows: list[list[str]], *, left: int) -> list[str]:
    aligned = [" --- "] * left + [" ---: "] * (len(heads) - left)
    return [f"| {' | '.join(heads)} |", f"|{'|'.join(aligned)}|", *(f"| {' | '.join(row)} |" for row in rows)]


def _scores_csv(parts: dict[str, Confounds]) -> str:
    names = [name for key in AREAS for name in (key, f"{key}_low", f"{key}_high")]
    rows = [
        [part, score.name, score.kind, *(cell for key in AREAS for cell in _cells(getattr(score, key)))]
        for part, found in parts.items()
        for score in found.scores
    ]
    return _csv(["part", "name", "kind", *names], rows)


def _strata_csv(parts: dict[str, Confounds]) -> str:
    heads = ["part", "fact", "low", "high", "images", "pneumonia_images", "name", "auc", "auc_low", "auc_high"]
    return _csv(heads, [row for part, found in parts.items() for row in _strata_rows(part, found)])


def _strata_rows(part: str, found: Confounds) -> Iterator[list[str]]:
    for stratum in found.strata:
        for name, area in stratum.areas.items():
            ends = [f"{stratum.low:.6g}", f"{stratum.high:.6g}"]
            counts = [str(stratum.images), str(stratum.pneumonia_images)]
            yield [part, stratum.fact, *ends, *counts, name, *_cells(area)]


def _csv(heads: list[str], rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([heads, *rows])
    return buffer.getvalue()


def _cells(area: Area) -> list[str]:
    return ["" if value != value else f"{value:.6f}" for value in (area.value, area.interval.low, area.interval.high)]


def _with_interval(area: Area) -> str:
    return f"{number(area.value)} {interval_text(area.interval)}".strip() or NOTHING


def _shown_name(score: ConfoundScore) -> str:
    return FACT_WORDS.get(score.name, score.name).removeprefix(CONTROL_PREFIX)


def _ordinal(count: int) -> str:
    return {3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}[count]
