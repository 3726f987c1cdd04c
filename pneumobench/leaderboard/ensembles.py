"""Ensembles of the networks of a run: the mean of their probabilities, and a weighted mean.

The weights of a fold are fitted on the out-of-fold predictions of the other folds, so no image has a say
in the weights that it is scored with. Source: Breiman 1996, Stacked regressions, doi 10.1007/BF00117832 (weights that
are not negative), here with a sum of 1 and the log loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from pneumobench.leaderboard.three_classes import class_probabilities
from pneumobench.records.run_folder import CLASS_COLUMNS

Members = Mapping[str, Mapping[int, pd.DataFrame]]  # predictions by network and fold
FLOOR: Final = 1e-9  # of a probability, so that its logarithm is finite
WEIGHT_DECIMALS: Final = 4  # finer than what the images decide, coarser than the optimiser's last digits


def fitted_weights(probability_of_truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights (M,), not negative and of sum 1, of the mixture of M networks with the smallest log loss.

    Args:
        probability_of_truth: probability (N, M) that each network gave to the true class of each image.

    >>> fitted_weights(np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.3]])).tolist()
    [1.0, 0.0]
    """
    truth = np.clip(probability_of_truth, FLOOR, 1)
    networks = truth.shape[1]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.clip(truth @ weights, FLOOR, None)
        return float(-np.log(mixed).mean()), -(truth / mixed[:, None]).mean(axis=0)

    found = minimize(
        loss,
        np.full(networks, 1 / networks),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * networks,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.round(np.clip(found.x, 0, 1), WEIGHT_DECIMALS)
    return np.asarray(weights / weights.sum())


def cross_fitted_weights(members: Members) -> dict[int, NDArray[np.float64]]:
    """Return the weights (M,) of every fold, fitted on the test images of all other folds.

    A run of one fold has no others; the validation part, which no network was trained on, stands in.
    """
    folds = sorted(next(iter(members.values())))
    truth = {
        fold: np.column_stack([_probability_of_truth(tables[fold], "test") for tables in members.values()])
        for fold in folds
    }
    if len(folds) == 1:
        tune = [_probability_of_truth(tables[folds[0]], "tune") for tables in members.values()]
        return {folds[0]: fitted_weights(np.column_stack(tune))}
    return {
        fold: fitted_weights(np.concatenate([found for other, found in truth.items() if other != fold]))
        for fold in folds
    }


def _probability_of_truth(table: pd.DataFrame, split: str) -> NDArray[np.float64]:
    part = _ordered(table)
    part = part[part["split"] == split]
    if "class_label" in part:
        return np.asarray(class_probabilities(part)[np.arange(len(part)), part["class_label"].to_numpy(np.int64)])
    probability = part["probability"].to_numpy(np.float64)
    return np.where(part["label"].to_numpy() == 1, probability, 1 - probability)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["split", "image_id"], ignore_index=True)


def ensemble_predictions(members: Members, weights: Mapping[int, NDArray[np.float64]]) -> dict[int, pd.DataFrame]:
    """Return the predictions of an ensemble by fold, as those of a network: its probability is the weighted mean.

    Args:
        members: predictions of the networks, all over the same images of each fold.
        weights: of the networks, by fold, of sum 1.
    """
    mixed = {}
    for fold, weight in weights.items():
        tables = [_ordered(by_fold[fold]) for by_fold in members.values()]
        mixed[fold] = tables[0].copy()
        for column in ("probability", *CLASS_COLUMNS[1:]):
            if column in mixed[fold]:
                mixed[fold][column] = np.column_stack([table[column] for table in tables]) @ weight
        probability = mixed[fold]["probability"].clip(FLOOR, 1 - FLOOR)
        mixed[fold]["logit"] = np.log(probability) - np.log1p(-probability)
    return mixed
