"""What the answers of a reader study come to: accuracy with and without help, agreement, time and ratings of maps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.metrics.decision_intervals import share_interval
from pneumobench.metrics.estimates import PatientEstimate, area_estimate, share_estimate
from pneumobench.metrics.readers import (
    LEAST_IMAGES,
    LEAST_READERS,
    NO_INTERVAL,
    Measured,
    mean_change_over_readers,
    mean_kappa,
    mean_over_readers,
    paired_share_change,
)
from pneumobench.records.reader_study import ReaderStudy

WASHOUT_DAYS: Final = 28  # Gallas et al. 2012, doi 10.1016/j.acra.2011.12.016: four weeks or more between readings
MEASURES: Final = ("sensitivity", "specificity", "auc")
EVERYBODY: Final = "mean of readers"
NETWORK: Final = "network"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A measure of a reader, or of their mean: without help, with help, and the change by help.

    Args:
        reader: `reader 1`, EVERYBODY or NETWORK (which has no change).
        measure: one of MEASURES.
        images: that it is of.
        without: without help; of the network: what it says itself.
        helped: with help; None of the network.
        change: helped minus without, on the same images; None of the network.
    """

    reader: str
    measure: str
    images: int
    without: Measured
    helped: Measured | None
    change: Measured | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Cohen's kappa of decisions, without and with help; `between` says of whom."""

    between: str
    without: Measured
    helped: Measured


@dataclass(frozen=True, kw_only=True)
class ReaderFacts:
    """What else the answers of a reader (or of all) say.

    Args:
        reader: `reader 1`, or EVERYBODY.
        seconds: median seconds an image without and with help.
        map_rating: mean rating of heat maps, 1 to 5, where the network is right and where it is wrong; NaN = nowhere.
        corrected: by whether the network is right: wrong decisions that are right with help.
        misled: by whether the network is right: right decisions that are wrong with help.
        days: whole days between the sessions; None of all readers together.
    """

    reader: str
    seconds: tuple[float, float]
    map_rating: tuple[float, float]
    corrected: tuple[int, int]
    misled: tuple[int, int]
    days: int | None


@dataclass(frozen=True, kw_only=True)
class ReaderResults:
    """Everything that is computed from the answers of a study."""

    study: ReaderStudy
    readers: int
    effects: tuple[Effect, ...]
    agreements: tuple[Agreement, ...]
    facts: tuple[ReaderFacts, ...]

    @property
    def pneumonia_images(self) -> int:
        """How many of the images show pneumonia."""
        return sum(image.label for image in self.study.images)

    @property
    def network_wrong(self) -> int:
        """How many of the images the network calls wrongly."""
        return sum(not image.network_right for image in self.study.images)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reads:
    """The answers of all readers: arrays (R, N), readers by number, images by code."""

    names: tuple[str, ...]
    called: dict[bool, NDArray[np.bool_]]
    confidence: dict[bool, NDArray[np.float64]]
    label: NDArray[np.bool_]
    network: NDArray[np.bool_]
    codes: NDArray[np.str_]


def reader_results(study: ReaderStudy, answers: pd.DataFrame) -> ReaderResults:
    """Compute what the checked answers of a study come to.

    Args:
        study: with its key.
        answers: as `read_answers` gives them.
    """
    reads = _reads(study, answers)
    numbers = sorted(answers["reader"].unique().tolist())
    facts = [_facts(study, answers[answers["reader"] == number], f"reader {number}") for number in numbers]
    if len(numbers) > 1:
        facts.append(_facts(study, answers, EVERYBODY))
    return ReaderResults(
        study=study,
        readers=len(numbers),
        effects=tuple(effect for measure in MEASURES for effect in _effects(reads, study, measure)),
        agreements=tuple(_agreements(reads)),
        facts=tuple(facts),
    )


def _reads(study: ReaderStudy, answers: pd.DataFrame) -> _Reads:
    codes = [image.code for image in study.images]

    def grid(column: str, helped: bool) -> pd.DataFrame:
        part = answers[answers["help"] == helped]
        return part.pivot_table(index="reader", columns="image", values=column, aggfunc="first")[codes].sort_index()

    return _Reads(
        names=tuple(f"reader {number}" for number in sorted(answers["reader"].unique())),
        called={helped: grid("called", helped).to_numpy(dtype=np.bool_) for helped in (False, True)},
        confidence={helped: grid("confidence", helped).to_numpy(dtype=np.float64) / 100 for helped in (False, True)},
        label=np.array([image.label == 1 for image in study.images]),
        network=np.array([image.called for image in study.images]),
        codes=np.array(codes),
    )


def _effects(reads: _Reads, study: ReaderStudy, measure: str) -> list[Effect]:
    """Return a measure of each reader, of their mean where there are several, and of the network."""
    among = {"sensitivity": reads.label, "specificity": ~reads.label, "auc": np.ones_like(reads.label)}[measure]
    codes, images = reads.codes[among], int(among.sum())
    few = np.unique(reads.label[among], return_counts=True)[1].min() < LEAST_IMAGES  # AUC: of the class that has fewer

    def estimate(reader: int, helped: bool) -> PatientEstimate:
        if measure == "auc":
            return area_estimate(reads.confidence[helped][reader], reads.label, codes)
        return share_estimate(_hits(reads.called[helped][reader], reads.label)[among], codes)

    def measured(reader: int, helped: bool) -> Measured:
        found = estimate(reader, helped)
        if measure == "auc":
            return Measured(value=found.value, interval=found.area_interval())
        hits = _hits(reads.called[helped][reader], reads.label)[among]
        return Measured(value=found.value, interval=share_interval(hits, codes))

    def change(reader: int) -> Measured:
        if measure != "auc":
            without, helped = (_hits(reads.called[mode][reader], reads.label)[among] for mode in (False, True))
            return paired_share_change(without, helped)
        difference = estimate(reader, True).minus(estimate(reader, False))
        known = np.any(difference.influence) and not few
        return Measured(value=difference.value, interval=difference.difference_interval() if known else NO_INTERVAL)

    everyone = range(len(reads.names))
    effects = [
        Effect(
            reader=reads.names[reader],
            measure=measure,
            images=images,
            without=measured(reader, False),
            helped=measured(reader, True),
            change=change(reader),
        )
        for reader in everyone
    ]
    if len(reads.names) > 1:
        without, helped = ([estimate(reader, mode) for reader in everyone] for mode in (False, True))
        differences = [after.minus(before) for before, after in zip(without, helped, strict=True)]
        means = [mean_over_readers(without), mean_over_readers(helped), mean_change_over_readers(differences)]
        if len(reads.names) < LEAST_READERS or few:
            means = [Measured(value=mean.value, interval=NO_INTERVAL) for mean in means]
        effects.append(
            Effect(reader=EVERYBODY, measure=measure, images=images, without=means[0], helped=means[1], change=means[2])
        )
    effects.append(_network_effect(reads, study, measure, among))
    return effects


def _network_effect(reads: _Reads, study: ReaderStudy, measure: str, among: NDArray[np.bool_]) -> Effect:
    codes = reads.codes[among]
    if measure == "auc":
        found = area_estimate([image.probability for image in study.images], reads.label, codes)
        own = Measured(value=found.value, interval=found.area_interval())
    else:
        hits = _hits(reads.network, reads.label)[among]
        own = Measured(value=float(hits.mean()), interval=share_interval(hits, codes))
    return Effect(reader=NETWORK, measure=measure, images=int(among.sum()), without=own, helped=None, change=None)


def _hits(called: NDArray[np.bool_], label: NDArray[np.bool_]) -> NDArray[np.bool_]:
    hits: NDArray[np.bool_] = called == label
    return hits


def _agreements(reads: _Reads) -> list[Agreement]:
    """Return the kappa of each pair of readers, their mean, and that of each reader with the network."""
    pairs = list(itertools.combinations(range(len(reads.names)), 2))

    def agreement(
        between: str, decisions: Callable[[bool], list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]]
    ) -> Agreement:
        return Agreement(between=between, without=mean_kappa(decisions(False)), helped=mean_kappa(decisions(True)))

    found = [
        agreement(
            f"{reads.names[a]} and {reads.names[b]}",
            lambda mode, a=a, b=b: [(reads.called[mode][a], reads.called[mode][b])],  # type: ignore[misc]
        )
        for a, b in pairs
    ]
    if len(pairs) > 1:
        found.append(
            agreement(
                "mean of all pairs", lambda mode: [(reads.called[mode][a], reads.called[mode][b]) for a, b in pairs]
            )
        )
    found += [
        agreement(f"{name} and {NETWORK}", lambda mode, reader=reader: [(reads.called[mode][reader], reads.network)])  # type: ignore[misc]
        for reader, name in enumerate(reads.names)
    ]
    return found


def _facts(study: ReaderStudy, answers: pd.DataFrame, name: str) -> ReaderFacts:
    """Return time, ratings and changed decisions of one reader, or of all their answers together."""
    truth = {image.code: bool(image.label) for image in study.images}
    right = {image.code: image.network_right for image in study.images}
    table = answers.assign(
        hit=answers["called"] == answers["image"].map(truth), network_right=answers["image"].map(right)
    )
    helped, without = table[table["help"]], table[~table["help"]]
    both = helped.merge(without, on=["reader", "image"], suffixes=("", "_without"))

    def changed(hit: bool, network_right: bool) -> int:
        moved = (both["hit"] == hit) & (both["hit_without"] != hit) & (both["network_right"] == network_right)
        return int(moved.sum())

    medians = tuple(float(part.groupby("reader")["seconds"].median().mean()) for part in (without, helped))
    ratings = tuple(float(helped.loc[helped["network_right"] == kind, "map_rating"].mean()) for kind in (True, False))
    days = None
    if name != EVERYBODY:
        ends = table.loc[table["session"] == 1, "answered"].max(), table.loc[table["session"] == 2, "answered"].min()
        days = (ends[1] - ends[0]).days
    return ReaderFacts(
        reader=name,
        seconds=(medians[0], medians[1]),
        map_rating=(ratings[0], ratings[1]),
        corrected=(changed(True, True), changed(True, False)),
        misled=(changed(False, True), changed(False, False)),
        days=days,
    )
