"""What is said of one image, and whether a person should look at it. Numbers alone: whatever runs the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumobench.lungs.new_images import NewImage
from pneumobench.metrics.calibration import apply_temperature
from pneumobench.metrics.selective import confidence, entropy_in_bits
from pneumobench.prediction.bundle import Bundle, BundledFold
from pneumobench.prediction.reference import Reference

FLOOR: Final = 1e-12  # of probabilities whose logit is taken
# reasons to have a person look, in the order in which they are told, and what is wrong where they are given
REASONS: Final[dict[str, str]] = {
    "no_lungs": "no pair of lungs found",
    "layout": "laid out unlike any training image: 1 - correlation with the nearest",
    "gray_levels": "gray levels unlike those of the training images: Mahalanobis distance",
    "features": "seen by the networks as unlike the training images: distance by its limit",
    "unsure": "unsure: entropy in bits",
    "folds_disagree": "the networks of the folds do not all decide alike",
    "without_lungs": "decided the same without its lungs",
}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the networks of a bundle said of images.

    Args:
        probability: (B, folds) of pneumonia before tempering.
        features: by file of a network, (B, F).
        classes: (B, classes), mean softmax over the folds; None for two classes.
    """

    probability: NDArray[np.float64]
    features: Mapping[str, NDArray[np.float32]]
    classes: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer about one image.

    Args:
        image: the name it was given by.
        probability: of pneumonia in [0, 1], tempered, mean over the folds.
        pneumonia: whether it reaches the threshold.
        threshold: that of the bundle's rule.
        lowest, highest: of the folds' tempered probabilities.
        folds: the tempered probability of each.
        review: whether a person should look at it; None = no reasons were looked for.
        reasons: why, in words, by name; those that flag no image are among `notes`.
        notes: what else is to be said of it.
        measures: the numbers behind the reasons.
        lungs: whether a pair of lungs was found; None = it was not looked for.
        classes: probability of each class, for three classes.
        problem: why there is no answer; empty where there is one.
    """

    image: str
    probability: float = float("nan")
    pneumonia: bool | None = None
    threshold: float = float("nan")
    lowest: float = float("nan")
    highest: float = float("nan")
    folds: tuple[float, ...] = ()
    review: bool | None = True
    reasons: Mapping[str, str]
    notes: tuple[str, ...] = ()
    measures: Mapping[str, float]
    lungs: bool | None = None
    classes: Mapping[str, float]
    problem: str = ""


def tempered(fold: BundledFold, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (B,) of a fold after its temperature."""
    return apply_temperature(logit_of_probability(probability), fold.temperature)


def threshold_of(bundle: Bundle) -> float:
    """Return the threshold of the bundle's rule for its tempered mean: the mean of the folds' own, tempered."""
    return float(np.mean([fold_threshold(bundle, fold) for fold in bundle.folds]))


def fold_threshold(bundle: Bundle, fold: BundledFold) -> float:
    """Return the tempered threshold of one fold."""
    return float(tempered(fold, np.array([fold.thresholds[bundle.rule]]))[0])


def sure_from(bundle: Bundle) -> float:
    """Return the confidence from which an image is decided: the mean of the folds'."""
    return float(np.mean([fold.sure_from[bundle.coverage] for fold in bundle.folds]))


def folds_said(bundle: Bundle, said: Said) -> NDArray[np.float64]:
    """Return the tempered probability (B, folds) of every fold."""
    columns = [tempered(fold, said.probability[:, place]) for place, fold in enumerate(bundle.folds)]
    return np.stack(columns, axis=1)


def feature_ratios(bundle: Bundle, reference: Reference, said: Said) -> NDArray[np.float64] | None:
    """Return how far features (B,) lie from those of usual images: 1 = as 1 % of held-out ones; None without any.

    The mean over the networks of the distance by the limit of each.
    """
    ratios = [
        reference.feature_distance(member.file, said.features[member.file]) / fold.feature_limits[member.architecture]
        for fold in bundle.folds
        for member in fold.members
        if member.architecture in fold.feature_limits
    ]
    return np.mean(ratios, axis=0) if ratios else None


def measures_of(
    bundle: Bundle, reference: Reference, images: list[NewImage], whole: Said, without_lungs: Mapping[int, float]
) -> list[dict[str, float]]:
    """Return the numbers behind the reasons to look at each image.

    Args:
        bundle: what is asked.
        reference: what usual images are like.
        images: the images (B).
        whole: what was said of them.
        without_lungs: tempered probability without lungs, by row, of images whose lungs were found.
    """
    folds = folds_said(bundle, whole)
    probability = folds.mean(axis=1)
    limits = np.array([fold_threshold(bundle, fold) for fold in bundle.folds])
    called = folds >= limits
    ratios = feature_ratios(bundle, reference, whole)
    found = []
    for row, image in enumerate(images):
        pneumonia = bool(probability[row] >= threshold_of(bundle))
        measures = {
            "unsure": float(entropy_in_bits(probability[row : row + 1])[0]),
            "folds_disagree": float((called[row] != pneumonia).mean()),
            "no_lungs": float(image.lungs is None),
            "layout": reference.layout_distance(image.radiograph),
            "gray_levels": reference.gray_distance(image.radiograph),
        }
        if ratios is not None:
            measures["features"] = float(ratios[row])
        if row in without_lungs:
            measures["without_lungs"] = without_lungs[row]
        found.append(measures)
    return found


def reasons_given(bundle: Bundle, measures: Mapping[str, float], probability: float) -> dict[str, str]:
    """Return the reasons that measures give, by name, in words."""
    given = {}
    for name in REASONS:
        reason, value = bundle.reasons.get(name), measures.get(name)
        if reason is None or value is None:
            continue
        if name == "without_lungs":
            if same_without_lungs([probability], [value], threshold_of(bundle), sure_from(bundle))[0]:
                given[name] = f"{reason.words} ({value:.2f} without lungs)"
        elif reason.limit is None:
            if value > 0:
                given[name] = reason.words
        elif value > reason.limit:
            given[name] = f"{reason.words} ({value:.2f}, usual up to {reason.limit:.2f})"
    return given


def same_without_lungs(probability: ArrayLike, without: ArrayLike, threshold: float, sure: float) -> NDArray[np.bool_]:
    """Tell which images (B,) are decided the same, and as surely as the declared coverage asks, without their lungs."""
    whole, masked = np.asarray(probability, dtype=np.float64), np.asarray(without, dtype=np.float64)
    return np.asarray(((whole >= threshold) == (masked >= threshold)) & (confidence(masked) >= sure))


def predictions_of(
    bundle: Bundle, names: list[str], images: list[NewImage], whole: Said, measured: list[dict[str, float]] | None
) -> list[Prediction]:
    """Return the answer about each image; without `measured` no reasons were looked for."""
    folds = folds_said(bundle, whole)
    threshold = threshold_of(bundle)
    found = []
    looked_for: list[dict[str, float]] = [{} for _ in images] if measured is None else measured
    for row, (name, image, measures) in enumerate(zip(names, images, looked_for, strict=True)):
        probability = float(folds[row].mean())
        given = reasons_given(bundle, measures, probability)
        if "no_lungs" in given:
            given["no_lungs"] = image.without_lungs
        flags = {key: words for key, words in given.items() if bundle.reasons[key].flags}
        notes = tuple(
            f"{words}; so are {bundle.reasons[key].validation_share:.0%} of usual images"
            for key, words in given.items()
            if key not in flags
        )
        classes = {} if whole.classes is None else dict(zip(bundle.classes, whole.classes[row].tolist(), strict=True))
        found.append(
            Prediction(
                image=name, probability=probability, pneumonia=probability >= threshold, threshold=threshold,
                lowest=float(folds[row].min()), highest=float(folds[row].max()), folds=tuple(folds[row].tolist()),
                review=None if measured is None else bool(flags),
                reasons=flags, notes=notes, measures=measures,
                lungs=None if measured is None else image.lungs is not None,
                classes=classes,
            )
        )  # fmt: skip
    return found


def refused(name: str, problem: str) -> Prediction:
    """Return what is said of a file that cannot be read."""
    return Prediction(image=name, problem=problem, reasons={}, measures={}, classes={})


def plain_row(bundle: Bundle, one: Prediction) -> dict[str, Any]:
    """Return an answer as a row of a table: the same columns for every image of a bundle."""
    row: dict[str, Any] = {
        "image": one.image,
        "probability": _rounded(one.probability),
        "pneumonia": None if one.pneumonia is None else int(one.pneumonia),
        "threshold": _rounded(one.threshold),
        "lowest": _rounded(one.lowest),
        "highest": _rounded(one.highest),
        "review": None if one.review is None else int(one.review),
        "reasons": "; ".join(one.reasons.values()),
        "notes": "; ".join(one.notes),
        "lungs": None if one.lungs is None else int(one.lungs),
    }
    further = bundle.classes if len(bundle.classes) > 2 else ()
    row |= {f"probability_{name}": _rounded(one.classes.get(name)) for name in further}
    row |= {f"fold_{fold.fold}": _rounded(one.folds[at] if one.folds else None) for at, fold in enumerate(bundle.folds)}
    row |= {name: _rounded(one.measures.get(name)) for name in REASONS}
    return row | {"problem": one.problem}


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 7)


def logit_of_probability(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds of probabilities, finite also for 0 and 1."""
    clipped = np.clip(probability, FLOOR, 1 - FLOOR)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
