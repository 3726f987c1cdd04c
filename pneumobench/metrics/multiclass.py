"""Scores of several classes: the confusion matrix and what follows from it, and areas under ROC curves.

With K classes, row k of a confusion matrix holds the images of class k, column j those that were called j.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.metrics.validation import Floats, Integers


def checked_classes(probability: ArrayLike, class_number: ArrayLike) -> tuple[Floats, Integers]:
    """Return probabilities (N, K) and class numbers (N,), checked.

    Raises:
        ValueError: shapes that do not fit, a probability outside [0, 1], rows that do not sum to 1, or a class number
            that has no column.
    """
    shares, number = np.asarray(probability, np.float64), np.asarray(class_number)
    if shares.ndim != 2 or number.shape != shares.shape[:1] or not len(number):
        raise ValueError(f"probability has shape {shares.shape}, class_number {number.shape}; expected (N, K), (N,).")
    if not np.isfinite(shares).all() or shares.min() < 0 or shares.max() > 1:
        raise ValueError("probability holds values outside [0, 1].")
    if np.abs(shares.sum(axis=1) - 1).max() > 1e-6:
        raise ValueError("the probabilities of an image do not sum to 1.")
    if number.dtype.kind not in "iu" or number.min() < 0 or number.max() >= shares.shape[1]:
        raise ValueError(f"class_number holds something else than whole numbers from 0 to {shares.shape[1] - 1}.")
    return shares, number.astype(np.int64)


def confusion_matrix(probability: ArrayLike, class_number: ArrayLike) -> Integers:
    """Return counts (K, K); an image is called the class with the largest probability, the first of equal ones.

    Raises:
        ValueError: malformed arrays.

    >>> confusion_matrix([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], [0, 1]).tolist()
    [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    """
    shares, number = checked_classes(probability, class_number)
    classes = shares.shape[1]
    counts: Integers = np.bincount(classes * number + shares.argmax(axis=1), minlength=classes**2)
    return counts.reshape(classes, classes)


def recall_by_class(confusion: Integers) -> Floats:
    """Return the share (K,) of each class's images that are called so; NaN for a class without images."""
    return _ratio(confusion.diagonal(), confusion.sum(axis=1))


def precision_by_class(confusion: Integers) -> Floats:
    """Return the share (K,) of the images called a class that are of it; NaN for a class that is never called."""
    return _ratio(confusion.diagonal(), confusion.sum(axis=0))


def f1_by_class(confusion: Integers) -> Floats:
    """Return 2 tp / (2 tp + fp + fn) (K,); NaN for a class that neither occurs nor is called."""
    return _ratio(2 * confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1))


def multiclass_accuracy(confusion: Integers) -> float:
    """Return the share of images that are called right."""
    return float(confusion.trace() / confusion.sum())


def multiclass_mcc(confusion: Integers) -> float:
    """Return the Matthews correlation coefficient of K classes, -1 to 1; 0 with one class seen or called.

    Source: Gorodkin 2004, doi 10.1016/j.compbiolchem.2004.09.006.

    >>> multiclass_mcc(np.diag([3, 2, 1]))
    1.0
    """
    of_class, called, images = confusion.sum(axis=1), confusion.sum(axis=0), int(confusion.sum())
    covariance = int(confusion.trace()) * images - int(of_class @ called)
    spread = (images**2 - int(called @ called)) * (images**2 - int(of_class @ of_class))
    return covariance / math.sqrt(spread) if spread else 0.0


def area_by_class(probability: ArrayLike, class_number: ArrayLike) -> Floats:
    """Return the area under the ROC curve (K,) of each class against all others; NaN for a class without images.

    Raises:
        ValueError: malformed arrays.

    Source: Provost and Domingos 2001 (one against the rest), whose mean is the macro area.
    """
    shares, number = checked_classes(probability, class_number)
    return np.array([area_under_roc(shares[:, k], number == k) for k in range(shares.shape[1])])


def _ratio(count: Integers, of: Integers) -> Floats:
    result: Floats = np.full(len(of), np.nan)
    np.divide(count, of, out=result, where=of > 0)
    return result
