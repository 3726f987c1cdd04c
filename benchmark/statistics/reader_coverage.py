"""How often 95 % intervals of a reader study hold the truth: means over readers, their change by help, and one reader.

python -m benchmark.statistics.reader_coverage [--write]
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import t

from benchmark.performance.measuring import markdown_table
from benchmark.statistics.simulated import asked
from benchmark.statistics.simulated_readers import (
    AREAS,
    NEAR_ONE,
    STRUCTURES,
    Study,
    area_estimates,
    draw,
    share_estimates,
)
from pneumobench.files import write_text
from pneumobench.metrics.decision_intervals import share_interval
from pneumobench.metrics.estimates import PatientEstimate, area_estimate, mean_estimate
from pneumobench.metrics.intervals import Interval
from pneumobench.metrics.readers import (
    LEAST_IMAGES,
    LEAST_READERS,
    mean_change_over_readers,
    mean_over_readers,
    paired_share_change,
)

READERS: Final = (2, 3, 5, 10)
IMAGES: Final = (12, 20, 40, 100)  # half of each class
WANTED: Final = (0.93, 0.97)
MEANS: Final = {
    "mean AUC": "without help, as pneumobench shows it: other readers and other images",
    "mean sensitivity": "likewise",
    "AUC change, images alone": "the normal law and other images: the readers as if there were no others",
    "AUC change, readers alone": "Student's law and the readers' own numbers: the images as if there were no others",
    "AUC change": "as pneumobench shows it: other readers and other images",
    "sensitivity change": "likewise",
}
ALONE: Final = ("AUC", "AUC change", "sensitivity", "sensitivity change")


def held(study: Study, numbers: Sequence[int]) -> Iterator[tuple[int, str, bool, bool]]:
    """Yield readers (1 = one alone), what an interval is of, whether it holds the truth, and whether it is there.

    Args:
        study: of as many readers as the largest number.
        numbers: of readers; the first ones of the study are taken.
    """
    images = study.rating.shape[-1]
    label, names = np.arange(images) % 2, np.arange(images)
    areas = area_estimates(study.rating)
    hits = study.called[..., 1::2]
    shares = share_estimates(hits)
    changes = {
        "AUC": [after.minus(before) for before, after in zip(*areas, strict=True)],
        "sensitivity": [after.minus(before) for before, after in zip(*shares, strict=True)],
    }
    rise, gain = np.diff(study.area)[0], np.diff(study.sensitivity)[0]
    for number in numbers:
        auc = changes["AUC"][:number]
        found: dict[str, tuple[Interval, float]] = {
            "mean AUC": (mean_over_readers(areas[0][:number]).interval, study.area[0]),
            "mean sensitivity": (mean_over_readers(shares[0][:number]).interval, study.sensitivity[0]),
            "AUC change, images alone": (_normal(mean_estimate(auc)), rise),
            "AUC change, readers alone": (_student([one.value for one in auc]), rise),
            "AUC change": (mean_change_over_readers(auc).interval, rise),
            "sensitivity change": (mean_change_over_readers(changes["sensitivity"][:number]).interval, gain),
        }
        yield from ((number, name, *_of(interval, truth)) for name, (interval, truth) in found.items())
    own = {
        "AUC": (area_estimate(study.rating[0, 0], label, names).area_interval(), study.areas[0, 0]),
        "AUC change": (changes["AUC"][0].difference_interval(), np.diff(study.areas[:, 0])[0]),
        "sensitivity": (share_interval(hits[0, 0], names[1::2]), study.sensitivities[0, 0]),
        "sensitivity change": (paired_share_change(*hits[:, 0]).interval, np.diff(study.sensitivities[:, 0])[0]),
    }
    yield from ((1, name, *_of(interval, truth)) for name, (interval, truth) in own.items())


def _of(interval: Interval, truth: float) -> tuple[bool, bool]:
    there = interval.high > interval.low  # no interval where nothing varies
    return bool(there and interval.low <= truth <= interval.high), there


def _normal(estimate: PatientEstimate) -> Interval:
    half = 1.959964 * estimate.standard_error
    return Interval(low=estimate.value - half, high=estimate.value + half)


def _student(values: Sequence[float]) -> Interval:
    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(low=float(np.mean(values)) - half, high=float(np.mean(values)) + half)


def coverage(images: Iterable[int], data_sets: int, seed: int) -> pd.DataFrame:
    """Return one row a cell and kind of interval: the share of studies whose interval holds the truth, or is missing.

    Args:
        images: of a study, even numbers.
        data_sets: studies of each cell.
        seed: of all random numbers.
    """
    cells = [(area, change) for area, changes in AREAS.items() for change in changes]
    rows: list[dict[str, Any]] = []
    for number, (name, (area, change), size) in enumerate(itertools.product(STRUCTURES, cells, images)):
        found = [
            one
            for study in range(data_sets)
            for one in held(
                draw(STRUCTURES[name], area, change, max(READERS), size, np.random.default_rng([seed, number, study])),
                READERS,
            )
        ]
        table = pd.DataFrame(found, columns=["readers", "interval_of", "held", "there"])
        for (readers, kind), part in table.groupby(["readers", "interval_of"], sort=False):
            rows.append(
                {
                    **{"structure": name, "auc": area, "change": change, "images": size, "readers": readers},
                    **{"interval_of": kind, "held": part["held"].mean(), "none": 1 - part["there"].mean()},
                }
            )
        print(name, area, change, size, file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def _report(cells: pd.DataFrame, data_sets: int) -> str:
    error = 1.96 * math.sqrt(0.95 * 0.05 / data_sets)
    kinds = len(STRUCTURES) * sum(len(changes) for changes in AREAS.values())
    parts = {
        "mean AUC without help up to .9": cells[cells["auc"] < NEAR_ONE],
        "mean AUC without help .97": cells[cells["auc"] == NEAR_ONE],
    }
    lines = [
        "# How often the intervals of a reader study hold the truth",
        "",
        "`python -m benchmark.statistics.reader_coverage --write`",
        "",
        f"{data_sets:,} simulated studies a cell: a coverage of .950 is known to ± {error:.3f}. A reader rates each "
        "image once without help and once with it; half of the images show pneumonia. Ratings are those of Roe and "
        "Metz (1997, Academic Radiology 4, 298-303): normal, as sums of what reader, image, help and each two of them "
        "add, here rounded to whole numbers from 0 to 100. Their four kinds of study (readings of one image alike or "
        f"not, readers far apart or not), mean AUC without help and its change by help {_asked()}: {kinds} "
        "kinds. The larger variance of readers at .9 lies between "
        "theirs at .855 and at .962. Readers draw the line between the classes in different places (variance .01 "
        "where they are close, .1 where they are far apart).",
        "",
        *(f"- **{name}**: {words}." for name, words in MEANS.items()),
        "",
        "Lowest and highest coverage over the kinds; a study without an interval, as all answered alike, counts as one "
        f"that does not hold the truth. **Bold** = lowest below {WANTED[0]}. All cells are in "
        "`benchmark/statistics/reader_coverage.csv`.",
    ]
    for words, part in parts.items():
        several = part[part["readers"] > 1]
        lines += ["", f"## Means over readers, {words}", "", *markdown_table(_rows(several, MEANS))]
    lines += [
        "",
        f"pneumobench shows the interval of a mean of {LEAST_READERS} readers or more, over {LEAST_IMAGES} images or "
        "more of each class that it rests on. There:",
        "",
        *(f"- {words}: {_range(shown(part))}." for words, part in parts.items()),
    ]
    for words, part in parts.items():
        one = part[part["readers"] == 1]
        lines += ["", f"## One reader, for other images, {words}", "", *markdown_table(_rows(one, ALONE))]
    lines += [
        "",
        f"The interval of one reader's AUC change is shown from {LEAST_IMAGES} images of each class on, the others "
        "always.",
    ]
    return "\n".join(lines) + "\n"


def _asked() -> str:
    return ", ".join(f"{area:g} ({' or '.join(f'{change:g}' for change in of)})" for area, of in AREAS.items())


def shown(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of means whose interval pneumobench shows."""
    named = ~cells["interval_of"].str.endswith("alone")
    return cells[named & (cells["readers"] >= LEAST_READERS) & (cells["images"] >= 2 * LEAST_IMAGES)]


def _range(cells: pd.DataFrame) -> str:
    """Return lowest and highest coverage of each kind of mean that is shown."""
    return ", ".join(f"{name} {_ends(part)}" for name, part in cells.groupby("interval_of", sort=False))


def _rows(cells: pd.DataFrame, names: Iterable[str]) -> list[dict[str, str]]:
    """Return a row for each number of images and readers (one: not named)."""
    alone = cells["readers"].max() == 1
    return [
        {
            "images": str(part["images"].iloc[0]),
            **({} if alone else {"readers": str(part["readers"].iloc[0])}),
            **{name: _ends(part[part["interval_of"] == name], mark=True) for name in names},
        }
        for _, part in cells.groupby(["images", "readers"])
    ]


def _ends(cells: pd.DataFrame, *, mark: bool = False) -> str:
    low, high = float(cells["held"].min()), float(cells["held"].max())
    text = f"{low:.3f} to {high:.3f}".replace("0.", ".")
    return f"**{text}**" if mark and low < WANTED[0] else text


def main() -> None:
    """Simulate, print, and write the tables if asked to."""
    parser = asked(__doc__)
    parser.set_defaults(data_sets=1000, patients=IMAGES)
    options = parser.parse_args()
    cells = coverage(options.patients, options.data_sets, options.seed)
    report = _report(cells, options.data_sets)
    print(report)
    if options.write:
        home = Path(__file__).resolve()
        write_text(home.with_suffix(".md"), report)
        write_text(home.with_suffix(".csv"), cells.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
