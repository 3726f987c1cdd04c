"""How unsure a network is, what is left for a reader when it decides a declared share of images, and what that spares.

All of tempered probabilities: one temperature a fold brings the folds' models to one scale. Which confidence counts as
sure is chosen on the validation part of each fold, as thresholds are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD, FoldModel, official_predictions, out_of_fold_predictions
from pneumobench.metrics.selective import area_under_risk_coverage, confidence, entropy_in_bits


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What a declared coverage leads to.

    Args:
        confidence: from which on an image is decided, mean over the folds' models, in [0.5, 1].
        share: of the images that are decided; the others are for a reader.
        errors: share of errors among them; NaN where none is decided.
        errors_of_others: share of errors among the others, had they been decided; NaN where all are decided.
    """

    confidence: float
    share: float
    errors: float
    errors_of_others: float


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """How unsure a network is on one set of images.

    Args:
        entropy: mean entropy of its predictions, in bits, 0 to 1.
        risk_area: area under the risk-coverage curve: mean share of errors over all coverages.
        decided: by declared coverage, such as `0.9`.
        split_decisions: share of images that the folds' models do not all decide alike; None where each was asked
            about other images.
    """

    entropy: float
    risk_area: float
    decided: dict[str, Decided]
    split_decisions: float | None


def uncertainty_out_of_fold(models: list[FoldModel]) -> Uncertainty:
    """Return how unsure an architecture is on its test images, each fold by its own chosen confidence."""
    table = out_of_fold_predictions(models)
    return _uncertainty(table, models, {name: _of_fold(models, table, name) for name in models[0].sure_from}, None)


def uncertainty_on_official(models: list[FoldModel]) -> Uncertainty:
    """Return how unsure the mean of the folds' models is on the official test folder, by the mean of confidences."""
    table = official_predictions(models)
    called = pd.concat([model.official.set_index("image_id")["probability"] >= DEFAULT_THRESHOLD for model in models])
    votes = called.groupby(level=0).mean()
    least = {name: np.full(len(table), _mean(models, name)) for name in models[0].sure_from}
    split = float(((votes > 0) & (votes < 1)).mean()) if len(models) > 1 else None
    return _uncertainty(table, models, least, split)


def _uncertainty(
    table: pd.DataFrame, models: list[FoldModel], least: dict[str, NDArray[np.float64]], split: float | None
) -> Uncertainty:
    tempered, label = table["tempered"].to_numpy(np.float64), table["label"].to_numpy() == 1
    wrong, sure = (tempered >= DEFAULT_THRESHOLD) != label, confidence(tempered)
    decided = {}
    for name, needed in least.items():
        taken = sure >= needed
        decided[name] = Decided(
            confidence=_mean(models, name),
            share=float(taken.mean()),
            errors=float(wrong[taken].mean()) if taken.any() else float("nan"),
            errors_of_others=float(wrong[~taken].mean()) if not taken.all() else float("nan"),
        )
    return Uncertainty(
        entropy=float(entropy_in_bits(tempered).mean()),
        risk_area=area_under_risk_coverage(tempered, label),
        decided=decided,
        split_decisions=split,
    )


def _of_fold(models: list[FoldModel], table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return the confidence (N,) that each image needs: that of its fold."""
    needed = {model.fold: model.sure_from[name] for model in models}
    return np.array([needed[fold] for fold in table["fold"]], dtype=np.float64)


def _mean(models: list[FoldModel], name: str) -> float:
    return float(np.mean([model.sure_from[name] for model in models]))
