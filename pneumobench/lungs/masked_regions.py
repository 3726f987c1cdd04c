"""Films with a part taken away, to see what a network scores without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Films = NDArray[np.uint8]
Masks = NDArray[np.bool_]

BORDER = 0.1  # share of the side on each edge: where laterality letters, tubes' ends and collimator edges are
BLUR = 0.15  # standard deviation as a share of the side: wider than the ribs, narrower than a lung


def without_lungs(films: Films, lungs: Masks) -> Films:
    """Return films (B, H, W) whose lungs have the mean gray of the rest of the film."""
    return _filled(films, lungs)


def only_lungs(films: Films, lungs: Masks) -> Films:
    """Return films (B, H, W) where all but the lungs has the mean gray of the lungs."""
    return _filled(films, ~lungs)


def lungs_blurred(films: Films, lungs: Masks) -> Films:
    """Return films (B, H, W) whose lungs are blurred until only their overall brightness is left."""
    sigma = BLUR * films.shape[-1]
    blurred = [cv2.GaussianBlur(film, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for film in films]
    return np.where(lungs, np.stack(blurred), films).astype(np.uint8)


def without_borders(films: Films, lungs: Masks) -> Films:
    """Return films (B, H, W) whose outer tenth on every edge has the mean gray of the middle; lungs in it too."""
    edge = round(BORDER * films.shape[-1])
    border = np.ones(lungs.shape, dtype=bool)
    border[:, edge:-edge, edge:-edge] = False
    return _filled(films, border)


def _filled(films: Films, taken: Masks) -> Films:
    kept = ~taken
    # a film that is taken away whole keeps its own mean
    count = kept.sum(axis=(1, 2))
    total = np.where(kept, films, 0).sum(axis=(1, 2), dtype=np.int64)
    mean = np.where(count > 0, total / np.maximum(count, 1), films.mean(axis=(1, 2)))
    return np.where(taken, np.rint(mean)[:, None, None], films).astype(np.uint8)


BLANKINGS: Final[dict[str, Callable[[Films, Masks], Films]]] = {
    "without_lungs": without_lungs,
    "lungs_blurred": lungs_blurred,
    "only_lungs": only_lungs,
    "without_borders": without_borders,
}
