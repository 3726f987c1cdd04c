"""How well segmented lungs agree with drawn ones, image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.lungs.boxes import lung_box
from pneumobench.lungs.masks import LungMasks
from pneumobench.lungs.quality import QualityBounds, check_lungs
from pneumobench.lungs.segmenter import LungUNet, segment_lungs
from pneumobench.radiographs.geometry import cropped

CHANGES: Final[dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]] = {
    "as they are": lambda image: image,
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "top and bottom exchanged": lambda image: image[::-1],
    "turned by 90 degrees": np.rot90,
    "left and right exchanged": lambda image: image[:, ::-1],
    "gray levels inverted": lambda image: 255 - image,
    "uniform noise in their place": lambda image: np.random.default_rng(int(image.sum())).integers(
        0, 256, image.shape, dtype=np.uint8
    ),
    "one gray in their place": lambda image: np.full_like(image, int(image.mean())),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One held-out set.

    Args:
        name: what the set is.
        patients: patients in it.
        radiographs: images in it, those without a manual mask too.
        refused: images of them whose segmented mask quality control refuses.
        rows: rows of the index with a manual mask (B,).
        image_id: their names (B,).
        iou: intersection over union of segmented and annotated lungs (B,), 1 = the same.
        dice: Dice coefficient (B,).
        usable: whether quality control lets the segmented mask pass (B,).
        cut: share of the annotated lungs outside the adaptive crop (B,); NaN where the mask is not usable.
        drawn_refused: share of the manual masks themselves that quality control would refuse.
        changed_refused: share of the images that it refuses after each of CHANGES, in [0, 1].
    """

    name: str
    patients: int
    radiographs: int
    refused: int
    rows: NDArray[np.int64]
    image_id: NDArray[np.object_]
    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    usable: NDArray[np.bool_]
    cut: NDArray[np.float64]
    drawn_refused: float
    changed_refused: dict[str, float]

    def worst(self, count: int) -> list[int]:
        """Return the positions of the images with the lowest IoU, the lowest first."""
        return [int(i) for i in np.argsort(self.iou, kind="stable")[:count]]


@dataclass(frozen=True, kw_only=True)
class SegmenterTrial:
    """A trained segmenter and everything that was measured of it.

    Args:
        metadata: what the weights file says of the training.
        bounds: bounds of quality control.
        measured: the held-out sets, the patients of the train folder first.
        parameters: weights of the network.
        pairing_iou: lowest agreement by which a mask was taken for that of its image; None = not stated.
    """

    metadata: dict[str, str]
    bounds: QualityBounds
    measured: tuple[Measured, ...]
    parameters: int
    pairing_iou: float | None


def overlap(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Return IoU and Dice of two masks (H, W); of two empty ones 1.

    >>> overlap(np.array([[True, True]]), np.array([[True, False]]))
    (0.5, 0.6666666666666666)
    """
    both, either = int((mask & truth).sum()), int((mask | truth).sum())
    return (both / either, 2 * both / (both + either)) if either else (1.0, 1.0)


def measure(
    name: str,
    index: Index,
    radiographs: NDArray[np.uint8],
    masks: LungMasks,
    rows: NDArray[np.int64],
    network: LungUNet,
    bounds: QualityBounds,
) -> Measured:
    """Segment images and compare them with their manual masks at the side of the images.

    Args:
        name: what the set is.
        index: all images.
        radiographs: their squares (N, side, side).
        masks: manual masks of the same side.
        rows: rows of the index that belong to the set.
        network: the segmenter.
        bounds: bounds of quality control.
    """
    shown = np.asarray(radiographs[rows])
    found = segment_lungs(shown, network)
    passed = np.array([check_lungs(*pair, bounds).usable for pair in zip(shown, found, strict=True)])
    drawn = np.isin(rows, np.fromiter(masks.row_of, dtype=np.int64))
    truth, segmented, usable = masks.of_rows(rows[drawn]), found[drawn], passed[drawn]
    scores = np.array([overlap(mask, true) for mask, true in zip(segmented, truth, strict=True)]).reshape(-1, 2)
    cut = [
        1 - cropped(true, lung_box(mask)).sum() / true.sum() if fine else np.nan
        for mask, true, fine in zip(segmented, truth, usable, strict=True)
    ]
    changed = {}
    for words, change in CHANGES.items():
        images = np.stack([np.ascontiguousarray(change(image)) for image in shown])
        pairs = zip(images, segment_lungs(images, network), strict=True)
        changed[words] = float(np.mean([not check_lungs(*pair, bounds).usable for pair in pairs]))
    table = index.table.iloc[rows]
    return Measured(
        name=name,
        patients=int(table["patient"].nunique()),
        radiographs=len(rows),
        refused=int((~passed).sum()),
        rows=rows[drawn],
        image_id=table["image_id"].to_numpy(dtype=object)[drawn],
        iou=scores[:, 0],
        dice=scores[:, 1],
        usable=usable,
        cut=np.array(cut, dtype=np.float64),
        drawn_refused=float(
            np.mean([not check_lungs(*pair, bounds).usable for pair in zip(shown[drawn], truth, strict=True)])
        ),
        changed_refused=changed,
    )
