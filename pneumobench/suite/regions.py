"""What of an image networks can be trained on: the values of `data.region`."""

from __future__ import annotations

from typing import Literal

Region = Literal[
    "whole", "without_lungs", "without_lungs_other_outline", "only_lungs", "only_lungs_other_outline",
    "fixed_region_removed", "mask_only",
]  # fmt: skip
