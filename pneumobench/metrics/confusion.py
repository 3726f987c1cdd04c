"""The confusion matrix: what decisions at one threshold came to, as counts and as metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.table import COUNT_METRICS, PRINTED_METRICS
from pneumobench.metrics.validation import checked_flags, checked_scores, require_same_length


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Numbers of images by truth and decision; pneumonia is positive.

    >>> Confusion(tp=3, fn=1, fp=0, tn=2) + Confusion(tp=1, fn=0, fp=1, tn=0)
    Confusion(tp=4, fn=1, fp=1, tn=2)
    >>> Confusion(tp=3, fn=1, fp=0, tn=4).value("recall")
    0.75
    """

    tp: int
    fn: int
    fp: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0:
            raise ValueError(f"a confusion matrix holds counts of images; found a negative one in {self!r}.")

    def __add__(self, other: Confusion) -> Confusion:
        """Return the counts of both sets of images together, as pooling folds needs."""
        return Confusion(tp=self.tp + other.tp, fn=self.fn + other.fn, fp=self.fp + other.fp, tn=self.tn + other.tn)

    def __str__(self) -> str:
        """Return `TP 388, FN 2, FP 94, TN 140`."""
        return f"TP {self.tp}, FN {self.fn}, FP {self.fp}, TN {self.tn}"

    @property
    def images(self) -> int:
        """Number of images."""
        return self.tp + self.fn + self.fp + self.tn

    @property
    def pneumonia(self) -> int:
        """Number of images with pneumonia."""
        return self.tp + self.fn

    def value(self, metric: str) -> float:
        """Return a metric of the table by its name, NaN where it is undefined.

        Raises:
            KeyError: no metric of a confusion matrix has this name.
        """
        counts = (np.array([float(count)]) for count in (self.tp, self.fn, self.fp, self.tn))
        return float(PRINTED_METRICS[metric].function(*counts)[0])

    def values(self) -> dict[str, float]:
        """Return every metric of the table by its name, in the order of the table.

        >>> list(Confusion(tp=3, fn=1, fp=0, tn=4).values())[:4]
        ['accuracy', 'precision', 'recall', 'specificity']
        """
        return {metric: self.value(metric) for metric in COUNT_METRICS}


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
    return confusion_of(scores >= threshold, labels)


def confusion_of(predicted_positive: ArrayLike, has_pneumonia: ArrayLike) -> Confusion:
    """Return the confusion matrix of decisions that were already taken.

    Args:
        predicted_positive: (N,) of 0 and 1.
        has_pneumonia: (N,) of 0 and 1.

    Raises:
        ValueError: malformed arrays.

    >>> confusion_of([1, 0, 1], [1, 1, 0])
    Confusion(tp=1, fn=1, fp=1, tn=0)
    """
    called, labels = checked_flags(predicted_positive, "predicted_positive"), checked_flags(has_pneumonia)
    require_same_length(predicted_positive=called, has_pneumonia=labels)
    return Confusion(
        tp=int(np.sum(called & labels)),
        fn=int(np.sum(~called & labels)),
        fp=int(np.sum(called & ~labels)),
        tn=int(np.sum(~called & ~labels)),
    )
