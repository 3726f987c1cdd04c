"""What of an image networks can be trained on: the values of `data.region`."""

from __future__ import annotations

from typing import Final, Literal

Region = Literal[
    "whole", "without_lungs", "without_lungs_other_outline", "only_lungs", "only_lungs_other_outline",
    "fixed_region_removed", "mask_only",
]  # fmt: skip
REGION_WORDS: Final[dict[Region, str]] = {
    "whole": "whole images",
    "without_lungs": "images without lungs",
    "without_lungs_other_outline": "images masked by the lungs of another patient",
    "only_lungs": "lungs alone",
    "only_lungs_other_outline": "what another patient's lungs would cover",
    "fixed_region_removed": "images without the region where lungs are, the same for all",
    "mask_only": "lung masks alone, without gray values",
}
