"""What is known of an image without its pixels: width, height, aspect ratio, and bytes of its file."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.training.controls import Seen, register_control

SIZE_COLUMNS: Final = ("image", "original_width", "original_height")


@register_control("image_facts", words="the size of the image", reads_original_sizes=True)
def image_facts(seen: Seen) -> NDArray[np.float64]:
    """Return width, height, aspect ratio and bytes (N, 4), or those of the original images without bytes (N, 3).

    Raises:
        DataError: the table of sizes is missing, or holds none of the images. An image it lacks has unknown sizes.
    """
    sizes = sizes_of(seen.index, seen.original_sizes)
    if seen.original_sizes:
        return sizes
    table = seen.index.table
    file_bytes = np.array([(seen.index.root / image).stat().st_size for image in table["image_id"]], dtype=np.float64)
    return np.column_stack([sizes, file_bytes])


def sizes_of(index: Index, original_sizes: str) -> NDArray[np.float64]:
    """Return width, height (px) and aspect ratio (N, 3) of images, or of their originals; NaN where not known.

    Args:
        index: the images.
        original_sizes: table with the sizes of the originals, relative to the root; empty: the files are the originals.

    Raises:
        DataError: the table of sizes is missing, or holds none of the images.
    """
    if original_sizes:
        return _original_sizes(index, original_sizes)
    table = index.table
    return _size_features(table["width"].to_numpy(np.float64), table["height"].to_numpy(np.float64))


def _size_features(width: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([width, height, width / height], axis=1)


def _original_sizes(index: Index, name: str) -> NDArray[np.float64]:
    path = index.root / name
    expected = f"a table with the columns {', '.join(SIZE_COLUMNS)} (controls.original_sizes)"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected {expected}.") from error
    if missing := [column for column in SIZE_COLUMNS if column not in table.columns]:
        raise DataError(f"{path}: found no column {missing[0]}; expected {expected}.")
    found = table.drop_duplicates("image").set_index("image").reindex(index.table["image_id"])
    sizes = found[["original_width", "original_height"]].apply(pd.to_numeric, errors="coerce")
    if not sizes.notna().any(axis=None):
        raise DataError(f"{path}: has a size of none of the {len(index.table)} images; expected {expected}.")
    return _size_features(*sizes.to_numpy(np.float64).T)
