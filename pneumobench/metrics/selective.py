"""Selective prediction: how many errors are left when a network leaves what it is unsure of to a reader."""

from __future__ import annotations

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
