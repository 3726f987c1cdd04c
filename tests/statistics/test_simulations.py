"""The simulations draw what they say, and the committed tables carry what the documentation says of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmark.statistics import equal_networks, interval_coverage, reader_coverage, share_coverage, simulated
from benchmark.statistics.simulated import Population, draw_films, draw_scores, measured
from benchmark.statistics.simulated_readers import AREAS, NEAR_ONE, STRUCTURES, area_estimates, draw, share_estimates
from pneumobench.metrics.estimates import area_estimate, share_estimate
from pneumobench.reporting.reader_tables import OF_SEVERAL

HOME = Path(interval_coverage.__file__).parent


@pytest.fixture(scope="module")
def population() -> Population:
    return measured()


def test_the_population_is_that_of_the_published_run(population: Population) -> None:
    assert population.size.size == 2846
    assert population.size.sum() == 5216
    assert population.ill.mean() == pytest.approx(0.5745, abs=1e-4)
    assert 0 < population.likeness[0] < population.likeness[1] < 0.5
    assert population.scale.size == 5


@pytest.mark.parametrize("area", [0.90, 0.994])
def test_the_true_area_is_that_within_folds_and_pooling_is_not(population: Population, area: float) -> None:
    rng = np.random.default_rng(0)
    films = draw_films(population, 30_000, rng)
    probability = draw_scores(population, films, area, 2, rng)
    for scores in probability:
        found = area_estimate(scores, films.label, films.patient, films.fold)
        assert found.value == pytest.approx(area, abs=4 * found.standard_error)
        assert roc_auc_score(films.label, scores) < area - 0.002
    counts = np.bincount(films.fold[np.unique(films.patient, return_index=True)[1]])
    assert counts.max() - counts.min() <= 1


def test_resampled_areas_spread_as_the_influences_say(population: Population) -> None:
    rng = np.random.default_rng(1)
    films = draw_films(population, 800, rng)
    scores = draw_scores(population, films, 0.95, 1, rng)[0]
    estimate = area_estimate(scores, films.label, films.patient, films.fold)
    drawn = interval_coverage.resampled_areas(scores, films, 600, rng)
    assert drawn.mean() == pytest.approx(estimate.value, abs=4 * estimate.standard_error / np.sqrt(600))
    assert drawn.std() == pytest.approx(estimate.standard_error, rel=0.12)


@pytest.mark.parametrize(
    ("module", "rows"),
    [
        (interval_coverage, len(simulated.AREAS)),
        (equal_networks, len(simulated.AREAS)),
        (share_coverage, len(share_coverage.SHARES)),
    ],
)
def test_a_simulation_goes_through(
    module: object, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = module.__name__  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", [name, "--data-sets", "2", "--patients", "100"])
    module.main()  # type: ignore[attr-defined]
    text = capsys.readouterr().out
    assert f"`python -m {name} --write`" in text
    assert len(_rows(text)) == rows


def test_the_shown_interval_holds_the_truth_in_every_cell_and_others_do_not() -> None:
    text = (HOME / "interval_coverage.md").read_text()
    rows = _rows(text)
    assert len(rows) == len(simulated.AREAS) * len(simulated.PATIENTS)
    names = [
        cell.strip()
        for cell in next(line for line in text.splitlines() if line.startswith("| patients")).split("|")[1:-1]
    ]
    low, high = interval_coverage.WANTED
    held = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    assert min(held[interval_coverage.CHOSEN]) >= low
    # more than wanted only where a perfect area is likely, whose interval must hold what a perfect area is likely under
    over = [row for row, share in zip(rows, held[interval_coverage.CHOSEN], strict=True) if share > high]
    assert all(row[names.index("area is 1")] > 0.05 for row in over)
    assert min(held["percentile"]) < low
    assert "2,000 simulated data sets" in text


def test_equal_networks_are_rarely_told_apart() -> None:
    rows = _rows((HOME / "equal_networks.md").read_text())
    assert len(rows) == len(simulated.AREAS) * len(simulated.PATIENTS)
    assert max(row[2] for row in rows) <= equal_networks.WANTED
    assert max(row[5] for row in rows) <= equal_networks.WANTED
    assert max(row[6] for row in rows) > 2 * equal_networks.WANTED  # an interval against a point


def _rows(text: str) -> list[list[float]]:
    """Return the numbers of the first table."""
    table = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    lines = [line for line in table.splitlines() if re.match(r"\| [\d,]+ \|", line)]
    return [[float(re.sub(r"\(.*\)|[*,]", "", cell).strip()) for cell in line.strip("|").split("|")] for line in lines]


def test_the_shown_interval_of_a_share_holds_it_more_often_than_the_others() -> None:
    text = (HOME / "share_coverage.md").read_text()
    rows, methods = _rows(text), list(share_coverage.METHODS)
    assert len(rows) == len(share_coverage.SHARES) * 4
    held = {name: [row[2 + place] for row in rows] for place, name in enumerate(methods)}
    low, _ = share_coverage.WANTED
    assert min(held[share_coverage.CHOSEN]) >= low - 0.005
    assert min(held["percentile"]) < 0.5
    assert "2,000 simulated data sets" in text


def test_the_truth_of_simulated_readers_is_what_many_come_to() -> None:
    rng, structure = np.random.default_rng(2), STRUCTURES["HH"]
    study = draw(structure, 0.9, 0.05, 4, 20_000, rng)
    areas, shares = area_estimates(study.rating[:, :, :2000]), share_estimates(study.called[..., 1::2])
    label, names = np.arange(2000) % 2, np.arange(2000)
    for mode in (0, 1):
        for reader in range(4):
            slow = area_estimate(study.rating[mode, reader, :2000], label, names)
            assert areas[mode][reader].value == pytest.approx(slow.value)
            assert areas[mode][reader].influence == pytest.approx(slow.influence)
            slow_share = share_estimate(study.called[mode, reader, 1::2], np.arange(10_000))
            assert shares[mode][reader].influence == pytest.approx(slow_share.influence)
            assert slow.value == pytest.approx(study.areas[mode, reader], abs=0.03)
            assert slow_share.value == pytest.approx(study.sensitivities[mode, reader], abs=0.03)
    many = draw(structure, 0.9, 0.05, 40_000, 2, rng)
    assert many.areas.mean(axis=1) == pytest.approx(many.area, abs=0.004)
    assert many.sensitivities.mean(axis=1) == pytest.approx(many.sensitivity, abs=0.004)


def test_the_simulation_of_readers_goes_through(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reader_coverage", "--data-sets", "1", "--patients", "40"])
    reader_coverage.main()
    text = capsys.readouterr().out
    assert "`python -m benchmark.statistics.reader_coverage --write`" in text
    assert len(re.findall(r"^\| 40 \| \d+ \|", text, re.MULTILINE)) == 2 * len(reader_coverage.READERS)


def test_the_words_of_a_reader_study_are_those_of_its_simulation() -> None:
    cells = pd.read_csv(HOME / "reader_coverage.csv")
    assert len(cells.groupby(["structure", "auc", "change"])) == len(STRUCTURES) * sum(map(len, AREAS.values()))
    ends = [
        tuple(f"{end:.2f}".removeprefix("0") for end in (part["held"].min(), part["held"].max()))
        for part in (
            reader_coverage.shown(cells[cells["auc"] < NEAR_ONE]),
            reader_coverage.shown(cells[cells["auc"] == NEAR_ONE]),
        )
    ]
    assert "in {} to {} of studies where the mean AUC without help was .7 or .9".format(*ends[0]) in OF_SEVERAL
    assert "in {} to {} where it was .97".format(*ends[1]) in OF_SEVERAL
    guide = " ".join((HOME.parents[1] / "docs/how-to/reader-study.md").read_text().split())
    assert (
        "in {} to {} of them with a mean AUC of .7 or .9 without help, and in {} to {} with .97".format(
            *ends[0], *ends[1]
        )
        in guide
    )
    kept = cells[(cells["readers"] > 1) & ~cells["interval_of"].str.endswith("alone")]
    hidden = kept.drop(reader_coverage.shown(cells).index)["held"].min()
    assert f"with fewer it held the truth in as few as {hidden:.2f}".replace("0.", ".") in guide
    usual = cells[(cells["auc"] < NEAR_ONE) & (cells["readers"] > 1)]
    change = usual.pivot_table(
        index=["structure", "auc", "change", "images", "readers"], columns="interval_of", values="held"
    )
    for alone in ("images alone", "readers alone"):
        assert change[f"AUC change, {alone}"].min() < change["AUC change"].min() - 0.05, "either variance matters"
