"""What the decisions at one threshold are worth, and how a threshold is chosen on the tune part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.validation import Booleans, Floats, Integers, checked_scores, require_both_classes


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
        raise ValueError("threshold is nan; expected a number, such as 0.5 or one chosen on the tune part.")
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


def threshold_youden(probability: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the threshold with the largest sensitivity + specificity - 1.

    It lies midway between two neighbouring probabilities, so that a rounding error moves no image across.
    Among equals the lowest is taken: missing a pneumonia is the worse error. If no threshold beats chance,
    everybody is called positive.

    Args:
        probability: (N,) in [0, 1], of the tune part.
        has_pneumonia: (N,) of 0 and 1, both classes.

    Raises:
        ValueError: malformed arrays, or only one class.

    Source: Youden 1950, doi 10.1002/1097-0142(1950)3:1<32::aid-cncr2820030106>3.0.co;2-3.

    >>> threshold_youden([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1])
    0.4
    """
    thresholds, tp, fp, labels = _candidates(probability, has_pneumonia)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    # Youden's index times both class sizes is a whole number: ties are exact.
    return float(thresholds[np.argmax(tp * negatives - fp * positives)])


def threshold_for_specificity(probability: ArrayLike, has_pneumonia: ArrayLike, *, at_least: float = 0.95) -> float:
    """Return the lowest threshold whose specificity is at least `at_least`: the most sensitive permitted one.

    It lies midway between two neighbouring probabilities; above 1 when only calling nobody positive will do.

    Args:
        probability: (N,) in [0, 1], of the tune part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        at_least: share of images without pneumonia, in (0, 1].

    Raises:
        ValueError: malformed arrays, only one class, or `at_least` outside (0, 1].

    >>> threshold_for_specificity([0.125, 0.375, 0.25, 0.875], [0, 0, 1, 1], at_least=0.5)
    0.1875
    """
    _require_share(at_least)
    thresholds, _, fp, labels = _candidates(probability, has_pneumonia)
    negatives = int((~labels).sum())
    enough = (negatives - fp) / negatives >= at_least  # rises with the threshold; the last is always 1
    return float(thresholds[np.argmax(enough)])


def threshold_for_sensitivity(probability: ArrayLike, has_pneumonia: ArrayLike, *, at_least: float = 0.95) -> float:
    """Return the highest threshold whose sensitivity is at least `at_least`: the most specific permitted one.

    It lies midway between two neighbouring probabilities.

    Args:
        probability: (N,) in [0, 1], of the tune part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        at_least: share of images with pneumonia, in (0, 1].

    Raises:
        ValueError: malformed arrays, only one class, or `at_least` outside (0, 1].

    >>> threshold_for_sensitivity([0.125, 0.375, 0.25, 0.875], [0, 0, 1, 1], at_least=0.5)
    0.625
    """
    _require_share(at_least)
    thresholds, tp, _, labels = _candidates(probability, has_pneumonia)
    enough = tp / int(labels.sum()) >= at_least  # falls with the threshold; the first is always 1
    return float(thresholds[np.flatnonzero(enough)[-1]])


def threshold_best(probability: ArrayLike, has_pneumonia: ArrayLike, *, metric: str) -> float:
    """Return the threshold with the largest value of a metric of CONFUSION_METRICS, the lowest among equals.

    Args:
        probability: (N,) in [0, 1], of the tune part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        metric: its name, such as `f1` or `mcc`.

    Raises:
        ValueError: malformed arrays, or only one class.

    >>> threshold_best([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1], metric="mcc")
    0.4
    """
    thresholds, tp, fp, labels = _candidates(probability, has_pneumonia)
    true, false = tp.astype(np.float64), fp.astype(np.float64)
    values = CONFUSION_METRICS[metric](true, labels.sum() - true, false, (~labels).sum() - false)
    return float(thresholds[np.nanargmax(values)])


def threshold_for_cost(probability: ArrayLike, has_pneumonia: ArrayLike, *, miss_cost: float) -> float:
    """Return the threshold with the least cost, the lowest among equals.

    Args:
        probability: (N,) in [0, 1], of the tune part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        miss_cost: cost of a missed pneumonia in false alarms, above 0.

    Raises:
        ValueError: malformed arrays, only one class, or a cost that is not above 0.

    >>> threshold_for_cost([0.1, 0.3, 0.2, 0.8], [0, 0, 1, 1], miss_cost=5)
    0.15
    """
    if not miss_cost > 0:
        raise ValueError(f"miss_cost is {miss_cost}; expected a number above 0, in false alarms.")
    thresholds, tp, fp, labels = _candidates(probability, has_pneumonia)
    return float(thresholds[np.argmin(miss_cost * (labels.sum() - tp) + fp)])


def _candidates(probability: ArrayLike, has_pneumonia: ArrayLike) -> tuple[Floats, Integers, Integers, Booleans]:
    """Return every distinguishable threshold, rising, with its true and false positives, and the labels."""
    scores, labels = checked_scores(probability, has_pneumonia)
    require_both_classes(labels, "choosing a threshold")
    distinct = np.unique(scores)
    between = distinct[:-1] + np.diff(distinct) / 2
    # Between two neighbouring floats nothing lies midway: rounding down would call the lower one positive.
    between = np.where(between > distinct[:-1], between, distinct[1:])
    nobody = (distinct[-1] + 1) / 2 if distinct[-1] < 1 else np.nan
    if not nobody > distinct[-1]:
        nobody = np.nextafter(max(distinct[-1], 1.0), 2.0)
    thresholds = np.concatenate(([distinct[0] / 2], between, [nobody]))
    positive, negative = np.sort(scores[labels]), np.sort(scores[~labels])
    tp = positive.size - np.searchsorted(positive, thresholds, side="left")
    fp = negative.size - np.searchsorted(negative, thresholds, side="left")
    return thresholds, tp.astype(np.int64), fp.astype(np.int64), labels


def _require_share(at_least: float) -> None:
    if not 0 < at_least <= 1:
        raise ValueError(f"at_least is {at_least}; expected a share in (0, 1], such as 0.95.")
