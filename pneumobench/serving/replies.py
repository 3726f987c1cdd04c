"""What a program is told, as typed JSON."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pneumobench.errors import NotAvailableError
from pneumobench.metrics.thresholds import THRESHOLD_RULES
from pneumobench.prediction.answers import REASONS, fold_threshold, sure_from, tempered, threshold_of
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH, Bundle


class Told(BaseModel):
    """What every answer says, whatever else it says."""

    model_config = ConfigDict(frozen=True)

    notice: str = FOR_RESEARCH
    bundle: str = Field(description="SHA-256 that names the bundle.")


class FoldAnswer(BaseModel):
    """What the network of one fold says."""

    fold: int
    probability: float = Field(description="Of pneumonia in [0, 1], tempered.")
    threshold: float = Field(description="The fold's own, by the bundle's rule.")
    pneumonia: bool = Field(description="Whether the probability reaches it.")


class ReasonGiven(BaseModel):
    """Why a person should look at a film."""

    name: str
    words: str


class Measure(BaseModel):
    """A number behind a reason to look."""

    name: str
    words: str = Field(description="What is wrong where the limit is passed.")
    value: float
    limit: float | None = Field(description="What usual films keep below; null = it is no matter of a number.")
    given: bool = Field(description="Whether it is a reason to have a person look at this film.")


class Answer(Told):
    """What the networks say of a film."""

    probability: float = Field(description="Of pneumonia in [0, 1], tempered, mean over the folds.")
    lowest: float = Field(description="Of the folds' probabilities.")
    highest: float = Field(description="Of the folds' probabilities.")
    threshold: float
    rule: str = Field(description="How the threshold was chosen on the validation parts of the folds.")
    decision: Literal["pneumonia", "normal"] = Field(description="Pneumonia where the threshold is reached.")
    folds: list[FoldAnswer]
    review: bool = Field(description="Whether a person should look at it.")
    reasons: list[ReasonGiven]
    notes: list[str] = Field(description="What else is to be said of the film or its file.")
    measures: list[Measure]
    lungs: bool = Field(description="Whether a pair of lungs was found.")
    classes: dict[str, float] = Field(description="Probability of each class, for three classes; else empty.")


class Threshold(BaseModel):
    """A threshold that a rule chose on the validation parts of the folds."""

    rule: str
    words: str
    threshold: float = Field(description="Of the tempered mean; the mean of the folds' own, tempered.")


class BundleAbout(Told):
    """What answers."""

    name: str
    architecture: str
    task: str
    classes: list[str]
    folds: int
    networks: int
    image_side_px: int
    rule: str
    threshold: float
    thresholds: list[Threshold]
    sure_from: float = Field(description="Confidence from which a film is decided, by the declared coverage.")
    coverage: str = Field(description="Share of films that is decided, the others being for a reader.")
    heat_maps: bool
    no_heat_maps: str = Field(description="Why there are none; empty where there are.")
    reference_images: int = Field(description="Training images whose features a film is compared with, per network.")
    film_bytes: int = Field(description="Size of a file that is taken, at most.")
    results: dict[str, Any] = Field(description="What the leaderboard of the run says of the networks.")


class Health(BaseModel):
    """Whether films are answered."""

    status: Literal["ready", "loading"]
    notice: str = FOR_RESEARCH


def answer_of(predictor: AskedBundle, gray: NDArray[np.uint8], notes: tuple[str, ...]) -> Answer:
    """Ask the networks about gray levels (H, W), and return the answer; `notes` are about the file."""
    bundle = predictor.bundle
    (said,) = predictor.predict(gray)
    assert said.review is not None, "it was looked for"
    limits = [fold_threshold(bundle, fold) for fold in bundle.folds]
    return Answer(
        bundle=predictor.opened.sha256,
        probability=said.probability,
        lowest=said.lowest,
        highest=said.highest,
        threshold=said.threshold,
        rule=bundle.rule,
        decision="pneumonia" if said.pneumonia else "normal",
        folds=[
            FoldAnswer(fold=fold.fold, probability=one, threshold=limit, pneumonia=one >= limit)
            for fold, one, limit in zip(bundle.folds, said.folds, limits, strict=True)
        ],
        review=said.review,
        reasons=[ReasonGiven(name=name, words=words) for name, words in said.reasons.items()],
        notes=[*said.notes, *notes],
        measures=[
            Measure(
                name=name, words=bundle.reasons[name].words, value=said.measures[name],
                limit=bundle.reasons[name].limit, given=name in said.reasons,
            )
            for name in REASONS
            if name in said.measures and name in bundle.reasons
        ],
        lungs=bool(said.lungs),
        classes=dict(said.classes),
    )  # fmt: skip


def about(predictor: AskedBundle, *, film_bytes: int) -> BundleAbout:
    """Return what is to be known of a bundle before it is asked."""
    bundle = predictor.bundle
    try:
        predictor.check_maps()
        missing = ""
    except NotAvailableError as error:
        missing = str(error)
    features = predictor.reference.features
    return BundleAbout(
        bundle=predictor.opened.sha256,
        name=bundle.name,
        architecture=bundle.architecture,
        task=bundle.task,
        classes=list(bundle.classes),
        folds=len(bundle.folds),
        networks=sum(len(fold.members) for fold in bundle.folds),
        image_side_px=bundle.image_side_px,
        rule=bundle.rule,
        threshold=threshold_of(bundle),
        thresholds=thresholds_of(bundle),
        sure_from=sure_from(bundle),
        coverage=bundle.coverage,
        heat_maps=not missing,
        no_heat_maps=missing,
        reference_images=max(map(len, features.values()), default=0),
        film_bytes=film_bytes,
        results=bundle.results,
    )


def thresholds_of(bundle: Bundle) -> list[Threshold]:
    """Return what each rule chose, as `threshold_of` does for the bundle's own."""
    shared = [rule for rule in THRESHOLD_RULES if all(rule in fold.thresholds for fold in bundle.folds)]
    return [
        Threshold(
            rule=rule,
            words=THRESHOLD_RULES[rule].words,
            threshold=float(np.mean([tempered(fold, np.array([fold.thresholds[rule]]))[0] for fold in bundle.folds])),
        )
        for rule in shared
    ]
