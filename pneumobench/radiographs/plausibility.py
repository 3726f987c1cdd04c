"""Can these gray levels be a radiograph? What pixels alone say of an image that was decoded without a complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.radiographs.gray_levels import code_counts
from pneumobench.radiographs.refusals import unreadable

MIN_SIDE_PX: Final = 4  # below it nothing is left
SMALL_SIDE_PX: Final = 32  # below it no lung can be told from the other
FLAT_LEVELS: Final = 8  # of 256: the levels of a radiograph spread over most of them
FLAT_PERCENTILES: Final = (1.0, 99.0)
# what a decoder writes where the data of a JPEG end, and nobody's border: neither nearly black nor nearly white
FILLED_LEVELS: Final = (16, 239)
FILLED_ROWS: Final = 0.05  # share of the height
SMALL: Final = f"smaller than {SMALL_SIDE_PX} pixels a side"
ONE_LEVEL: Final = f"nearly empty: 98 % of its pixels lie within {FLAT_LEVELS} gray levels of 256"
FILLED: Final = "its last rows are one constant gray, as decoders fill what is missing"


def implausible(path: Path, radiograph: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return what is odd about the pixels (H, W) of an image; nothing where nothing is.

    Raises:
        UnreadableImageError: they cannot be a radiograph: a few pixels, or all of one level.
    """
    height, width = radiograph.shape
    if min(height, width) < MIN_SIDE_PX:
        raise unreadable(
            path,
            f"{width} x {height} pixels; at least {MIN_SIDE_PX} a side are expected",
            "remove it from the data set",
        )
    counts = code_counts(radiograph)
    if int((counts > 0).sum()) == 1:
        raise unreadable(path, "all of its pixels have one gray level", "export it again, or remove it")
    notes = [SMALL] if min(height, width) < SMALL_SIDE_PX else []
    low, high = np.searchsorted(np.cumsum(counts), np.array(FLAT_PERCENTILES) / 100.0 * radiograph.size)
    if high - low < FLAT_LEVELS:
        notes.append(ONE_LEVEL)
    last_rows = radiograph[-max(round(FILLED_ROWS * height), 1) :]
    if FILLED_LEVELS[0] <= last_rows[-1, -1] <= FILLED_LEVELS[1] and (last_rows == last_rows[-1, -1]).all():
        notes.append(FILLED)
    return tuple(notes)
