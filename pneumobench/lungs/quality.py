"""Is a segmented mask a pair of lungs, and does the image lie right? Measured against lungs that people drew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pneumobench.errors import DataError
from pneumobench.files import write_json
from pneumobench.lungs.pose import PoseTemplate, pose_template

BOUNDS_NAME: Final = "lung_quality.json"
OUTER_SHARE: Final = 0.001  # of manual masks that lie outside a bound, on either side
MASKS_NEEDED: Final = 20  # manual masks with two lungs; fewer say little about what is plausible
# what a bound is about, as `measures_of` names it
MEASURES: Final = {
    "area": "area of both lungs as a share of the image",
    "smaller_to_larger": "area of the smaller lung over that of the larger",
    "left_row": "row of the centre of the lung at the left of the image, 0 = top, 1 = bottom",
    "right_row": "row of the centre of the lung at the right",
    "left_column": "column of the centre of the lung at the left, 0 = left, 1 = right",
    "right_column": "column of the centre of the lung at the right",
    "height": "height of the box around both lungs as a share of the image",
    "width": "width of the box around both lungs as a share of the image",
}
# what is said of a mask below and above a bound
REASONS: Final = {
    "area": ("lungs too small", "lungs too large"),
    "smaller_to_larger": ("one lung too small beside the other", "one lung too large beside the other"),
    "left_row": ("lung at the left too high in the image", "lung at the left too low in the image"),
    "right_row": ("lung at the right too high in the image", "lung at the right too low in the image"),
    "left_column": ("lung at the left too near the edge", "lung at the left too near the middle"),
    "right_column": ("lung at the right too near the middle", "lung at the right too near the edge"),
    "height": ("lungs too short", "lungs too tall"),
    "width": ("lungs too narrow", "lungs too wide"),
}


@dataclass(frozen=True, kw_only=True)
class LungQuality:
    """Whether a mask may be used, and if not, why in a few words."""

    usable: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class QualityBounds:
    """Smallest and largest plausible value of each of MEASURES.

    Args:
        bounds: (smallest, largest) by measure.
        masks: manual masks that they were taken from.
        pose: what tells images that lie right from others, fitted on the images of these masks.
    """

    bounds: dict[str, tuple[float, float]]
    masks: int
    pose: PoseTemplate

    def write(self, folder: Path) -> None:
        """Write the bounds beside the weights."""
        rows = {name: {"from": low, "to": high} for name, (low, high) in self.bounds.items()}
        plain = {"drawn_masks": self.masks, "outer_share_each_side": OUTER_SHARE, "bounds": rows}
        write_json(folder / BOUNDS_NAME, {**plain, "pose": self.pose.plain()})


def measures_of(mask: NDArray[np.bool_]) -> dict[str, float] | None:
    """Return the measures of a mask (H, W) that has exactly two connected parts, or None.

    All are shares of the image, so the side of the mask does not matter.
    """
    parts, count = ndimage.label(mask)
    if count != 2:
        return None
    sizes = np.bincount(parts.ravel())[1:] / mask.size
    centres = np.array(ndimage.center_of_mass(mask, parts, [1, 2])) + 0.5  # of pixels, not of their corners
    (left_row, left_column), (right_row, right_column) = sorted(centres / mask.shape, key=lambda centre: centre[1])
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    values = {
        "area": sizes.sum(),
        "smaller_to_larger": sizes.min() / sizes.max(),
        "left_row": left_row,
        "right_row": right_row,
        "left_column": left_column,
        "right_column": right_column,
        "height": (rows[-1] + 1 - rows[0]) / mask.shape[0],
        "width": (columns[-1] + 1 - columns[0]) / mask.shape[1],
    }
    return {name: float(value) for name, value in values.items()}


def bounds_of(radiographs: NDArray[np.uint8], masks: NDArray[np.bool_]) -> QualityBounds:
    """Return the bounds between which all but the outermost 0.1 % at either end of manual masks (N, H, W) lie.

    Args:
        radiographs: the images (N, H, W) that the masks were drawn in.
        masks: the manual masks.

    Raises:
        DataError: too few of the masks show two separate lungs.
    """
    every = [measures_of(mask) for mask in masks]
    measured = [values for values in every if values is not None]
    if len(measured) < MASKS_NEEDED:
        raise DataError(
            f"{len(measured)} of {len(masks)} manual masks show two separate lungs; at least {MASKS_NEEDED} are needed "
            "to say what is plausible. Give more images with manual masks."
        )
    bounds = {}
    for name in MEASURES:
        low, high = np.quantile([values[name] for values in measured], [OUTER_SHARE, 1 - OUTER_SHARE])
        # lungs of equal size are never too equal
        bounds[name] = (round(float(low), 4), 1.0 if name == "smaller_to_larger" else round(float(high), 4))
    two_lungs = [values is not None for values in every]
    return QualityBounds(
        bounds=bounds, masks=len(measured), pose=pose_template(radiographs[two_lungs], masks[two_lungs])
    )


def read_bounds(folder: Path) -> QualityBounds:
    """Read the bounds beside the weights.

    Raises:
        DataError: the file is missing or was not written by `QualityBounds.write`.
    """
    path = folder / BOUNDS_NAME
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        bounds = {name: (float(plain["bounds"][name]["from"]), float(plain["bounds"][name]["to"])) for name in MEASURES}
        return QualityBounds(bounds=bounds, masks=int(plain["drawn_masks"]), pose=PoseTemplate.read(plain["pose"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: the bounds of plausible lungs cannot be read ({error!r}); bring the shipped file back, or train "
            "the segmenter again, which writes both."
        ) from error


def check_lungs(radiograph: NDArray[np.uint8], mask: NDArray[np.bool_], bounds: QualityBounds) -> LungQuality:
    """Say whether a mask (H, W) is a plausible pair of lungs of an image (H, W) that lies right.

    The first thing wrong is the reason: parts, then measures, then the pose of the image.
    """
    measures = measures_of(mask)
    if measures is None:
        count = ndimage.label(mask)[1]
        return LungQuality(usable=False, reason=f"{count} separate parts instead of 2" if count else "no lung found")
    for name, value in measures.items():
        low, high = bounds.bounds[name]
        if not low <= value <= high:
            return LungQuality(usable=False, reason=REASONS[name][value > high])
    words = bounds.pose.found(radiograph, mask).words()
    return LungQuality(usable=not words, reason=f"image {words}" if words else "")
