"""What can be said of an image without looking at what it shows: gray levels, black borders, and fine detail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.radiographs.gray_facts import gray_facts as facts_of
from pneumobench.training.controls import Seen, register_control


@register_control("gray_facts", words="eight facts of its gray levels, borders and fine detail")
def gray_facts(seen: Seen) -> NDArray[np.float64]:
    """Return the eight numbers (N, 8) of `pneumobench.radiographs.gray_facts`."""
    return np.column_stack(list(facts_of(seen.radiographs).values()))
