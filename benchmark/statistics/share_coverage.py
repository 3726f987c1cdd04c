"""How often 95 % intervals of a share of images, such as a recall, hold the true share: three methods, the same data.

python -m benchmark.statistics.share_coverage [--write]
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import norm

from benchmark.performance.measuring import markdown_table
from benchmark.statistics.simulated import Population, asked, draw_films, draw_scores, measured
from pneumobench.files import write_text
from pneumobench.metrics.decision_intervals import share_interval
from pneumobench.metrics.intervals import Interval, mean_interval

SHARES: Final = (0.90, 0.97, 0.99, 0.997)
RESAMPLES: Final = 500
WANTED: Final = (0.93, 0.97)
METHODS: Final = {
    "percentile": "the middle 95 % of the shares of resampled patients",
    "Wilson, images": "Wilson's interval, as if all images were of different patients",
    "Wilson, patients": "Wilson's interval for the effective number of images. This is what pneumobench shows",
}
CHOSEN: Final = "Wilson, patients"


def main() -> None:
    """Simulate, print, and write the table if asked to."""
    options = asked(__doc__).parse_args()
    population = measured()
    cells = [
        (patients, share, coverage(population, patients, share, options.data_sets, options.seed))
        for patients in options.patients
        if patients <= 1000
        for share in SHARES
    ]
    report = _report(cells, options.data_sets)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def coverage(
    population: Population, patients: int, share: float, data_sets: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return how often the interval of each method holds a recall, and how often it lies above it."""
    hits = {name: np.zeros(2) for name in METHODS}
    for number in range(data_sets):
        rng = np.random.default_rng([seed, patients, round(1000 * share), number, 1])
        films = draw_films(population, patients, rng)
        # an image is found when its score lies above a fixed threshold: that of the share of a normal law
        noise = draw_scores(population, films, 0.5, 1, rng)[0]
        of_fold = (norm.ppf(noise) * 10 - population.offset[films.fold]) / population.scale[films.fold]
        found = (of_fold < population.spread * norm.ppf(share))[films.label].astype(np.float64)
        patient = films.patient[films.label]
        intervals: dict[str, Interval] = {
            "percentile": mean_interval(found, patient, resamples=RESAMPLES, seed=number),
            "Wilson, images": share_interval(found, np.arange(found.size)),
            "Wilson, patients": share_interval(found, patient),
        }
        for name, one in intervals.items():
            hits[name] += (one.low <= share <= one.high, one.low > share)
    return {name: (float(held), float(above)) for name, (held, above) in ((n, h / data_sets) for n, h in hits.items())}


def _report(cells: list[tuple[int, float, dict[str, tuple[float, float]]]], data_sets: int) -> str:
    error = 1.96 * math.sqrt(0.95 * 0.05 / data_sets)
    rows = [
        {
            "patients": f"{patients:,}",
            "true share": f"{share}",
            **{name: f"{_marked(held)} ({above:.3f})".replace("0.", ".") for name, (held, above) in of.items()},
        }
        for patients, share, of in cells
    ]
    outside = {name: sum(not WANTED[0] <= of[name][0] <= WANTED[1] for _, _, of in cells) for name in METHODS}
    counted = ", ".join(f"{name} {count}" for name, count in outside.items())
    return "\n".join(
        [
            "# How often a 95 % interval holds the true share",
            "",
            "`python -m benchmark.statistics.share_coverage --write`",
            "",
            f"A share of the images with pneumonia (a recall); {data_sets:,} simulated data sets a cell: a coverage of "
            f".950 is known to ± {error:.3f}. Data as in [interval_coverage.md](interval_coverage.md).",
            "",
            *(f"- **{name}**: {words}." for name, words in METHODS.items()),
            "",
            f"Coverage; **bold** = outside {WANTED[0]} to {WANTED[1]}. In brackets: share of data sets whose interval "
            "lies above the truth (wanted: .025). Near 1 a share has few values, so that no method can hit .950.",
            "",
            *markdown_table(rows),
            "",
            f"Of {len(cells)} cells outside: {counted}.",
            "",
        ]
    )


def _marked(held: float) -> str:
    text = f"{held:.3f}"
    return text if WANTED[0] <= held <= WANTED[1] else f"**{text}**"


if __name__ == "__main__":
    main()
