"""How often 95 % intervals of an area under the ROC curve hold the true area: several methods on the same data.

python -m benchmark.statistics.interval_coverage [--write]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t

from benchmark.statistics.simulated import AREAS, Films, Floats, Population, asked, draw_films, draw_scores, measured
from pneumobench.files import write_text
from pneumobench.metrics.estimates import PatientEstimate, area_estimate

WANTED: Final = (0.93, 0.97)
Z: Final = float(norm.ppf(0.975))
Ends = tuple[float, float]
METHODS: Final = {
    "percentile": "the middle 95 % of resampled areas, patients drawn within folds; on the logit scale it is the same",
    "BCa": "the same resamples, bias-corrected and accelerated (Efron 1987), acceleration from the influences",
    "logit bootstrap": "normal on the logit scale, standard error of the resamples",
    "influence": "normal, standard error of the influences of patients (LeDell et al. 2015)",
    "influence, logit": "the same on the logit scale; where the area is exactly 1, down to Newcombe's bound (2006). "
    "This is what pneumobench shows",
    "influence, logit, t": "the same with Student's law, degrees of freedom as in Pan and Wall 2002",
}
CHOSEN: Final = "influence, logit"


def main() -> None:
    """Simulate, print, and write the table if asked to."""
    parser = asked(__doc__)
    parser.add_argument("--resamples", type=int, default=500, help="resamples of each data set")
    options = parser.parse_args()
    population = measured()
    began = time.monotonic()
    areas = []
    for patients in options.patients:
        for area in AREAS:
            areas.append(
                _coverage_of_area(population, patients, area, options.data_sets, options.resamples, options.seed)
            )
            print(*areas[-1], f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    report = _report(areas, population, options)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _coverage_of_area(
    population: Population, patients: int, area: float, data_sets: int, resamples: int, seed: int
) -> tuple[int, float, float, dict[str, Ends]]:
    """Return patients, area, share of data sets with an area of 1, and by method how often it held and lay above."""
    hits = {name: np.zeros(2) for name in METHODS}
    perfect = 0
    for number in range(data_sets):
        rng = np.random.default_rng([seed, patients, round(1000 * area), number])
        films = draw_films(population, patients, rng)
        probability = draw_scores(population, films, area, 1, rng)[0]
        estimate = area_estimate(probability, films.label, films.patient, films.fold)
        perfect += estimate.value == 1
        for name, (low, high) in _intervals(estimate, probability, films, resamples, rng).items():
            hits[name] += [low <= area <= high, low > area]
    shares = {name: (float(held), float(above)) for name, (held, above) in hits.items()}
    return (
        patients,
        area,
        perfect / data_sets,
        {name: (h / data_sets, a / data_sets) for name, (h, a) in shares.items()},
    )


def _intervals(
    estimate: PatientEstimate, probability: Floats, films: Films, resamples: int, rng: np.random.Generator
) -> dict[str, Ends]:
    """Return the ends by method; an area of 1 leaves the methods without a bound for it with a point."""
    value, error = estimate.value, estimate.standard_error
    chosen = estimate.area_interval()
    ends = (chosen.low, chosen.high)
    found: dict[str, Ends] = dict.fromkeys(METHODS, (value, value)) | {CHOSEN: ends, "influence, logit, t": ends}
    if not estimate.influence.any():
        return found
    drawn = resampled_areas(probability, films, resamples, rng)
    found["percentile"] = _quantiles(drawn, norm.cdf([-Z, Z]))
    bias = float(norm.ppf(np.clip(np.mean(drawn < value) + np.mean(drawn == value) / 2, 1e-3, 1 - 1e-3)))
    acceleration = float(np.sum(estimate.influence**3) / (6 * np.sum(estimate.influence**2) ** 1.5))
    shifted = np.array([bias - Z, bias + Z])
    found["BCa"] = _quantiles(drawn, norm.cdf(bias + shifted / (1 - acceleration * shifted)))
    slope = value * (1 - value)
    found["logit bootstrap"] = _on_logit_scale(value, Z * float(drawn.std(ddof=1)) / slope)
    found["influence"] = (value - Z * error, value + Z * error)
    student = float(t.ppf(0.975, estimate.degrees_of_freedom))
    found["influence, logit, t"] = _on_logit_scale(value, student * error / slope)
    return found


def resampled_areas(probability: Floats, films: Films, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the areas (resamples,) within folds of patients drawn with replacement within each fold."""
    total, images = np.zeros(resamples), films.label.size
    for fold in np.unique(films.fold):
        part = np.flatnonzero(films.fold == fold)
        part = part[np.argsort(probability[part], kind="stable")]
        patients, patient = np.unique(films.patient[part], return_inverse=True)
        drawn = rng.integers(0, patients.size, (resamples, patients.size))
        drawn += np.arange(resamples)[:, None] * patients.size
        times = np.bincount(drawn.ravel(), minlength=resamples * patients.size).reshape(resamples, -1)
        weights = times.astype(np.float32)[:, patient]
        ill, below = films.label[part], np.cumsum(np.where(films.label[part], 0, weights), axis=1)
        positive = weights[:, ill]
        pairs = positive.sum(axis=1) * below[:, -1]
        won = np.einsum("rn,rn->r", positive, below[:, ill])
        area = np.divide(won, pairs, out=np.full(resamples, 0.5), where=pairs > 0)
        total += part.size / images * area
    return total


def _quantiles(drawn: Floats, levels: Floats) -> Ends:
    low, high = np.quantile(drawn, levels).tolist()
    return low, high


def _on_logit_scale(value: float, half: float) -> Ends:
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _report(
    areas: list[tuple[int, float, float, dict[str, Ends]]],
    population: Population,
    options: argparse.Namespace,
) -> str:
    error = math.sqrt(0.95 * 0.05 / options.data_sets)
    lines = [
        "# How often a 95 % interval holds the true area",
        "",
        "`python -m benchmark.statistics.interval_coverage --write`",
        "",
        f"{options.data_sets:,} simulated data sets a cell, {options.resamples:,} resamples of each: a coverage of "
        f".950 is known to ± {1.96 * error:.3f}. Patients, their numbers of images and the share of pneumonia are "
        f"drawn from the published run kermany-cpu; {population.likeness[0]:.2f} (normal) and "
        f"{population.likeness[1]:.2f} (pneumonia) of the variance of scores lies between patients, the scores of "
        f"pneumonia spread {population.spread:.2f} times as wide, and five folds have the scales of DenseNet-121: all "
        "measured there. Scores are normal. The area is that within folds.",
        "",
        *(f"- **{name}**: {words}." for name, words in METHODS.items()),
        "",
        f"Coverage; **bold** = outside {WANTED[0]} to {WANTED[1]}. In brackets: share of data sets whose interval lies "
        "above the truth (wanted: .025).",
        "",
        "| patients | true area | area is 1 | " + " | ".join(METHODS) + " |",
        "| ---: | ---: | ---: |" + " ---: |" * len(METHODS),
    ]
    for patients, area, perfect, hits in areas:
        cells = [f"{_marked(held)} ({_short(above)})" for held, above in hits.values()]
        lines.append(f"| {patients:,} | {area} | {_short(perfect)} | " + " | ".join(cells) + " |")
    lines += ["", _missed_words(areas)]
    return "\n".join(lines) + "\n"


def _missed_words(areas: list[tuple[int, float, float, dict[str, Ends]]]) -> str:
    """Say in how many cells each method misses, and where the chosen one does."""

    def missed(name: str, found: Callable[[float], bool]) -> int:
        return sum(found(hits[name][0]) for *_, hits in areas)

    counts = [
        f"{name} {missed(name, lambda held: held < WANTED[0])} too low, "
        f"{missed(name, lambda held: held > WANTED[1])} too high"
        for name in METHODS
    ]
    where = [
        f"{patients:,} patients and {area} ({_short(hits[CHOSEN][0])})"
        for patients, area, _, hits in areas
        if not WANTED[0] <= hits[CHOSEN][0] <= WANTED[1]
    ]
    text = f"Of {len(areas)} cells: {'; '.join(counts)}."
    return text + (f" The chosen method misses at {', '.join(where)}." if where else " The chosen method misses none.")


def _short(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _marked(held: float) -> str:
    return _short(held) if WANTED[0] <= held <= WANTED[1] else f"**{_short(held)}**"


if __name__ == "__main__":
    main()
