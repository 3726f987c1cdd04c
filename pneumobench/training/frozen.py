"""Frozen features: a network stays as it is, and only its last layer is fitted, on features computed once.

The features are what the last linear layer of the network reads. In its place comes a logistic regression on them, or
the votes of the nearest training images; how strongly the regression is regularised, and how many images vote, is
chosen by patient inside the training part. The result is a network like all others: one head on one backbone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_layer
from pneumobench.architectures.neighbours import NeighbourVote
from pneumobench.errors import DataError, NotAvailableError
from pneumobench.suite.forms import plain
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.predictions import score_images

INNER_FOLDS: Final = 5  # of the training part, by patient group
# inverse strengths of the penalty: with standardised features the best one is between the ends
INVERSE_STRENGTHS: Final = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
NEIGHBOURS: Final = (5, 10, 20, 50, 100, 200)
ITERATIONS: Final = 1000  # of L-BFGS at most
PROBABILITY_FLOOR: Final = 1e-12  # of a log loss, so that one image does not decide alone

Candidate = TypeVar("Candidate", int, float)
Features = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FrozenFit:
    """A head fitted on frozen features.

    Args:
        facts: what was chosen, for the record of the job.
        trained: number of fitted weights; none where images vote.
    """

    facts: dict[str, int | float]
    trained: int


def embedded(architecture: Architecture, batches: Iterator[Tensor], spec: TrainingSpec) -> Features:
    """Return the features (N, F) that the last layer reads, for batches of images (B, 1, H, W) uint8, in eval mode.

    Raises:
        NotAvailableError: the output of the network is not what its last linear layer makes of one row an image.
    """
    read: list[NDArray[np.float32]] = []
    made: list[NDArray[np.float32]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        read.append(inputs[0].float().cpu().numpy())
        made.append(output.float().cpu().numpy())

    layer = head_layer(architecture)
    handle = architecture.module.get_submodule(layer).register_forward_hook(keep)
    try:
        logits = score_images(architecture, batches, spec)
    finally:
        handle.remove()
    rows = [len(part) for part in read]
    if any(part.ndim != 2 for part in read) or sum(rows) != len(logits) or not _equal(made, logits):
        raise NotAvailableError(
            f"the output of the network is not that of its last linear layer {layer!r} for one row of features an "
            "image, so it has no frozen features: set training.fit to network."
        )
    return np.concatenate(read)


def _equal(made: list[NDArray[np.float32]], logits: NDArray[np.float32]) -> bool:
    together = np.concatenate(made)
    return together.shape == logits.shape and np.array_equal(together, logits, equal_nan=True)


def fit_head(
    architecture: Architecture,
    features: Features,
    target: NDArray[np.int64],
    group: NDArray[np.int64],
    spec: TrainingSpec,
    *,
    class_weight: tuple[float, ...],
    seed: int,
) -> FrozenFit:
    """Fit a head on the features of the training part, and put it into the network.

    Args:
        architecture: the network, whose last linear layer is set or replaced.
        features: of the training part (n, F).
        target: class numbers (n,).
        group: patient groups (n,), which are not parted in the choice.
        spec: `fit` says which head; `class_weights` whether classes are weighed.
        class_weight: of an image of each class, used with `class_weights: balanced`.
        seed: of the parts that the choice is made by.

    Raises:
        DataError: a class is of one patient group only, so that nothing can be chosen by patient.
    """
    if not np.isfinite(features).all():
        raise NotAvailableError("its features of some images are infinite or not numbers")
    weight = class_weight if spec.class_weights == "balanced" else (1.0,) * len(class_weight)
    fit = _logistic if spec.fit == "frozen_logistic" else _neighbours
    return fit(architecture, features, target, inner_splits(target, group, seed), weight)


def head_outputs(architecture: Architecture, layer: str, features: Features, spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the outputs of a network (n, outputs) from its features (n, F), by its last layer alone."""
    spec = plain(spec)
    fabric = Fabric(
        accelerator=spec.accelerator, devices=1, precision=spec.precision,  # type: ignore[arg-type]
        plugins=LightningEnvironment(),
    )  # fmt: skip
    head = architecture.module.get_submodule(layer).eval().to(fabric.device)
    with torch.inference_mode(), fabric.autocast():
        outputs: Tensor = head(torch.from_numpy(features).to(fabric.device))
    return outputs.float().cpu().numpy()


Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def inner_splits(target: NDArray[np.int64], group: NDArray[np.int64], seed: int) -> list[Split]:
    """Return (others, rows of one part) for equal parts of the training part, by patient group and stratified.

    Raises:
        DataError: a class is of one patient group only.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(target)
    count = min(INNER_FOLDS, *(len(np.unique(group[target == one])) for one in classes))
    splits = []
    if count > 1:
        parts = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(group, target, group)
        splits = [(rest, part) for rest, part in parts if len(np.unique(target[rest])) == len(classes)]
    if not splits:
        raise DataError(
            "the training part has a class of one patient group only, so the head of frozen features cannot be chosen "
            "by patient: add patients, or set training.fit to network."
        )
    return splits


def chosen(
    candidates: tuple[Candidate, ...],
    probability: Callable[[Candidate, NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
    target: NDArray[np.int64],
    splits: list[Split],
) -> Candidate:
    """Return the candidate with the least log loss over the inner parts, up to where it rises; the earlier of equals.

    Args:
        candidates: what is chosen from, the strongest penalty or the fewest neighbours first. The later ones, which
            take longest, are not tried once the loss has risen.
        probability: of each class (n, classes) for a candidate, rows to fit on and rows to score.
        target: class numbers (N,).
        splits: the inner parts.
    """

    def loss(candidate: Candidate) -> float:
        total = 0.0
        for rest, part in splits:
            of_class = probability(candidate, rest, part)[np.arange(len(part)), target[part]]
            total -= float(np.log(np.maximum(of_class, PROBABILITY_FLOOR)).sum())
        return total

    best, least = candidates[0], math.inf
    for candidate in candidates:
        if (found := loss(candidate)) > least:
            break
        if found < least:
            best, least = candidate, found
    return best


def _standardisation(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (F,) and 1 / standard deviation (F,) of features; 0 for one that is the same everywhere."""
    deviation = features.std(0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return features.mean(0, dtype=np.float64), scale


def _logistic(
    architecture: Architecture,
    features: Features,
    target: NDArray[np.int64],
    splits: list[Split],
    class_weight: tuple[float, ...],
) -> FrozenFit:
    """Fit a logistic regression on standardised features and write it, not standardised, into the last layer."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = _standardisation(features)
    normal = (features - mean) * scale
    weight = np.asarray(class_weight)[target]

    def model(strength: float, rows: NDArray[np.int64]) -> LogisticRegression:
        fitted = LogisticRegression(C=strength, max_iter=ITERATIONS)
        return fitted.fit(normal[rows], target[rows], sample_weight=weight[rows])

    def probability(strength: float, rest: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = model(strength, rest).predict_proba(normal[part])
        return found

    strength = chosen(INVERSE_STRENGTHS, probability, target, splits)
    fitted = model(strength, np.arange(len(target)))
    coefficients = torch.from_numpy(fitted.coef_ * scale)
    intercept = torch.from_numpy(fitted.intercept_ - fitted.coef_ @ (mean * scale))
    layer = head_layer(architecture)
    old = architecture.module.get_submodule(layer)
    head = nn.Linear(features.shape[1], architecture.outputs)
    with torch.no_grad():
        head.weight.copy_(coefficients)
        head.bias.copy_(intercept)
    architecture.module.set_submodule(layer, head.to(next(old.parameters()).device))
    facts: dict[str, int | float] = {"features": features.shape[1], "inverse_strength": strength}
    return FrozenFit(facts=facts, trained=sum(one.numel() for one in head.parameters()))


def _neighbours(
    architecture: Architecture,
    features: Features,
    target: NDArray[np.int64],
    splits: list[Split],
    class_weight: tuple[float, ...],
) -> FrozenFit:
    """Store the training part as what votes, and put it in place of the last layer."""
    seen, classes, weight = torch.from_numpy(features), torch.from_numpy(target), torch.tensor(class_weight)

    def voters(neighbours: int, rows: NDArray[np.int64], outputs: int) -> NeighbourVote:
        vote = NeighbourVote(outputs)
        return vote.store(seen[rows], classes[rows], neighbours=neighbours, weight=weight)

    def probability(neighbours: int, rest: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = voters(neighbours, rest, len(class_weight))(seen[part])
        return np.asarray(logits.double().softmax(1))

    neighbours = chosen(NEIGHBOURS, probability, target, splits)
    layer = head_layer(architecture)
    old = architecture.module.get_submodule(layer)
    head = voters(neighbours, np.arange(len(target)), architecture.outputs)
    architecture.module.set_submodule(layer, head.to(next(old.parameters()).device))
    return FrozenFit(facts={"features": features.shape[1], "neighbours": neighbours}, trained=0)
