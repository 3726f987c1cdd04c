"""Where the lungs are: masks drawn by people, or the fixed box where nobody drew one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import DataError
from pneumobench.files import sha256_of_text
from pneumobench.radiographs.geometry import GEOMETRY, mask_to_square
from pneumobench.radiographs.index import Index
from pneumobench.radiographs.pixel_cache import cached_squares, content_key

MaskTier = Literal["drawn", "box"]
# rows 15-90 %, columns 20-80 %: the published fixed lung crop, 45 % of the image
BOX_ROWS, BOX_COLUMNS = (0.15, 0.90), (0.20, 0.80)


def fixed_lung_box(side_px: int) -> NDArray[np.bool_]:
    """Return the fixed lung box as a mask (side, side)."""
    box = np.zeros((side_px, side_px), dtype=bool)
    rows = slice(*(round(side_px * edge) for edge in BOX_ROWS))
    columns = slice(*(round(side_px * edge) for edge in BOX_COLUMNS))
    box[rows, columns] = True
    return box


def read_drawn_mask(path: Path, side_px: int) -> NDArray[np.bool_]:
    """Read a drawn mask image (lung = brighter than half of its brightest pixel) in the films' geometry.

    Raises:
        DataError: the file is not an image, or nothing in it is marked as lung.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise DataError(f"{path}: lung mask cannot be read as an image; remove it or draw it again.")
    square = mask_to_square(np.asarray(mask) > int(np.max(mask)) // 2, side_px)
    if not square.any():
        raise DataError(f"{path}: lung mask is empty; remove the file to use the fixed lung box instead.")
    return square


@dataclass(frozen=True, kw_only=True)
class LungMasks:
    """Lung masks of an index; drawn and boxed ones are never mixed in one figure.

    Args:
        drawn: drawn masks (M, side, side), 1 = lung.
        drawn_row: row in `drawn` of an image of the index, by its row; images without one are absent.
        box: the fixed lung box (side, side).
    """

    drawn: NDArray[np.uint8]
    drawn_row: dict[int, int]
    box: NDArray[np.bool_]

    def tier(self) -> MaskTier:
        """Return `drawn` where a data set has drawn masks, else `box`."""
        return "drawn" if self.drawn_row else "box"

    def usable_rows(self) -> NDArray[np.int64] | None:
        """Return the rows of the index that have a mask of the tier, or None for all."""
        return np.array(sorted(self.drawn_row), dtype=np.int64) if self.drawn_row else None

    def of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the masks (B, side, side) of rows of the index, all of the same tier."""
        if self.tier() == "box":
            return np.broadcast_to(self.box, (len(rows), *self.box.shape))
        return np.asarray(self.drawn[[self.drawn_row[int(row)] for row in rows]] > 0)


def lung_masks(index: Index, side_px: int, cache_folder: Path) -> LungMasks:
    """Return the masks of an index: drawn ones where the index names them, the box where it names none."""
    named = np.flatnonzero((index.table["lung_mask"] != "").to_numpy())
    paths = [index.root / mask for mask in index.table["lung_mask"].iloc[named]]
    key = sha256_of_text(f"{GEOMETRY} {content_key(paths)}")[:20]
    drawn = cached_squares(
        cache_folder / f"masks-{side_px}px-{key}.npy",
        paths,
        side_px,
        lambda path: read_drawn_mask(path, side_px).astype(np.uint8),
    )
    return LungMasks(drawn=drawn, drawn_row={int(row): i for i, row in enumerate(named)}, box=fixed_lung_box(side_px))
