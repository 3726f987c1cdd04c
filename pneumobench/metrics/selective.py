"""Selective prediction: how unsure a network is, and what errors are left when it leaves that to a reader."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import Floats, checked_scores


def risk_coverage(probability: ArrayLike, has_pneumonia: ArrayLike, *, threshold: float = 0.5) -> tuple[Floats, Floats]:
    """Return the share of errors among the most confident images, for every number of them.

    Confidence is max(p, 1 - p). Among images of one confidence the order is not known: errors count as spread evenly.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        threshold: from which on pneumonia is called, in (0, 1).

    Returns:
        Coverage, rising from 1 / N to 1, and the share of errors among so many images, both (N,).

    Raises:
        ValueError: malformed arrays.

    Source: El-Yaniv and Wiener 2010, JMLR 11:1605; Geifman and El-Yaniv 2017, arXiv:1705.08500.

    >>> coverage, risk = risk_coverage([0.99, 0.9, 0.4, 0.55], [1, 1, 1, 0])
    >>> coverage.tolist(), risk.round(3).tolist()
    ([0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.333, 0.5])
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    wrong = (scores >= threshold) != (labels == 1)
    confidence, block = np.unique(-np.maximum(scores, 1 - scores), return_inverse=True)
    images = np.bincount(block, minlength=confidence.size)
    share = np.bincount(block, weights=wrong, minlength=confidence.size) / images
    errors = np.cumsum(np.repeat(share, images))
    taken = np.arange(1, scores.size + 1)
    return taken / scores.size, errors / taken


def area_under_risk_coverage(probability: ArrayLike, has_pneumonia: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the mean share of errors over all coverages: 0 = no error at any, smaller is better.

    Args:
        probability: (N,) in [0, 1], 1 = surely pneumonia.
        has_pneumonia: (N,) of 0 and 1.
        threshold: from which on pneumonia is called, in (0, 1).

    Raises:
        ValueError: malformed arrays.

    Source: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206.

    >>> round(area_under_risk_coverage([0.99, 0.9, 0.4, 0.55], [1, 1, 1, 0]), 3)
    0.208
    """
    return float(risk_coverage(probability, has_pneumonia, threshold=threshold)[1].mean())


def confidence(probability: ArrayLike) -> Floats:
    """Return max(p, 1 - p) of every image, (N,) in [0.5, 1].

    >>> confidence([0.25, 0.875]).tolist()
    [0.75, 0.875]
    """
    scores = np.asarray(probability, dtype=np.float64)
    return np.maximum(scores, 1 - scores)


def confidence_at_coverage(probability: ArrayLike, coverage: float) -> float:
    """Return the confidence that the share `coverage` of the images reaches: others are for a reader.

    It lies midway between two neighbouring confidences, so that a rounding error moves no image across. Where many
    images have one confidence, more than `coverage` may reach it, never fewer.

    Args:
        probability: (N,) in [0, 1], of the validation part.
        coverage: share of images that are to be decided, in (0, 1].

    Raises:
        ValueError: no image, or `coverage` outside (0, 1].

    Source: Geifman and El-Yaniv 2017, arXiv:1705.08500.

    >>> confidence_at_coverage([0.125, 0.25, 0.5, 0.9375], 0.5)
    0.8125
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"found coverage {coverage}, expected a share in (0, 1].")
    found = np.sort(confidence(probability))[::-1]
    if not found.size:
        raise ValueError("no image; expected those of a validation part.")
    least = found[math.ceil(coverage * found.size - 1e-9) - 1]
    below = found[found < least]
    return float((least + below[0]) / 2) if below.size else 0.5


def entropy_in_bits(probability: ArrayLike) -> Floats:
    """Return the entropy of every prediction, (N,) in bits: 0 = sure, 1 = as unsure as a coin.

    >>> entropy_in_bits([0.0, 0.5, 1.0]).tolist()
    [0.0, 1.0, 0.0]
    """
    scores = np.asarray(probability, dtype=np.float64)
    both = np.stack([scores, 1 - scores])
    bits: Floats = -np.sum(both * np.log2(np.where(both > 0, both, 1.0)), axis=0) + 0.0
    return bits
