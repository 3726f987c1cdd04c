"""What the decisions at one threshold are worth, as counts and as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import Floats, checked_scores


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Numbers of images by truth and decision; pneumonia is positive.

    >>> Confusion(tp=3, fn=1, fp=0, tn=2) + Confusion(tp=1, fn=0, fp=1, tn=0)
    Confusion(tp=4, fn=1, fp=1, tn=2)
    """

    tp: int
    fn: int
    fp: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0:
            raise ValueError(f"a confusion matrix holds counts of images; found a negative one in {self}.")

    def __add__(self, other: Confusion) -> Confusion:
        """Return the counts of both sets of images together, as pooling folds needs."""
        return Confusion(tp=self.tp + other.tp, fn=self.fn + other.fn, fp=self.fp + other.fp, tn=self.tn + other.tn)


def confusion_at(probability: ArrayLike, has_pneumonia: ArrayLike, *, threshold: float) -> Confusion:
    """Return the confusion matrix when an image with `probability >= threshold` is called pneumonia.

    Args:
        probability: (N,) in [0, 1].
        has_pneumonia: (N,) of 0 and 1.
        threshold: any number; above 1 nobody is called pneumonia.

    Raises:
        ValueError: malformed arrays, or a threshold that is NaN.

    >>> confusion_at([0.2, 0.5, 0.9], [0, 0, 1], threshold=0.5)
    Confusion(tp=1, fn=0, fp=1, tn=1)
    """
    scores, labels = checked_scores(probability, has_pneumonia)
    if np.isnan(threshold):
        raise ValueError("threshold is nan; expected a number, such as 0.5 or one chosen on the validation part.")
    called = scores >= threshold
    return Confusion(
        tp=int(np.sum(called & labels)),
        fn=int(np.sum(~called & labels)),
        fp=int(np.sum(called & ~labels)),
        tn=int(np.sum(~called & ~labels)),
    )


# Formulas over arrays of counts, so that one confusion matrix and 2,000 resampled ones share them.
# A share of nothing is NaN: it was not measured, and a 0 would enter means over folds as if it had been.
CountFormula: TypeAlias = Callable[[Floats, Floats, Floats, Floats], Floats]


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _accuracy(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    return _share(tp + tn, tp + fn + fp + tn)


def _precision(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    return _share(tp, tp + fp)


def _recall(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    return _share(tp, tp + fn)


def _specificity(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    return _share(tn, tn + fp)


def _f1(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:  # noqa: ARG001
    return _share(2 * tp, 2 * tp + fp + fn)


def _balanced_accuracy(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    return (_recall(tp, fn, fp, tn) + _specificity(tp, fn, fp, tn)) / 2


def _mcc(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    truth, decision = (tp + fn) * (fp + tn), (tp + fp) * (fn + tn)
    constant_decision = (truth > 0) & (decision == 0)
    return np.where(constant_decision, 0.0, _share(tp * tn - fp * fn, np.sqrt(truth * decision)))


CONFUSION_METRICS: Mapping[str, CountFormula] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "precision": _precision,
        "recall": _recall,
        "specificity": _specificity,
        "f1": _f1,
        "mcc": _mcc,
        "balanced_accuracy": _balanced_accuracy,
    }
)


def _metric(name: str, confusion: Confusion) -> float:
    counts = (np.float64(count) for count in (confusion.tp, confusion.fn, confusion.fp, confusion.tn))
    return float(CONFUSION_METRICS[name](*map(np.asarray, counts)))


def confusion_metrics(confusion: Confusion) -> dict[str, float]:
    """Return all metrics of this module by name, in the order of the leaderboard.

    >>> confusion_metrics(Confusion(tp=3, fn=1, fp=0, tn=4))["recall"]
    0.75
    """
    return {name: _metric(name, confusion) for name in CONFUSION_METRICS}


def accuracy(confusion: Confusion) -> float:
    """Return the share of right decisions, in [0, 1]; NaN without images."""
    return _metric("accuracy", confusion)


def precision(confusion: Confusion) -> float:
    """Return the share of pneumonia among the images called so, in [0, 1]; NaN when none was called so."""
    return _metric("precision", confusion)


def recall(confusion: Confusion) -> float:
    """Return the sensitivity: the share of pneumonia that was found, in [0, 1]; NaN without pneumonia."""
    return _metric("recall", confusion)


def specificity(confusion: Confusion) -> float:
    """Return the share of images without pneumonia that were left alone, in [0, 1]; NaN without any."""
    return _metric("specificity", confusion)


def f1(confusion: Confusion) -> float:
    """Return the harmonic mean of precision and recall, in [0, 1].

    NaN when no image has pneumonia and none was called so. It is 2 tp / (2 tp + fp + fn), which is 0, not
    NaN, when there is pneumonia and none was found.
    """
    return _metric("f1", confusion)


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean of recall and specificity, in [0, 1], chance = 0.5; NaN with one class only."""
    return _metric("balanced_accuracy", confusion)


def mcc(confusion: Confusion) -> float:
    """Return Matthews' correlation of truth and decision, in [-1, 1]: 1 = all right, 0 = chance.

    The same decision for every image is chance: 0. With one class only there is nothing to correlate: NaN.

    Source: Chicco and Jurman 2020, doi 10.1186/s12864-019-6413-7.

    >>> mcc(Confusion(tp=2, fn=0, fp=0, tn=2))
    1.0
    """
    return _metric("mcc", confusion)
