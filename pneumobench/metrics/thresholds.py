"""How a threshold is chosen on the validation part, and the rules that leaderboards show, one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from pneumobench.metrics.table import COUNT_METRICS
from pneumobench.metrics.validation import Booleans, Floats, Integers, checked_scores, require_both_classes


def threshold_youden(probability: ArrayLike, has_pneumonia: ArrayLike) -> float:
    """Return the threshold with the largest sensitivity + specificity - 1.

    It lies midway between two neighbouring probabilities, so that a rounding error moves no image across.
    Among equals the lowest is taken: missing a pneumonia is the worse error. If no threshold beats chance,
    everybody is called positive.

    Args:
        probability: (N,) in [0, 1], of the validation part.
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
        probability: (N,) in [0, 1], of the validation part.
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
        probability: (N,) in [0, 1], of the validation part.
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
    """Return the threshold with the largest value of a metric of the confusion matrix, the lowest among equals.

    Args:
        probability: (N,) in [0, 1], of the validation part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        metric: its name in COUNT_METRICS, such as `f1` or `mcc`.

    Raises:
        ValueError: malformed arrays, only one class, a metric that is not one of a confusion matrix, or one that no
            threshold gives a value.

    >>> threshold_best([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1], metric="mcc")
    0.4
    """
    if metric not in COUNT_METRICS:
        raise ValueError(f"metric is {metric!r}; expected one of a confusion matrix: {', '.join(COUNT_METRICS)}.")
    thresholds, tp, fp, labels = _candidates(probability, has_pneumonia)
    true, false = tp.astype(np.float64), fp.astype(np.float64)
    values = COUNT_METRICS[metric].function(true, labels.sum() - true, false, (~labels).sum() - false)
    if np.isnan(values).all():
        raise ValueError(f"no threshold gives {metric} a value on these images; choose by another metric.")
    better = values if COUNT_METRICS[metric].higher_is_better else -values
    return float(thresholds[np.nanargmax(better)])


def threshold_for_cost(probability: ArrayLike, has_pneumonia: ArrayLike, *, miss_cost: float) -> float:
    """Return the threshold with the least cost, the lowest among equals.

    Args:
        probability: (N,) in [0, 1], of the validation part.
        has_pneumonia: (N,) of 0 and 1, both classes.
        miss_cost: cost of a missed pneumonia in false alarms, above 0.

    Raises:
        ValueError: malformed arrays, only one class, or a cost that is not above 0.

    >>> threshold_for_cost([0.125, 0.375, 0.25, 0.875], [0, 0, 1, 1], miss_cost=5)
    0.1875
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


MISS_COST: Final = 5  # false alarms that one missed pneumonia weighs as much as, for the rule `cost`


@dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """A rule by which a leaderboard chooses thresholds.

    Args:
        name: its key in files.
        words: what it looks for, in a few words.
        choose: takes probabilities and labels (N,) of a validation part and returns a threshold.
    """

    name: str
    words: str
    choose: Callable[[Floats, Booleans], float]


MAIN_RULE: Final = "youden"  # the one whose decisions stand in the full tables
THRESHOLD_RULES: Final[dict[str, ThresholdRule]] = {
    rule.name: rule
    for rule in (
        ThresholdRule(name=MAIN_RULE, words="largest recall + specificity", choose=threshold_youden),
        ThresholdRule(name="f1", words="largest F1", choose=partial(threshold_best, metric="f1")),
        ThresholdRule(name="mcc", words="largest MCC", choose=partial(threshold_best, metric="mcc")),
        ThresholdRule(
            name="sensitivity_95", words="recall of 95 %", choose=partial(threshold_for_sensitivity, at_least=0.95)
        ),
        ThresholdRule(
            name="specificity_95", words="specificity of 95 %", choose=partial(threshold_for_specificity, at_least=0.95)
        ),
        ThresholdRule(
            name="cost",
            words=f"a miss costs {MISS_COST} false alarms",
            choose=partial(threshold_for_cost, miss_cost=MISS_COST),
        ),
    )
}
