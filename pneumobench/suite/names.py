"""Names: which may be a folder's on disk, and which are kept for rows of the leaderboard that are no networks."""

from __future__ import annotations

import re
from typing import Final

NAME_RULE: Final = "1 to 64 of a-z 0-9 _ . -, a letter or digit first"
CONTROL_PREFIX: Final = "control-"  # of the name of a control in records and tables
ENSEMBLE_PREFIX: Final = "ensemble-"  # of the name of an ensemble in tables
MEAN_ENSEMBLE: Final = f"{ENSEMBLE_PREFIX}mean"
WEIGHTED_ENSEMBLE: Final = f"{ENSEMBLE_PREFIX}weighted"
# the kinds whose names a suite checks when it is read, and where what ships of them lies: modules named after it
LAYOUT_GROUP, SHIPPED_LAYOUTS = "pneumobench.data_layouts", "pneumobench.datasets.layouts"
CONTROL_GROUP, SHIPPED_CONTROLS = "pneumobench.controls", "pneumobench.training.controls"
DEFAULT_CONTROLS: Final = (
    "majority", "image_facts", "gray_facts", "lung_box", "thumbnail", "thumbnail_without_lungs", "mask_only",
    "fixed_region_removed",
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_RESERVED = {"leaderboard", "wandb"}  # folders beside those of runs and architectures


def is_name(text: str) -> bool:
    """Tell whether `text` may name a suite or an architecture, and so a folder on disk.

    >>> is_name("resnet18"), is_name("../etc"), is_name("..")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def control_record_name(name: str) -> str:
    """Return the name of a control in records.

    >>> control_record_name("image_facts")
    'control-image-facts'
    """
    return CONTROL_PREFIX + name.replace("_", "-")
