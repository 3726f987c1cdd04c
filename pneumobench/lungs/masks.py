"""Where the lungs are: masks annotated by people or by the segmenter, or the fixed box. One tier a run, never mixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_squares, content_key, crop_key
from pneumobench.errors import DataError, SettingsError, UnreadableImageError
from pneumobench.files import sha256_of_text
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.segmented import SegmentedLungs
from pneumobench.lungs.tiers import MaskTier
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import GEOMETRY, CropBox, cropped, mask_to_square


def read_drawn_mask(path: Path, side_px: int, crop_box: CropBox | None = None) -> NDArray[np.bool_]:
    """Read a manual mask image (lung = brighter than half of its brightest pixel) in the images' geometry.

    Args:
        path: the image; it shows the whole image.
        side_px: side of the square that is returned, in pixels.
        crop_box: what is cut out first; None = nothing.

    Raises:
        DataError: the file is not an image, or nothing in it is marked as lung.
    """
    try:
        mask = read_gray(path)
    except UnreadableImageError as error:
        raise DataError(f"{path}: lung mask cannot be read as an image; remove it or draw it again. {error}") from error
    lung = mask > int(mask.max()) // 2
    if not lung.any():
        raise DataError(f"{path}: lung mask is empty; remove the file to use the fixed lung box instead.")
    return mask_to_square(cropped(lung, crop_box), side_px)


@dataclass(frozen=True, kw_only=True)
class LungMasks:
    """Lung masks of an index, all of one tier: drawn, segmented and boxed ones are never mixed in one figure.

    Args:
        kind: where the masks come from.
        masks: masks (M, side, side), 1 = lung; none for the box.
        row_of: row in `masks` of an image of the index, by its row; images without a mask are absent.
        box: the fixed lung box (side, side).
        left_out: images without a mask of the tier, by reason.
        stand_ins: masks of lesser quality (side, side) for images of the index that have none of the tier, by row:
            good enough to blank lungs, never to score attention.
    """

    kind: MaskTier
    masks: NDArray[np.uint8]
    row_of: dict[int, int]
    box: NDArray[np.bool_]
    left_out: dict[str, int] = field(default_factory=dict)
    stand_ins: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def tier(self) -> MaskTier:
        """Return `drawn`, `segmented` or `box`."""
        return self.kind

    def usable_rows(self) -> NDArray[np.int64] | None:
        """Return the rows of the index that have a mask of the tier, or None for all."""
        return None if self.kind == "box" else np.array(sorted(self.row_of), dtype=np.int64)

    def has(self, row: int) -> bool:
        """Tell whether a row of the index has a mask of the tier."""
        return self.kind == "box" or row in self.row_of

    def of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the masks (B, side, side) of rows of the index, all of the same tier."""
        if self.kind == "box":
            return np.broadcast_to(self.box, (len(rows), *self.box.shape))
        return np.asarray(self.masks[[self.row_of[int(row)] for row in rows]] > 0)

    def to_blank(self, rows: Iterable[int]) -> NDArray[np.bool_]:
        """Return where the lungs are (B, side, side) for any rows of the index: mask, else stand-in, else the box."""
        return np.stack([self._to_blank(int(row)) for row in rows])

    def _to_blank(self, row: int) -> NDArray[np.bool_]:
        place = self.row_of.get(row)
        return self.stand_ins.get(row, self.box) if place is None else np.asarray(self.masks[place] > 0)

    def metadata(self) -> dict[str, Any]:
        """Return what a run's facts say of the masks."""
        return {"tier": self.kind, **({} if self.kind == "box" else {"images": len(self.row_of)} | self._left_out())}

    def _left_out(self) -> dict[str, Any]:
        return {"left_out": self.left_out} if self.left_out else {}


def lung_masks(
    index: Index,
    side_px: int,
    cache_folder: Path,
    *,
    tier: Literal["auto", "drawn", "segmented", "box"] = "auto",
    crop_boxes: Sequence[CropBox] | None = None,
    segmented: SegmentedLungs | None = None,
) -> LungMasks:
    """Return the masks of an index, in the geometry of `cached_images` with the same crop.

    Args:
        index: the images.
        side_px: side of the masks in pixels.
        cache_folder: where decoded masks are kept.
        tier: `auto` = manual masks where the index names some, else the box.
        crop_boxes: what is cut out of each image; None = images are whole.
        segmented: segmented lungs of the index, needed for tier `segmented`; stand in for missing manual masks.

    Raises:
        DataError: a manual mask cannot be read, or tier is `drawn` and the index names none.
        SettingsError: the fixed box shall be the mask of images that are cropped.
    """
    named = np.flatnonzero((index.table["lung_mask"] != "").to_numpy())
    if tier == "auto":
        tier = "drawn" if len(named) else "box"
    box = fixed_lung_box(side_px)
    if tier == "box":
        if crop_boxes is not None:
            raise SettingsError(
                "data.crop cuts images, and the fixed lung box in a cut image says nothing of lungs: set "
                "data.lung_mask_tier to segmented (or name manual masks with data.lung_masks), or data.crop to none."
            )
        return LungMasks(kind="box", masks=np.zeros((0, side_px, side_px), dtype=np.uint8), row_of={}, box=box)
    if tier == "segmented":
        assert segmented is not None
        return _segmented_masks(segmented, side_px, cache_folder, crop_boxes, box)
    if len(named) == 0:
        raise DataError(
            f"{index.root}: data.lung_mask_tier is drawn, and no image has a manual lung mask. Name their folder "
            "with data.lung_masks (or fill the column lung_mask of the table), or set the tier to segmented or box."
        )
    paths = [index.root / mask for mask in index.table["lung_mask"].iloc[named]]
    boxes = None if crop_boxes is None else [crop_boxes[int(row)] for row in named]
    key = sha256_of_text("\n".join([f"{GEOMETRY} {content_key(paths)}", *crop_key(boxes)]))[:20]
    drawn = cached_squares(
        cache_folder / f"masks-{side_px}px-{key}.npy",
        [(path, None if boxes is None else boxes[i]) for i, path in enumerate(paths)],
        side_px,
        lambda mask: read_drawn_mask(mask[0], side_px, mask[1]).astype(np.uint8),
    )
    missing = sorted(set(range(len(index.table))) - set(named.tolist()))
    return LungMasks(
        kind="drawn",
        masks=drawn,
        row_of={int(row): i for i, row in enumerate(named)},
        box=box,
        left_out={"no drawn mask": len(missing)} if missing else {},
        stand_ins={} if segmented is None else _squares(segmented, missing, side_px, crop_boxes),
    )


def _squares(
    segmented: SegmentedLungs, rows: Iterable[int], side_px: int, crop_boxes: Sequence[CropBox] | None
) -> dict[int, NDArray[np.bool_]]:
    """Return segmented lungs in the images' geometry, plausible or not, by row of the index; none that are empty."""
    squares = {
        row: mask_to_square(cropped(segmented.masks[row] > 0, crop_boxes[row] if crop_boxes else None), side_px)
        for row in rows
    }
    return {row: square for row, square in squares.items() if square.any()}


def _segmented_masks(
    segmented: SegmentedLungs,
    side_px: int,
    cache_folder: Path,
    crop_boxes: Sequence[CropBox] | None,
    box: NDArray[np.bool_],
) -> LungMasks:
    rows = [int(row) for row in segmented.usable_rows()]
    key = sha256_of_text("\n".join([segmented.key, *crop_key(crop_boxes)]))[:20]
    masks = cached_squares(
        cache_folder / f"segmented-masks-{side_px}px-{key}.npy",
        rows,
        side_px,
        lambda row: mask_to_square(
            cropped(segmented.masks[row] > 0, crop_boxes[row] if crop_boxes is not None else None), side_px
        ).astype(np.uint8),
    )
    row_of = {row: i for i, row in enumerate(rows)}
    refused = (row for row in range(len(segmented.masks)) if row not in row_of)
    return LungMasks(
        kind="segmented",
        masks=masks,
        row_of=row_of,
        box=box,
        left_out=segmented.refused(),
        stand_ins=_squares(segmented, refused, side_px, crop_boxes),
    )
