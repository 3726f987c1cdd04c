"""The images of a run -> what usual ones are like, and from where on a new one is not: limits on held-out images.

A limit is what 99 % of images keep below that had no part in what they are compared with: of features the validation
part of a fold against its training part, of layout and gray levels images of other patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.lungs.familiarity import thumbnail
from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.metrics.selective import confidence, entropy_in_bits
from pneumobench.prediction.answers import REASONS, Said, fold_threshold, same_without_lungs, tempered
from pneumobench.prediction.asked import BATCH
from pneumobench.prediction.bundle import BundledFold, Reason
from pneumobench.prediction.predictor import Predictor
from pneumobench.prediction.reference import (
    FEATURE_IMAGES,
    REFERENCE_IMAGES,
    USUAL_SHARE,
    Reference,
    gray_reference,
    nearest_distance,
    unit,
)
from pneumobench.runs.context import Bench

HELD_OUT_IMAGES: Final = 1000  # images that limits of layout and gray levels are measured on
LEAST_LIMIT: Final = 1e-6  # of a distance that others are divided by
COMMON: Final = 0.25  # a reason that more of the usual images give says something of the networks, and flags none


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What networks said of the training and validation parts of their folds.

    Args:
        feature_limits: by fold and architecture.
        features: reference features by file.
        shares: of validation images that each reason is given for that a single fold can give.
    """

    feature_limits: dict[int, dict[str, float]]
    features: dict[str, NDArray[np.float16]]
    shares: dict[str, float]


def layouts_and_grays(bench: Bench) -> tuple[Reference, dict[str, float], dict[str, float]]:
    """Return the reference of layout and gray levels, their limits, and the shares beyond them."""
    table, seed = bench.index.table, bench.suite.seed
    rows = np.flatnonzero(table["image_id"].isin(bench.folds.test_fold).to_numpy())
    drawn = np.random.default_rng([seed, 5]).permutation(rows)
    kept, asked = drawn[: min(REFERENCE_IMAGES, len(drawn) // 2)], drawn[len(drawn) // 2 :][:HELD_OUT_IMAGES]
    kept, asked = np.sort(kept), np.sort(asked)
    group = table["group"].to_numpy()
    layouts = np.stack([thumbnail(np.asarray(bench.radiographs[row])) for row in kept])
    mean, whitening = gray_reference(np.asarray(bench.radiographs[kept]))
    reference = Reference(layouts=layouts, gray_mean=mean, gray_whitening=whitening, features={})
    others = np.stack([thumbnail(np.asarray(bench.radiographs[row])) for row in asked])
    likeness = np.where(group[asked][:, None] == group[kept][None], -1.0, others @ layouts.T)
    found = {
        "layout": 1 - likeness.max(axis=1),
        "gray_levels": np.array([reference.gray_distance(np.asarray(bench.radiographs[row])) for row in asked]),
    }
    limits = {name: float(np.quantile(values, USUAL_SHARE)) for name, values in found.items()}
    return reference, limits, {name: float((values > limits[name]).mean()) for name, values in found.items()}


def held_out(
    bench: Bench, predictor: Predictor, lungs: Mapping[int, NDArray[np.bool_]], tell: Callable[[str], None]
) -> HeldOut:
    """Ask every network about images of its fold's training and validation parts.

    Args:
        bench: data of the run.
        predictor: the networks; of its bundle, thresholds and temperatures.
        lungs: masks (side, side) by row of the index, of images whose lungs were found.
        tell: is told of progress.
    """
    bundle = predictor.bundle
    limits: dict[int, dict[str, float]] = {}
    features: dict[str, NDArray[np.float16]] = {}
    found: dict[str, list[NDArray[np.bool_]]] = {"unsure": [], "no_lungs": [], "without_lungs": []}
    for fold in bundle.folds:
        tell(f"fold {fold.fold} of {len(bundle.folds)}: what usual images are like")
        positions = bench.fold_images(fold.fold).positions
        drawn = np.random.default_rng([bench.suite.seed, 6, fold.fold]).permutation(positions["train"])
        tune = positions["tune"]
        known = _said(predictor, fold, np.asarray(bench.radiographs[np.sort(drawn[:FEATURE_IMAGES])]))
        whole = _said(predictor, fold, np.asarray(bench.radiographs[tune]))
        limits[fold.fold] = {}
        for file, architecture in ((member.file, member.architecture) for member in fold.members):
            if file in whole.features:
                features[file] = unit(known.features[file]).astype(np.float16)
                distance = nearest_distance(whole.features[file], features[file].astype(np.float32))
                limits[fold.fold][architecture] = max(float(np.quantile(distance, USUAL_SHARE)), LEAST_LIMIT)
        probability, sure = tempered(fold, whole.probability[:, 0]), fold.sure_from[bundle.coverage]
        seen = np.array([int(row) in lungs for row in tune])
        found["unsure"].append(confidence(probability) < sure)
        found["no_lungs"].append(~seen)
        if seen.any():
            masks = np.stack([lungs[int(row)] for row in tune[seen]])
            blank = without_lungs(torch.from_numpy(np.asarray(bench.radiographs[tune[seen]])), torch.from_numpy(masks))
            masked = tempered(fold, _said(predictor, fold, blank.numpy()).probability[:, 0])
            threshold = fold_threshold(bundle, fold)
            found["without_lungs"].append(same_without_lungs(probability[seen], masked, threshold, sure))
    shares = {name: float(np.concatenate(parts).mean()) for name, parts in found.items() if parts}
    return HeldOut(feature_limits=limits, features=features, shares=shares)


def _said(predictor: Predictor, fold: BundledFold, radiographs: NDArray[np.uint8]) -> Said:
    """Return what one fold says of prepared images (B, side, side), in batches."""
    parts = [predictor.say(radiographs[start : start + BATCH], [fold]) for start in range(0, len(radiographs), BATCH)]
    return Said(
        probability=np.concatenate([part.probability for part in parts]),
        features={file: np.concatenate([part.features[file] for part in parts]) for file in parts[0].features},
    )


def reasons_of(
    found: HeldOut, limits: Mapping[str, float], shares: Mapping[str, float], sure: float
) -> dict[str, Reason]:
    """Return the reasons to have a person look, with their limits and how many usual images give each.

    Args:
        found: what networks said.
        limits: of layout and gray levels.
        shares: of held-out images beyond them.
        sure: confidence from which images are decided.
    """
    every = {**limits, "unsure": float(entropy_in_bits([sure])[0])}
    if any(found.feature_limits.values()):
        every["features"] = 1.0
    given = {**found.shares, **shares, **({"features": 1 - USUAL_SHARE} if "features" in every else {})}
    return {
        name: Reason(
            words=words, limit=every.get(name), validation_share=given.get(name), flags=given.get(name, 0.0) <= COMMON
        )
        for name, words in REASONS.items()
        if name in given or name == "folds_disagree"
    }
