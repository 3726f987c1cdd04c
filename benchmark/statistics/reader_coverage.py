"""How often 95 % intervals of a reader study hold the truth: means over readers, their change by help, and one reader.

python -m benchmark.statistics.reader_coverage [--write]
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

from benchmark.performance.measuring import markdown_table
from benchmark.statistics.simulated import asked
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
AREAS: Final = {0.7: (0.0, 0.05), 0.9: (0.0, 0.05), 0.97: (0.0, 0.02)}  # without help: changes by help
NEAR_ONE: Final = 0.97
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


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Variances of a reading, those of one image and one reader summing to 1.

    Args:
        reader: of readers, and again of readers by help, by AUC without help.
        image: of images, and again of images by help.
        both: of readers by images.
        rest: of everything else.
        criterion: of where readers draw the line between the classes.
    """

    reader: dict[float, float]
    image: float
    both: float
    rest: float
    criterion: float


LOW: Final = dict.fromkeys(AREAS, 0.0055)
HIGH: Final = {0.7: 0.011, 0.9: 0.04, 0.97: 0.056}
# likeness of readings of one image high or low, then spread of readers high or low
STRUCTURES: Final = {
    "HL": Structure(reader=LOW, image=0.3, both=0.2, rest=0.2, criterion=0.01),
    "LL": Structure(reader=LOW, image=0.1, both=0.2, rest=0.6, criterion=0.01),
    "HH": Structure(reader=HIGH, image=0.3, both=0.2, rest=0.2, criterion=0.1),
    "LH": Structure(reader=HIGH, image=0.1, both=0.2, rest=0.6, criterion=0.1),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A simulated study of readings without help (0) and with it (1), and its truth.

    Args:
        rating, called: (2, readers, images); every second image shows pneumonia.
        area, sensitivity: mean of all readers there could be, (2,).
        areas, sensitivities: of these readers with all images there could be, (2, readers).
    """

    rating: NDArray[np.float64]
    called: NDArray[np.bool_]
    area: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    areas: NDArray[np.float64]
    sensitivities: NDArray[np.float64]


def draw(
    structure: Structure, area: float, change: float, readers: int, images: int, rng: np.random.Generator
) -> Study:
    """Draw a study by the model of Roe and Metz, in which mean AUC without help and its change are as asked."""
    spread = structure.reader[area]

    def normal(variance: float, *shape: int) -> NDArray[np.float64]:
        return np.sqrt(variance) * rng.normal(size=shape)

    areas_wanted = np.array([area, area + change])
    apart = norm.ppf(areas_wanted) * np.sqrt(2 + 4 * spread)  # of the classes, (2,)
    skill = normal(spread, 2, 1, readers) + normal(spread, 2, 2, readers)  # (class, help, readers)
    skill[1] += apart[:, None]
    line = apart[:, None] / 2 + normal(structure.criterion, readers)  # (help, readers)
    label = np.arange(images) % 2
    latent = (
        np.moveaxis(skill[label], 0, -1)
        + normal(structure.image, images)
        + normal(structure.image, 2, 1, images)
        + normal(structure.both, readers, images)
        + normal(structure.rest, 2, readers, images)
    )
    return Study(
        rating=np.round(norm.cdf(latent - line[..., None]), 2),
        called=latent > line[..., None],
        area=areas_wanted,
        sensitivity=norm.cdf(apart / 2 / np.sqrt(1 + 2 * spread + structure.criterion)),
        areas=norm.cdf((skill[1] - skill[0]) / np.sqrt(2)),
        sensitivities=norm.cdf(skill[1] - line),
    )


def area_estimates(rating: NDArray[np.float64]) -> list[list[PatientEstimate]]:
    """Return what `area_estimate` does of ratings (help, readers, images), all at once; every second image is ill."""
    ill, well = rating[..., 1::2, None], rating[..., None, 0::2]
    above = (ill > well) + 0.5 * (ill == well)  # (help, readers, ill, well)
    value = above.mean((-2, -1))
    influence = np.empty(rating.shape)
    influence[..., 1::2] = (above.mean(-1) - value[..., None]) / above.shape[-2]
    influence[..., 0::2] = (above.mean(-2) - value[..., None]) / above.shape[-1]
    return _estimates(value, influence)


def share_estimates(hits: NDArray[np.bool_]) -> list[list[PatientEstimate]]:
    """Return what `share_estimate` does of hits (help, readers, images), all at once."""
    value = hits.mean(-1)
    return _estimates(value, (hits - value[..., None]) / hits.shape[-1])


def _estimates(value: NDArray[np.float64], influence: NDArray[np.float64]) -> list[list[PatientEstimate]]:
    names = np.arange(influence.shape[-1])
    return [
        [
            PatientEstimate(value=float(one), patients=names, influence=of, least_error=0.0)
            for one, of in zip(*part, strict=True)
        ]
        for part in zip(value, influence, strict=True)
    ]


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
    means, alone = cells[cells["readers"] > 1], cells[cells["readers"] == 1]
    lines = [
        "# How often the intervals of a reader study hold the truth",
        "",
        "`python -m benchmark.statistics.reader_coverage --write`",
        "",
        f"{data_sets:,} simulated studies a cell: a coverage of .950 is known to ± {error:.3f}. A reader rates each "
        "image once without help and once with it; half of the images show pneumonia. Ratings are those of Roe and "
        "Metz (1997, Academic Radiology 4, 298-303): normal, as sums of what reader, image, help and each two of them "
        "add, here rounded to whole numbers from 0 to 100. Their four kinds of study (readings of one image alike or "
        f"not, readers far apart or not), mean AUC without help {', '.join(f'{area:g}' for area in AREAS)}, and a "
        f"change of it by help of 0 or {_changes()}: {kinds} kinds. The larger variance of readers at .9 lies between "
        "theirs at .855 and at .962. Readers draw the line between the classes in different places (variance .01 "
        "where they are close, .1 where they are far apart).",
        "",
        *(f"- **{name}**: {words}." for name, words in MEANS.items()),
        "",
        "Lowest and highest coverage over the kinds; a study without an interval, as all answered alike, counts as one "
        f"that does not hold the truth. **Bold** = lowest below {WANTED[0]}. All cells are in "
        "`benchmark/statistics/reader_coverage.csv`.",
    ]
    for words, part in (
        ("Mean AUC without help up to .9", means[means["auc"] < NEAR_ONE]),
        ("Mean AUC without help .97", means[means["auc"] == NEAR_ONE]),
    ):
        lines += ["", f"## Means over readers. {words}", "", *markdown_table(_rows(part, MEANS))]
    lines += [
        "",
        f"pneumobench shows the interval of a mean of {LEAST_READERS} readers or more, over {LEAST_IMAGES} images or "
        "more of each class that it rests on. There:",
        "",
        f"- AUC up to .9: {_range(_shown(means[means['auc'] < NEAR_ONE]))}.",
        f"- AUC .97: {_range(_shown(means[means['auc'] == NEAR_ONE]))}.",
        "",
        "## One reader, for other images",
        "",
        *markdown_table(_rows(alone, ALONE)),
    ]
    return "\n".join(lines) + "\n"


def _changes() -> str:
    return " or ".join(
        f"{change:g}" for change in sorted({one for changes in AREAS.values() for one in changes} - {0.0})
    )


def _shown(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[(cells["readers"] >= LEAST_READERS) & (cells["images"] >= 2 * LEAST_IMAGES)]


def _range(cells: pd.DataFrame) -> str:
    """Return lowest and highest coverage of each kind of mean that is shown."""
    kinds = [name for name in MEANS if not name.endswith("alone")]
    return ", ".join(f"{name} {_ends(cells[cells['interval_of'] == name])}" for name in kinds)


def _rows(cells: pd.DataFrame, names: Iterable[str]) -> list[dict[str, str]]:
    """Return a row for each number of images and readers (one: not named)."""
    return [
        {
            "images": str(images),
            **({"readers": str(readers)} if readers > 1 else {}),
            **{name: _ends(part[part["interval_of"] == name], mark=True) for name in names},
        }
        for (images, readers), part in cells.groupby(["images", "readers"])
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
