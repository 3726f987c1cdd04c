"""Is a new image like those that the networks of a run know? A network answers to anything, noise and photographs too.

Two plain measures are compared with what the images of the run show among themselves; nothing is trained.

- Layout: the correlation of gray levels with the nearest image, both shrunk to 16 x 16. Brightness and contrast do not
  count.
- Detail: how much neighbouring pixels differ, relative to the contrast of the whole image. Noise and drawings have far
  more of it than radiographs, blurred images far less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_PX: Final = 16
COMPARED_MAX: Final = 2000  # images of the run, drawn by a seed; more would change a bound in its third digit
USUAL_SHARE: Final = 0.99  # of the run's images lie within a bound; one in a hundred does not, without being foreign
DETAIL_FACTOR: Final = 2.0  # beyond the bounds of detail by this factor: scanners differ, noise differs by ten


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """What is usual among the images of a run.

    Args:
        thumbnails: (N, 256) float32, each of mean 0 and length 1.
        nearest: correlation of an image with its nearest other one that 99 % of them reach, -1 to 1.
        detail: bounds of detail between which 98 % of them lie, from 0.
    """

    thumbnails: NDArray[np.float32]
    nearest: float
    detail: tuple[float, float]


def thumbnail(radiograph: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return an image (H, W) as 256 numbers of mean 0 and length 1; all 0 where it is of one gray."""
    small = cv2.resize(radiograph, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    centred = (small - small.mean()).ravel()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), dtype=np.float32)


def detail(radiograph: NDArray[np.uint8]) -> float:
    """Return the mean difference of neighbouring pixels over the standard deviation of an image (H, W); 0 = one gray.

    >>> rng = np.random.default_rng(0)
    >>> bool(detail(rng.integers(0, 256, (64, 64), dtype=np.uint8)) > 1)
    True
    """
    gray = radiograph.astype(np.float32)
    spread = float(gray.std())
    steps = (np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean()) / 2
    return float(steps) / spread if spread > 0 else 0.0


def familiarity(radiographs: NDArray[np.uint8], seed: int) -> Familiarity:
    """Return what is usual among the images (N, H, W) of a run, N at least 2."""
    rows = np.arange(len(radiographs))
    if len(rows) > COMPARED_MAX:
        rows = np.sort(np.random.default_rng([seed, 4]).choice(rows, COMPARED_MAX, replace=False))
    some = [np.asarray(radiographs[row]) for row in rows]
    thumbnails = np.stack([thumbnail(one) for one in some])
    likeness = thumbnails @ thumbnails.T
    np.fill_diagonal(likeness, -1)
    low, high = np.quantile([detail(one) for one in some], [1 - USUAL_SHARE, USUAL_SHARE])
    return Familiarity(
        thumbnails=thumbnails,
        nearest=float(np.quantile(likeness.max(axis=1), 1 - USUAL_SHARE)),
        detail=(float(low), float(high)),
    )


def strange_words(radiograph: NDArray[np.uint8], usual: Familiarity) -> list[str]:
    """Say in what a new image (H, W), prepared as those of the run, is unlike all of them; nothing where it is not."""
    words = []
    nearest = float((usual.thumbnails @ thumbnail(radiograph)).max())
    if nearest < usual.nearest:
        words.append(
            f"far from the training images: its layout correlates {nearest:.2f} with the nearest of the run's images; "
            f"{USUAL_SHARE:.0%} of these reach {usual.nearest:.2f} among themselves"
        )
    found, (low, high) = detail(radiograph), usual.detail
    if not low / DETAIL_FACTOR <= found <= high * DETAIL_FACTOR:
        much = "much more" if found > high else "much less"
        words.append(
            f"far from the training images: it shows {much} fine detail ({found:.2f}) than the run's images "
            f"({low:.2f} to {high:.2f})"
        )
    return words
