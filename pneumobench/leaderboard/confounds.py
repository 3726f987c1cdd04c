"""What is left of an area under the ROC curve among images that are alike in facts of their acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.leaderboard.scores import area_of, folds_of
from pneumobench.metrics.adjustment import adjusted_area_estimate, equal_strata, matched_pairs
from pneumobench.metrics.estimates import PatientEstimate
from pneumobench.metrics.intervals import Interval

WIDTH, HEIGHT, ASPECT, GRAY = "width", "height", "aspect", "mean_gray"
FACTS: Final = (WIDTH, HEIGHT, ASPECT, GRAY)
STRATA: Final = 5  # of each fact
SCORE_STRATA: Final = 20  # of what all facts together say of the label


@dataclass(frozen=True, kw_only=True)
class Area:
    """An area under the ROC curve with its 95 % interval over patients; NaN where it could not be computed."""

    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class ConfoundScore:
    """The areas of one row.

    Args:
        name: architecture, control, or what of the facts is scored.
        kind: network, control, or fact: how well the facts themselves tell the label, before and after.
        all_images: on all images whose facts are known.
        matched: on the matched ones.
        adjusted: covariate-adjusted.
    """

    name: str
    kind: str
    all_images: Area
    matched: Area
    adjusted: Area


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """The areas on images of one stratum of one fact.

    Args:
        fact: one of FACTS.
        low: least value in it.
        high: largest value in it.
        images: how many.
        pneumonia_images: how many of them show pneumonia.
        areas: by the name of a network or control.
    """

    fact: str
    low: float
    high: float
    images: int
    pneumonia_images: int
    areas: dict[str, Area]


@dataclass(frozen=True, kw_only=True)
class Confounds:
    """What is left of all scores on one set of images.

    Args:
        images: images whose facts are known.
        without_facts: images that were left out because a fact is not known.
        pairs: matched pairs.
        normals: normal images there were to match.
        farthest: largest difference within a pair by fact; of width, height and aspect as a share of the smaller.
        compared: share of the images with pneumonia that the adjusted areas rest on.
        scores: networks and controls, then facts.
        strata: by fact, from low to high.
    """

    images: int
    without_facts: int
    pairs: int
    normals: int
    farthest: dict[str, float]
    compared: float
    scores: tuple[ConfoundScore, ...]
    strata: tuple[Stratum, ...]


def matched_images(table: pd.DataFrame, facts: pd.DataFrame, *, caliper_sd: float) -> NDArray[np.int64]:
    """Return rows (pairs, 2) of a table of predictions: an image with pneumonia, and a normal one like it.

    Width and height are compared as ratios, by their logarithms; aspect is what these leave.

    Args:
        table: image_id, label; `fold` where there are several models: pairs are of one fold.
        facts: FACTS by image_id.
        caliper_sd: see `matched_pairs`.
    """
    known = facts.loc[table["image_id"]]
    covariates = np.column_stack([np.log(known[WIDTH]), np.log(known[HEIGHT]), known[GRAY]])
    return matched_pairs(covariates, table["label"].to_numpy(), folds_of(table), caliper_sd=caliper_sd)


def confounds(
    predictions: Mapping[str, pd.DataFrame],
    kinds: Mapping[str, str],
    facts: pd.DataFrame,
    group: pd.Series[int],
    *,
    facts_score: pd.Series[float],
    refitted_score: pd.Series[float] | None,
    caliper_sd: float,
) -> Confounds:
    """Compute all areas on one set of images.

    Args:
        predictions: by name image_id, label, probability, and `fold` where there are several models; the same images
            in the same order for all.
        kinds: network or control, by name.
        facts: FACTS by image_id; NaN where not known: such images are left out.
        group: patient group by image_id.
        facts_score: probability of pneumonia by image_id that the facts alone give, from models that did not learn
            from the image.
        refitted_score: the same from models that learnt from matched images alone; None = not fitted.
        caliper_sd: see `matched_pairs`.
    """
    first = next(iter(predictions.values()))
    known = facts.loc[first["image_id"]].notna().all(axis=1).to_numpy()
    tables = {name: table[known].reset_index(drop=True) for name, table in predictions.items()}
    base = next(iter(tables.values()))
    images = base["image_id"]
    pairs = matched_images(base, facts, caliper_sd=caliper_sd)
    matched = np.sort(pairs.ravel())
    strata = equal_strata(facts_score.loc[images].to_numpy(), count=SCORE_STRATA)
    own = {
        **{fact: base.assign(probability=_as_score(facts.loc[images, fact], base["label"])) for fact in FACTS},
        "all facts": base.assign(probability=facts_score.loc[images].to_numpy()),
    }
    scores, compared = [], float("nan")
    for name, table in {**tables, **own}.items():
        adjusted = adjusted_area_estimate(
            table["probability"], table["label"], group.loc[images].to_numpy(), strata, folds_of(table)
        )
        compared = adjusted.compared
        scores.append(
            ConfoundScore(
                name=name,
                kind=kinds.get(name, "fact"),
                all_images=_area(area_of(table, group)),
                matched=_area_of_rows(table, matched, group),
                adjusted=_area(adjusted.estimate),
            )
        )
    if refitted_score is not None and len(matched):
        again = base.assign(probability=refitted_score.loc[images].to_numpy())
        nothing = Area(value=float("nan"), interval=Interval(low=float("nan"), high=float("nan")))
        scores.append(
            ConfoundScore(
                name="all facts, fitted to the pairs",
                kind="fact",
                all_images=nothing,
                matched=_area_of_rows(again, matched, group),
                adjusted=nothing,
            )
        )
    return Confounds(
        images=len(base),
        without_facts=int((~known).sum()),
        pairs=len(pairs),
        normals=int((base["label"] == 0).sum()),
        farthest=_farthest(facts.loc[images], pairs),
        compared=compared,
        scores=tuple(scores),
        strata=tuple(_strata(tables, facts.loc[images], group)),
    )


def _strata(tables: Mapping[str, pd.DataFrame], facts: pd.DataFrame, group: pd.Series[int]) -> Sequence[Stratum]:
    found = []
    label = next(iter(tables.values()))["label"].to_numpy()
    for fact in FACTS:
        values = facts[fact].to_numpy()
        number = equal_strata(values, count=STRATA)
        for one in np.unique(number):
            rows = np.flatnonzero(number == one)
            found.append(
                Stratum(
                    fact=fact,
                    low=float(values[rows].min()),
                    high=float(values[rows].max()),
                    images=len(rows),
                    pneumonia_images=int(label[rows].sum()),
                    areas={name: _area_of_rows(table, rows, group) for name, table in tables.items()},
                )
            )
    return found


def _area(estimate: PatientEstimate) -> Area:
    return Area(value=estimate.value, interval=estimate.area_interval())


def _area_of_rows(table: pd.DataFrame, rows: NDArray[np.int64], group: pd.Series[int]) -> Area:
    if len(rows) == 0:
        return Area(value=float("nan"), interval=Interval(low=float("nan"), high=float("nan")))
    return _area(area_of(table.iloc[rows], group))


def _as_score(fact: pd.Series[float], label: pd.Series[int]) -> NDArray[np.float64]:
    """Return a fact as a score in [0, 1], larger where pneumonia is more frequent."""
    values = fact.to_numpy(np.float64)
    score: NDArray[np.float64] = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    ill = label.to_numpy() == 1
    return score if np.median(score[ill]) >= np.median(score[~ill]) else 1 - score


def _farthest(facts: pd.DataFrame, pairs: NDArray[np.int64]) -> dict[str, float]:
    found = {}
    for fact in FACTS:
        one, other = (facts[fact].to_numpy()[pairs[:, side]] for side in (0, 1))
        apart = np.abs(one - other) / (1.0 if fact == GRAY else np.minimum(one, other))
        found[fact] = float(apart.max(initial=0.0))
    return found
