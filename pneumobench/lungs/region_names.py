"""The regions that are masked to see what a network scores without them, in the order of tables."""

from __future__ import annotations

from typing import Final, Literal

Outline = Literal["own", "other", "fixed"]  # whose lungs are masked: see `pneumobench.lungs.outlines`

FIXED_SHARE: Final = 0.995  # of all lung pixels of the training part that the fixed region holds

# names that `data.region` has too mask the same way; there networks are trained on such images
REGIONS: Final = (
    "without_lungs", "without_lungs_other_outline", "fixed_region_removed", "lungs_blurred", "only_lungs",
    "only_lungs_other_outline", "without_borders",
)  # fmt: skip
