"""The prevalence: what a model scores that looks at nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.training.controls import Seen, register_control


@register_control("majority", words="the prevalence")
def majority(seen: Seen) -> NDArray[np.float64]:
    """Return no feature (N, 0)."""
    return np.zeros((len(seen.index.table), 0))
