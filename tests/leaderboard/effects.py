"""Rows of comparisons with made-up areas."""

from __future__ import annotations

import numpy as np

from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.metrics.estimates import PatientEstimate

PATIENTS = 400


def shifted(area: float, *, scale: float = 1.0, seed: int = 0) -> PatientEstimate:
    """Return an area with made-up influences of 400 patients."""
    influence = np.random.default_rng(seed).normal(size=PATIENTS) * 1e-4 * scale
    return PatientEstimate(
        value=area, patients=np.arange(PATIENTS), influence=influence - influence.mean(), least_error=1e-4
    )


def effect(architecture: str, value: str, area: float | PatientEstimate) -> VariantEffect:
    """Return the row of an architecture under a value of the setting."""
    estimate = area if isinstance(area, PatientEstimate) else shifted(area)
    return VariantEffect(
        architecture=architecture, value=value, images=PATIENTS, area=estimate, area_interval=estimate.area_interval(),
        official_auc=None, official_interval=None, against=None,
    )  # fmt: skip
