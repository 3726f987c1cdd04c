"""What readers came to, in the terminal and as files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.reader_results import (
    EVERYBODY,
    MEASURES,
    NETWORK,
    WASHOUT_DAYS,
    Effect,
    ReaderFacts,
    ReaderResults,
)
from pneumobench.metrics.readers import LEAST_IMAGES, LEAST_READERS, NEAR_ONE, NO_INTERVAL, Measured
from pneumobench.reporting.columns import NOTHING, interval_text, number
from pneumobench.reporting.console import Name, console_table
from pneumobench.texts import counted, markdown_text

TABLE, PAGE = "reader-study.csv", "reader-study.md"
MEASURE_WORDS: Final = {"sensitivity": "Sensitivity", "specificity": "Specificity", "auc": "AUC"}
DIGITS: Final = {"sensitivity": 2, "specificity": 2, "auc": 3}
OF_ONE: Final = (
    "Intervals hold 95 % and are over images, one of each patient: they speak of other patients, the readers being the "
    "same. Shares: Wilson 1927; their change by help: Bonett and Price 2012 (adjusted Wald, paired); AUC and its "
    "change: from the influence of each image (LeDell et al. 2015), the change where there are "
    f"{LEAST_IMAGES} images or more of each class. Each is of its row alone, without correction for many."
)
OF_SEVERAL: Final = (
    "The mean over readers has an interval for other readers and other patients: the variance between readers, and "
    "what the images, being the same for all of them, do to all (Obuchowski and Rockette 1995), by Student's law with "
    "the degrees of freedom of Hillis 2007; where readers come out alike by chance, the wider one of these very "
    f"readers for other patients. It is shown for {LEAST_READERS} readers or more and {LEAST_IMAGES} images or more of "
    "each class that it rests on. In simulated studies (benchmark/statistics/reader_coverage.md) such intervals held "
    "the truth in .92 to .99 of studies where the mean AUC without help was .7 or .9, and in .86 to .99 where it was "
    ".97."
)
KAPPA: Final = (
    "Cohen's kappa of the decisions: 1 = agree on every image, 0 = as often as by chance. Of more than two readers the "
    "mean of all pairs stands beside them (Light 1971). Intervals: bootstrap over images, the readers being the same. "
    "A kappa with the network that rises with help says that readers follow it, not that they are right."
)
CHANGED: Final = (
    "Corrected: wrong without help and right with it. Misled: right without help and wrong with it. Apart for the "
    "images on which the network is right and wrong, as a network that is followed helps on the ones and harms on the "
    "others."
)
CARE: Final = (
    "Half of the images show pneumonia, or as many as there were, which is no prevalence: predictive values do not "
    "follow. Readers of a study read more carefully, and more slowly, than in practice, and the truth is the label of "
    "the data set. For research, not for diagnosis."
)


def reader_table(results: ReaderResults) -> Table:
    """Return accuracy with and without help as a table for a terminal of 80 characters."""
    table = console_table(
        title=f"{_sizes(results)}, without and with help",
        caption="change: with help minus without, 95 % interval",
    )
    for place, heading in enumerate(("", "", "without", "with help", "change [95 %]")):
        table.add_column(escape(heading), justify="right" if place > 1 else "left", no_wrap=place > 1)
    for measure in MEASURES:
        for place, effect in enumerate(effect for effect in results.effects if effect.measure == measure):
            cells = _effect_cells(effect, intervals=False)
            table.add_row(MEASURE_WORDS[measure] if place == 0 else "", Name(effect.reader), *map(escape, cells))
    return table


def _sizes(results: ReaderResults) -> str:
    return f"{counted(results.readers, 'reader')}, {counted(len(results.study.images), 'image')}"


def warnings_of(results: ReaderResults) -> list[str]:
    """Return what is wrong with how a study was read, a sentence each."""
    found = []
    for facts in results.facts:
        if facts.days is None or facts.days >= WASHOUT_DAYS:
            continue
        between = "before session 1 was finished" if facts.days < 0 else f"{counted(facts.days, 'day')} after session 1"
        found.append(
            f"{facts.reader} began session 2 {between}: {WASHOUT_DAYS} days or more are asked for, so that images are "
            "not remembered (Gallas et al. 2012)."
        )
    if results.readers == 1:
        found.append("One reader: nothing here speaks of other readers.")
    elif results.readers < LEAST_READERS:
        found.append(
            f"{counted(results.readers, 'reader')}: their mean has no interval, which would hold the truth too seldom "
            f"with fewer than {LEAST_READERS}."
        )
    of_class = min(results.pneumonia_images, len(results.study.images) - results.pneumonia_images)
    if of_class < LEAST_IMAGES:
        rows = "a reader's change of AUC has" if results.readers == 1 else "a reader's change of AUC and the mean have"
        found.append(
            f"{counted(of_class, 'image')} of a class: {rows} no interval where they rest on fewer than "
            f"{LEAST_IMAGES}, as it would hold the truth too seldom."
        )
    areas = [area for effect in results.effects if effect.reader == EVERYBODY for area in _areas(effect)]
    if max(areas, default=0.0) >= NEAR_ONE:
        found.append(
            f"The mean AUC is {max(areas):.3f}: so near to 1 the interval of its change may hold the truth less often "
            "than in 95 % of studies."
        )
    if not results.network_wrong:
        found.append("The network is right on all images: what help does where it is wrong was not seen.")
    return found


def _areas(effect: Effect) -> list[float]:
    """Return the AUC without and with help; none of another measure."""
    return [one.value for one in (effect.without, effect.helped) if one is not None and effect.measure == "auc"]


def write_reader_tables(folder: Path, results: ReaderResults) -> Path:
    """Write `reader-study.csv` and `reader-study.md` into the folder of a study and return the second."""
    write_text(folder / TABLE, _csv(results))
    place = "/".join(folder.resolve().parts[-3:])
    write_text(folder / PAGE, "\n".join(_page(results, f"pneumobench reader-results {place} ANSWERS.csv ...")) + "\n")
    return folder / PAGE


def _page(results: ReaderResults, command: str) -> list[str]:
    study = results.study
    lines = [
        f"# Reader study {study.id}",
        "",
        f"`{command}`",
        "",
        f"{_sizes(results)} of as many patients, {results.pneumonia_images} with pneumonia, each read without and "
        f"with help in two sessions. Help: probability and heat map ({markdown_text(study.method)}) of "
        f"{markdown_text(study.architecture)}, run {markdown_text(study.run)}, of the fold that had not learnt from "
        f"the image. It calls {counted(results.network_wrong, 'image')} wrongly.",
        "",
        *(f"**{warning}**\n" for warning in warnings_of(results)),
        "## With and without help",
        "",
    ]
    for measure in MEASURES:
        effects = [effect for effect in results.effects if effect.measure == measure]
        heads = [
            f"{MEASURE_WORDS[measure]}, {effects[0].images} images",
            "without [95 %]",
            "with help [95 %]",
            "change [95 %]",
        ]
        rows = [[effect.reader, *_effect_cells(effect, intervals=True)] for effect in effects]
        lines += [*_markdown(heads, rows), ""]
    lines += [OF_ONE + (f" {OF_SEVERAL}" if results.readers > 1 else ""), "", "## Agreement", ""]
    rows = [[one.between, _with_interval(one.without, 2), _with_interval(one.helped, 2)] for one in results.agreements]
    lines += [*_markdown(["kappa between", "without [95 %]", "with help [95 %]"], rows), "", KAPPA, ""]
    lines += ["## Time and heat maps", ""]
    heads = ["", "seconds an image, without", "with help", "map rating, network right", "network wrong"]
    lines += [*_markdown(heads, [_fact_cells(facts) for facts in results.facts]), ""]
    lines += [
        "Seconds: median of the time that an image was in view (of all readers: mean of their medians). Rating: mean "
        "of 1 (the map points at nothing I would look at) to 5 (exactly there).",
        "",
        "## Decisions that help changed",
        "",
    ]
    heads = ["", "corrected, network right", "network wrong", "misled, network right", "network wrong"]
    rows = [
        [_name(facts, of_all="all readers"), *map(str, (*facts.corrected, *facts.misled))] for facts in results.facts
    ]
    return [*lines, *_markdown(heads, rows), "", CHANGED, "", CARE]


def _name(facts: ReaderFacts, *, of_all: str) -> str:
    return of_all if facts.reader == EVERYBODY else facts.reader


def _fact_cells(facts: ReaderFacts) -> list[str]:
    return [
        _name(facts, of_all="all readers"),
        *(number(seconds, 1) for seconds in facts.seconds),
        *(number(rating, 2) for rating in facts.map_rating),
    ]


def _effect_cells(effect: Effect, *, intervals: bool) -> list[str]:
    digits = DIGITS[effect.measure]
    cells = [
        NOTHING if one is None else _with_interval(one, digits) if intervals else number(one.value, digits)
        for one in (effect.without, effect.helped)
    ]
    return [*cells, NOTHING if effect.change is None else _signed(effect.change, digits)]


def _with_interval(measured: Measured, digits: int) -> str:
    return f"{number(measured.value, digits)} {interval_text(measured.interval, digits)}".strip()


def _signed(measured: Measured, digits: int) -> str:
    sign = "+" if round(measured.value, digits) > 0 else ""
    return sign + _with_interval(measured, digits)


def _markdown(heads: list[str], rows: list[list[str]]) -> list[str]:
    aligned = " --- |" + " ---: |" * (len(heads) - 1)
    return [f"| {' | '.join(heads)} |", f"|{aligned}", *(f"| {' | '.join(row)} |" for row in rows)]


def _csv(results: ReaderResults) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["study", "reader", "measure", "help", "value", "low", "high"])
    for reader, measure, mode, measured in _rows(results):
        ends = (measured.value, measured.interval.low, measured.interval.high)
        cells = ["" if math.isnan(value) else f"{value:.6g}" for value in ends]
        writer.writerow([results.study.id, reader, measure, mode, *cells])
    return buffer.getvalue()


def _rows(results: ReaderResults) -> Iterator[tuple[str, str, str, Measured]]:
    """Yield reader, measure, with or without help (or the change), and the number of every row of the file."""
    for effect in results.effects:
        for mode, measured in (("without", effect.without), ("with", effect.helped), ("change", effect.change)):
            if measured is not None:
                yield effect.reader, effect.measure, "" if effect.reader == NETWORK else mode, measured
    for agreement in results.agreements:
        yield agreement.between, "kappa", "without", agreement.without
        yield agreement.between, "kappa", "with", agreement.helped
    for facts in results.facts:
        values = [
            ("seconds", "without", facts.seconds[0]),
            ("seconds", "with", facts.seconds[1]),
            ("map_rating_network_right", "with", facts.map_rating[0]),
            ("map_rating_network_wrong", "with", facts.map_rating[1]),
            ("corrected_network_right", "change", facts.corrected[0]),
            ("corrected_network_wrong", "change", facts.corrected[1]),
            ("misled_network_right", "change", facts.misled[0]),
            ("misled_network_wrong", "change", facts.misled[1]),
            *([("days_between_sessions", "", facts.days)] if facts.days is not None else []),
        ]
        for measure, mode, value in values:
            yield facts.reader, measure, mode, Measured(value=float(value), interval=NO_INTERVAL)
