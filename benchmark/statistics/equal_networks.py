"""How often equal networks are told apart, and how often one of them is said to clear an equal shortcut baseline.

python -m benchmark.statistics.equal_networks [--write]
"""

from __future__ import annotations

import argparse
import math
import sys
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import norm

from benchmark.statistics.simulated import AREAS, Population, asked, draw_films, draw_scores, measured
from pneumobench.files import write_text
from pneumobench.metrics.comparison import SIGNIFICANCE, differences_from, paired_auc_differences
from pneumobench.metrics.estimates import PatientEstimate, area_estimate

NETWORKS: Final = 7
WANTED: Final = 0.06
OTHER_MARK: Final = "interval above the control's point"


def main() -> None:
    """Simulate, print, and write the table if asked to."""
    options = asked(__doc__).parse_args()
    population = measured()
    rows = []
    for patients in options.patients:
        for area in AREAS:
            rows.append((patients, area, *_alarms(population, patients, area, options.data_sets, options.seed)))
            print(*rows[-1], file=sys.stderr, flush=True)
    report = _report(rows, population, options)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _alarms(
    population: Population, patients: int, area: float, data_sets: int, seed: int
) -> tuple[float, float, float, float, float]:
    """Return the shares of data sets with a false alarm, in the order of the columns."""
    alarms = np.zeros(5)
    for number in range(data_sets):
        rng = np.random.default_rng([seed, patients, round(1000 * area), number, 2])
        films = draw_films(population, patients, rng)
        scores = draw_scores(population, films, area, NETWORKS + 1, rng)
        areas = {
            f"{number:02d}": area_estimate(probability, films.label, films.patient, films.fold)
            for number, probability in enumerate(scores)
        }
        *networks, control = areas
        pairs = paired_auc_differences({name: areas[name] for name in networks}).differences
        first = next(pair for pair in pairs if {pair.better, pair.worse} == set(networks[:2]))
        against = differences_from(control, areas)
        alarms += [
            any(pair.p_holm < SIGNIFICANCE for pair in pairs),
            min(_by_normal_law(areas[a].minus(areas[b])) for a, b in combinations(networks, 2)) * len(pairs)
            < SIGNIFICANCE,
            first.p_value < SIGNIFICANCE,
            any(pair.p_holm < SIGNIFICANCE and pair.worse == control for pair in against.values()),
            any(areas[name].area_interval().low > areas[control].value for name in networks),
        ]
    pair, normal, single, cleared, above = (alarms / data_sets).tolist()
    return pair, normal, single, cleared, above


def _by_normal_law(difference: PatientEstimate) -> float:
    return float(2 * norm.sf(abs(difference.value) / difference.standard_error)) if difference.value else 1.0


def _report(
    rows: list[tuple[int, float, float, float, float, float, float]],
    population: Population,
    options: argparse.Namespace,
) -> str:
    error = 1.96 * math.sqrt(0.05 * 0.95 / options.data_sets)
    lines = [
        "# How often equal networks are told apart",
        "",
        "`python -m benchmark.statistics.equal_networks --write`",
        "",
        f"{NETWORKS} networks and a shortcut baseline of the same true area, {options.data_sets:,} simulated "
        f"data sets a cell: a share of .050 is known to ± {error:.3f}. Data as in "
        "[interval_coverage.md](interval_coverage.md); "
        f"the scores of two networks on images of one class correlate by {population.networks:.2f}, as measured on "
        "kermany-cpu. Whatever is told apart here is a false alarm.",
        "",
        f"- **any pair**: some of the {math.comb(NETWORKS, 2)} pairs has p < {SIGNIFICANCE} after Holm (wanted: at "
        f"most {WANTED}; **bold** = more).",
        "- **by the normal law**: the same, had the tests not taken Student's law.",
        f"- **one pair**: the first two have p < {SIGNIFICANCE}, uncorrected.",
        f"- **clears the controls**: some network is better than the baseline with p < {SIGNIFICANCE} "
        f"after Holm over the networks (wanted: at most {WANTED}).",
        f"- **{OTHER_MARK}**: the lower end of some network's interval lies above the area of the baseline. This "
        "takes that area for certain, and takes no account of the number of networks: pneumobench does not do it.",
        "",
        f"| patients | true area | any pair | by the normal law | one pair | clears the controls | {OTHER_MARK} |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for patients, area, *shares in rows:
        cells = [f"{share:.3f}".removeprefix("0") for share in shares]
        for place in (0, 1, 3):
            cells[place] = f"**{cells[place]}**" if shares[place] > WANTED else cells[place]
        lines.append(f"| {patients:,} | {area} | {' | '.join(cells)} |")
    largest = [max(row[place] for row in rows) for place in (2, 5)]
    lines += ["", f"Largest: any pair {largest[0]:.3f}, clears the controls {largest[1]:.3f}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
