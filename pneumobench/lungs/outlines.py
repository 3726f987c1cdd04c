"""Whose lungs are masked in an image: its own, those of another patient, or one region that is the same for all.

The outline of lungs says much about the label, and stays in an image as the shape of the hole. An outline that was
drawn without regard to class says nothing; it leaves lungs uncovered, and the fixed region does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.files import sha256_of_text
from pneumobench.lungs.masks import LungMasks
from pneumobench.lungs.region_names import FIXED_SHARE, Outline

NOBODY: Final = -1
_TOGETHER: Final = 1024  # masks at a time: bounds memory


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """Lungs to mask in the images of one fold.

    Args:
        masks: the lungs of each image.
        other: row of the image whose outline a row gets (N,), NOBODY where there is none to choose.
        fixed: the region that is the same for all images (side, side); None where no training image has a mask.
    """

    masks: LungMasks
    other: NDArray[np.int64]
    fixed: NDArray[np.bool_] | None

    def of_rows(self, rows: NDArray[np.int64], outline: Outline) -> NDArray[np.bool_]:
        """Return what is masked (B, side, side) in rows of the index that have a mask."""
        if outline == "fixed":
            assert self.fixed is not None
            return np.broadcast_to(self.fixed, (len(rows), *self.fixed.shape))
        return self.masks.of_rows(rows if outline == "own" else self.other[rows])

    def forms(self) -> tuple[Outline, ...]:
        """Return which outlines there are for all images with a mask; the fixed lung box has one form."""
        rows = self.masks.usable_rows()
        if rows is None:
            return ("own",)
        found: list[Outline] = ["own"]
        if (self.other[rows] != NOBODY).all():
            found.append("other")
        return (*found, "fixed") if self.fixed is not None else tuple(found)


def fold_outlines(index: Index, folds: Folds, masks: LungMasks, train: NDArray[np.int64]) -> Outlines:
    """Return the outlines for the images of a fold.

    Args:
        index: all images.
        folds: the split.
        masks: their lungs.
        train: rows of the training part of the fold, which alone the fixed region is made from.
    """
    return Outlines(masks=masks, other=other_rows(index, folds, masks), fixed=fixed_region(masks, train))


def other_rows(index: Index, folds: Folds, masks: LungMasks) -> NDArray[np.int64]:
    """Return for each row of an index the row whose outline it gets (N,), drawn without regard to its class.

    Images that are tested in the same fold, those that never are, and those of the official test folder exchange
    outlines among themselves, so that no test image meets a training image in any fold. They are put in an order that
    depends on the seed of the split and the names of the images alone, and each gets the outline of the next one of
    another patient group: every outline is used about once. NOBODY where all others are of the same patient group, or
    have no mask.
    """
    names, group = index.table["image_id"].to_numpy(dtype=object), index.table["group"].to_numpy(np.int64)
    official = set(folds.official_test)
    rows_of: dict[int | str, list[int]] = {}
    for row, name in enumerate(names):
        if masks.has(row) and (name in folds.test_fold or name in official):
            rows_of.setdefault(folds.test_fold.get(name, "official"), []).append(row)
    other = np.full(len(names), NOBODY, dtype=np.int64)
    for rows in rows_of.values():
        order = sorted(rows, key=lambda row: sha256_of_text(f"outline {folds.seed} {names[row]}"))
        for row, found in zip(order, _next_of_another_group(group[order]), strict=True):
            other[row] = NOBODY if found is None else order[found]
    return other


def _next_of_another_group(group: NDArray[np.int64]) -> list[int | None]:
    """Return for each place of a circle the next place with another group.

    >>> _next_of_another_group(np.array([7, 7, 3, 5]))
    [2, 2, 3, 0]
    >>> _next_of_another_group(np.array([7, 7]))
    [None, None]
    """
    count = len(group)
    found: list[int | None] = [None] * count
    nearest: int | None = None  # of the place after this one, in the circle walked twice
    for place in range(2 * count - 1, -1, -1):
        after = (place + 1) % count
        if group[after] != group[place % count]:
            nearest = after
        found[place % count] = nearest
    return found


def fixed_region(masks: LungMasks, train: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return the smallest region (side, side) that holds 99.5 % of all lung pixels of some images; None without masks.

    Those are the pixels in which most images have lung. Test images have no part in it.

    Args:
        masks: lungs of all images.
        train: rows of the index whose lungs count; those without a mask do not.
    """
    rows = np.array([row for row in train if masks.has(int(row))], dtype=np.int64)
    if len(rows) == 0:
        return None
    lungs = sum(
        masks.of_rows(rows[start : start + _TOGETHER]).sum(axis=0, dtype=np.int64)
        for start in range(0, len(rows), _TOGETHER)
    )
    counts = np.asarray(lungs)
    order = np.argsort(-counts, axis=None, kind="stable")
    held = np.cumsum(counts.ravel()[order])
    needed = int(np.searchsorted(held, FIXED_SHARE * held[-1])) + 1
    region = np.zeros(counts.size, dtype=bool)
    region[order[:needed]] = True
    return region.reshape(counts.shape)


def refuse_lonely(outlines: Outlines, index: Index, rows: Iterable[int]) -> None:
    """Check that every image has another one whose outline it can get.

    Raises:
        DataError: one has none; says why.
    """
    lonely: Sequence[int] = [row for row in rows if outlines.other[row] == NOBODY]
    if lonely:
        raise DataError(
            f"{index.root}: {index.table['image_id'].iloc[lonely[0]]} can get the outline of no other patient: all "
            "images with a lung mask that are tested in its fold are of one. Add patients, or use fewer folds or a "
            "data.region without other_outline."
        )
