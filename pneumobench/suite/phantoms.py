"""How large a synthetic data set is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pneumobench.suite.checked import Checked
from pneumobench.suite.rules import PATIENTS, SEED, SIDE_PX, SOME_PATIENTS


@dataclass(frozen=True, kw_only=True)
class PhantomSpec(Checked, group="data.phantoms"):
    """Synthetic radiographs, made on the spot when `data.source` is `phantoms`.

    Args:
        patients: number of synthetic patients that are split into folds.
        official_test_patients: number of further patients in a separate test set.
        side_px: side of an image in pixels.
        seed: seed of anatomy, disease and noise.
    """

    patients: Annotated[int, PATIENTS] = 120
    official_test_patients: Annotated[int, SOME_PATIENTS] = 30
    side_px: Annotated[int, SIDE_PX] = 128
    seed: Annotated[int, SEED] = 0
