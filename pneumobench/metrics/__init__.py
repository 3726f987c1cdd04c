"""Pure functions on arrays: what predictions and heat maps are worth, with intervals over patients.

Names are imported when first used, so that importing this package imports neither torch nor scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumobench.metrics.calibration import (
        apply_temperature,
        brier_score,
        calibration_slope_intercept,
        expected_calibration_error,
        fit_temperature,
    )
    from pneumobench.metrics.comparison import (
        AucComparison,
        AucDifference,
        holm,
        paired_auc_differences,
        top_group,
    )
    from pneumobench.metrics.confusion import (
        Confusion,
        confusion_at,
        confusion_of,
    )
    from pneumobench.metrics.decision_intervals import confusion_metric_intervals, share_interval
    from pneumobench.metrics.discrimination import area_under_roc, average_precision, roc_curve, within_folds
    from pneumobench.metrics.estimates import PatientEstimate, area_estimate
    from pneumobench.metrics.intervals import (
        Interval,
        bootstrap_interval,
        mean_interval,
        patient_weights,
    )
    from pneumobench.metrics.lung_attention import LungAttention, lung_attention_ratio
    from pneumobench.metrics.table import CountMetric, Metric, ProbabilityMetric
    from pneumobench.metrics.thresholds import (
        ThresholdRule,
        threshold_best,
        threshold_for_cost,
        threshold_for_sensitivity,
        threshold_for_specificity,
        threshold_youden,
    )

_MODULE_OF = {
    "AucComparison": "comparison",
    "AucDifference": "comparison",
    "Confusion": "confusion",
    "CountMetric": "table",
    "Interval": "intervals",
    "LungAttention": "lung_attention",
    "Metric": "table",
    "ProbabilityMetric": "table",
    "PatientEstimate": "estimates",
    "ThresholdRule": "thresholds",
    "apply_temperature": "calibration",
    "area_estimate": "estimates",
    "area_under_roc": "discrimination",
    "average_precision": "discrimination",
    "bootstrap_interval": "intervals",
    "brier_score": "calibration",
    "calibration_slope_intercept": "calibration",
    "confusion_at": "confusion",
    "confusion_metric_intervals": "decision_intervals",
    "share_interval": "decision_intervals",
    "confusion_of": "confusion",
    "expected_calibration_error": "calibration",
    "fit_temperature": "calibration",
    "holm": "comparison",
    "lung_attention_ratio": "lung_attention",
    "mean_interval": "intervals",
    "paired_auc_differences": "comparison",
    "patient_weights": "intervals",
    "roc_curve": "discrimination",
    "threshold_best": "thresholds",
    "threshold_for_cost": "thresholds",
    "threshold_for_sensitivity": "thresholds",
    "threshold_for_specificity": "thresholds",
    "threshold_youden": "thresholds",
    "top_group": "comparison",
    "within_folds": "discrimination",
}

__all__ = [
    "AucComparison",
    "AucDifference",
    "Confusion",
    "CountMetric",
    "Interval",
    "LungAttention",
    "Metric",
    "PatientEstimate",
    "ProbabilityMetric",
    "ThresholdRule",
    "apply_temperature",
    "area_estimate",
    "area_under_roc",
    "average_precision",
    "bootstrap_interval",
    "brier_score",
    "calibration_slope_intercept",
    "confusion_at",
    "confusion_metric_intervals",
    "confusion_of",
    "expected_calibration_error",
    "fit_temperature",
    "holm",
    "lung_attention_ratio",
    "mean_interval",
    "paired_auc_differences",
    "patient_weights",
    "roc_curve",
    "share_interval",
    "threshold_best",
    "threshold_for_cost",
    "threshold_for_sensitivity",
    "threshold_for_specificity",
    "threshold_youden",
    "top_group",
    "within_folds",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
