"""Simulated scores that resemble the committed ones: images of a patient are alike, every fold has its own scale.

Sizes of patients, likeness of their images, spread of the classes, likeness of the networks and scales of the folds are
measured on the published run `leaderboard/kermany-cpu`; the scores are normal, so that the true area is known.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from pneumobench.suite.reader import load_suite

AREAS: Final = (0.90, 0.97, 0.994, 0.999)
PATIENTS: Final = (100, 200, 400, 1000, 3000)
RUN: Final = Path(__file__).resolve().parents[2] / "leaderboard/kermany-cpu"
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Population:
    """What the simulation takes from the published run.

    Args:
        size: images of each patient of the folds.
        ill: whether each of them has pneumonia.
        likeness: share of the variance of scores that lies between patients, of normal images and of pneumonia.
        spread: standard deviation of the scores of pneumonia images; that of normal images is 1.
        networks: correlation of the scores of two networks on images of one class.
        offset, scale: of the scores of each fold.
    """

    size: Integers
    ill: NDArray[np.bool_]
    likeness: tuple[float, float]
    spread: float
    networks: float
    offset: Floats
    scale: Floats


@dataclass(frozen=True, kw_only=True)
class Films:
    """The images of one simulated data set: label, patient and fold (N,), without scores."""

    label: NDArray[np.bool_]
    patient: Integers
    fold: Integers


def measured() -> Population:
    """Measure the published run: medians over its networks."""
    index = pd.read_csv(RUN / "index.csv.gz").set_index("image_id")
    names = load_suite(RUN / "suite.yaml", of_run=True).architectures.names
    logits = pd.DataFrame({name: _out_of_fold(name)["logit"] for name in names})
    fold = _out_of_fold(names[0])["fold"]
    table = index.loc[logits.index]
    within = [logits[table["label"] == label] for label in (0, 1)]
    ranked = [_normal_scores(part, fold) for part in within]
    groups = [table["group"].loc[part.index] for part in within]
    between = [
        float(np.median([_likeness(part[name], group) for name in names]))
        for part, group in zip(ranked, groups, strict=True)
    ]
    spread = [part.groupby(fold.loc[part.index]).std().mean() for part in within]
    normal = within[0]["densenet121"].groupby(fold.loc[within[0].index])  # the one that pooling moves most
    patients = table.groupby("group")["label"].agg(["size", "max"])
    correlations = [part.corr().to_numpy()[np.triu_indices(len(names), 1)] for part in ranked]
    return Population(
        size=patients["size"].to_numpy(np.int64),
        ill=patients["max"].to_numpy() == 1,
        likeness=(max(0.0, between[0]), max(0.0, between[1])),
        spread=float(np.median(spread[1] / spread[0])),
        networks=float(np.median(np.concatenate(correlations))),
        offset=normal.mean().to_numpy(np.float64),
        scale=np.asarray(normal.std(), dtype=np.float64),
    )


def draw_films(population: Population, patients: int, rng: np.random.Generator) -> Films:
    """Draw patients and deal those of each class to the folds, as evenly as it goes."""
    chosen = rng.integers(0, population.size.size, patients)
    ill = population.ill[chosen]
    fold = np.empty(patients, np.int64)
    fold[np.argsort(ill, kind="stable")] = np.arange(patients) % population.scale.size
    patient = np.repeat(np.arange(patients), population.size[chosen])
    return Films(label=ill[patient], patient=patient, fold=fold[patient])


def draw_scores(population: Population, films: Films, area: float, networks: int, rng: np.random.Generator) -> Floats:
    """Return probabilities (networks, N) of equal networks, whose area within every fold is `area`."""
    shift = norm.ppf(area) * np.hypot(1.0, population.spread)
    shared, *own = (_noise(population, films, rng) for _ in range(networks + 1))
    alike = population.networks if networks > 1 else 0.0
    latent = np.sqrt(alike) * shared + np.sqrt(1 - alike) * np.stack(own)
    latent = shift * films.label + np.where(films.label, population.spread, 1.0) * latent
    probability: Floats = norm.cdf((population.offset[films.fold] + population.scale[films.fold] * latent) / 10)
    return probability


def _noise(population: Population, films: Films, rng: np.random.Generator) -> Floats:
    """Return standard normal numbers (N,) that are alike within a patient."""
    likeness = np.where(films.label, population.likeness[1], population.likeness[0])
    of_patient = rng.normal(size=int(films.patient.max()) + 1)[films.patient]
    noise: Floats = np.sqrt(likeness) * of_patient + np.sqrt(1 - likeness) * rng.normal(size=films.patient.size)
    return noise


def _out_of_fold(name: str) -> pd.DataFrame:
    tables = [pd.read_csv(path) for path in sorted((RUN / name).glob("fold-*/predictions.csv.gz"))]
    table = pd.concat(tables)
    return table[table["split"] == "test"].set_index("image_id").sort_index()


def _normal_scores(logits: pd.DataFrame, fold: pd.Series[int]) -> pd.DataFrame:
    """Return the logits of each network as quantiles of the normal law, fold by fold."""
    by_fold = logits.groupby(fold.loc[logits.index])
    place = (by_fold.rank() - 0.5) / by_fold.transform("size").to_numpy()[:, None]
    return pd.DataFrame(norm.ppf(place), index=logits.index, columns=logits.columns)


def _likeness(scores: pd.Series[float], group: pd.Series[int]) -> float:
    """Return the intraclass correlation by analysis of variance (Donner 1986)."""
    by_patient = scores.groupby(group)
    count, images = len(by_patient), len(scores)
    size, mean = by_patient.size(), by_patient.mean()
    between = float((size * (mean - scores.mean()) ** 2).sum()) / (count - 1)
    inside = float(((scores - mean.loc[group].to_numpy()) ** 2).sum()) / (images - count)
    typical = (images - float((size**2).sum()) / images) / (count - 1)
    return (between - inside) / (between + (typical - 1) * inside)


def asked(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every simulation has.

    Args:
        doc: what the script says of itself; its first line is shown.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=2000, help="simulated data sets of each cell")
    parser.add_argument("--patients", type=int, nargs="+", default=PATIENTS, help="patients of a data set")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument("--write", action="store_true", help="write the table beside the script")
    return parser
