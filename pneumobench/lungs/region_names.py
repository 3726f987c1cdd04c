"""The regions that are masked to see what a network scores without them, in the order of tables."""

from __future__ import annotations

from typing import Final

REGIONS: Final = ("without_lungs", "lungs_blurred", "only_lungs", "without_borders")
