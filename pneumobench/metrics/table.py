"""The table of metrics: one line each, read by every table, page, file, tracked key and test.

A metric is added with its function (`decisions` for what follows from a confusion matrix, `discrimination` or
`calibration` for what follows from probabilities) and with its line here, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from pneumobench.metrics import calibration, decisions, discrimination
from pneumobench.metrics.decisions import CountFormula
from pneumobench.metrics.validation import Booleans, Floats

# from probabilities (N,) in [0, 1] and labels (N,), True = pneumonia, to one number
ProbabilityFormula: TypeAlias = Callable[[Floats, Booleans], float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        name: its key in files, claims of papers and tracked runs.
        heading: what stands above its column.
        meaning: one sentence for legends, without the full stop.
        low, high: the range of its values.
        digits: digits after the point, where people read it.
        higher_is_better: which way is better.
        in_short: whether it stands in tables that must stay narrow; the full tables show every metric.
    """

    name: str
    heading: str
    meaning: str
    low: float = 0.0
    high: float = 1.0
    digits: int = 3
    higher_is_better: bool = True
    in_short: bool = True


@dataclass(frozen=True, kw_only=True)
class CountMetric(Metric):
    """A metric of decisions at a threshold. `function` takes counts (N,) of TP, FN, FP and TN and gives N values."""

    function: CountFormula


@dataclass(frozen=True, kw_only=True)
class ProbabilityMetric(Metric):
    """A metric of probabilities, without a threshold. `function` takes probabilities and labels and gives a number."""

    function: ProbabilityFormula


AnyMetric = TypeVar("AnyMetric", bound=Metric)


def _by_name(*metrics: AnyMetric) -> Mapping[str, AnyMetric]:
    return MappingProxyType({metric.name: metric for metric in metrics})


# of the order of the images alone: no scaling of the probabilities changes them
RANK_METRICS: Final = _by_name(
    ProbabilityMetric(
        name="auc",
        heading="AUC",
        meaning="area under the ROC curve, with its 95 % interval over patients; out of fold: within folds",
        function=discrimination.area_under_roc,
    ),
    ProbabilityMetric(
        name="average_precision",
        heading="AP",
        meaning="average precision, the area under the precision-recall curve; out of fold: within folds",
        function=discrimination.average_precision,
    ),
)
# of decisions at a threshold
COUNT_METRICS: Final = _by_name(
    CountMetric(
        name="accuracy",
        heading="Accuracy",
        meaning="share of images called right",
        function=decisions.accuracy,
    ),
    CountMetric(
        name="precision",
        heading="Precision",
        meaning="share of images called pneumonia that show it (positive predictive value)",
        function=decisions.precision,
    ),
    CountMetric(
        name="recall",
        heading="Recall",
        meaning="share of pneumonia images that are found (sensitivity)",
        function=decisions.recall,
    ),
    CountMetric(
        name="specificity",
        heading="Specificity",
        meaning="share of normal images that are called normal",
        function=decisions.specificity,
    ),
    CountMetric(
        name="f1",
        heading="F1",
        meaning="harmonic mean of precision and recall",
        function=decisions.f1,
    ),
    CountMetric(
        name="mcc",
        heading="MCC",
        meaning="Matthews correlation coefficient, -1 to 1, 0 = chance",
        low=-1.0,
        function=decisions.mcc,
    ),
    CountMetric(
        name="balanced_accuracy",
        heading="Balanced acc.",
        meaning="mean of recall and specificity, 0.5 = chance",
        in_short=False,
        function=decisions.balanced_accuracy,
    ),
    CountMetric(
        name="npv",
        heading="NPV",
        meaning="share of images called normal that are (negative predictive value)",
        in_short=False,
        function=decisions.npv,
    ),
    CountMetric(
        name="diagnostic_odds_ratio",
        heading="DOR",
        meaning="diagnostic odds ratio, from 0 up, 1 = chance; undefined without a miss or without a false alarm",
        high=math.inf,
        digits=1,
        in_short=False,
        function=decisions.diagnostic_odds_ratio,
    ),
)
# of the probabilities themselves: shown before and after temperature scaling
CALIBRATION_METRICS: Final = _by_name(
    ProbabilityMetric(
        name="brier",
        heading="Brier",
        meaning="mean squared error of the probability, 0 = perfect",
        higher_is_better=False,
        function=calibration.brier_score,
    ),
    ProbabilityMetric(
        name="ece",
        heading="ECE",
        meaning="expected calibration error over 15 bins of equal size, 0 = calibrated",
        higher_is_better=False,
        function=calibration.expected_calibration_error,
    ),
)
PROBABILITY_METRICS: Final[Mapping[str, ProbabilityMetric]] = MappingProxyType({**RANK_METRICS, **CALIBRATION_METRICS})
METRICS: Final[Mapping[str, Metric]] = MappingProxyType({**RANK_METRICS, **COUNT_METRICS, **CALIBRATION_METRICS})

# Papers print more than a leaderboard shows: metrics that only the checker of claims reads.
PRINTED_METRICS: Final[Mapping[str, CountMetric]] = MappingProxyType(
    {
        **COUNT_METRICS,
        **_by_name(
            CountMetric(
                name="f1_normal",
                heading="F1, normal",
                meaning="F1 of the normal images",
                function=decisions.f1_normal,
            ),
            CountMetric(
                name="macro_f1",
                heading="Macro F1",
                meaning="mean of the F1 of both classes",
                function=decisions.macro_f1,
            ),
        ),
    }
)
