"""Does an image of the chest lie as it should? A template tells it from its turned, mirrored and inverted copies.

A segmenter that learnt from mirrored and slightly turned images finds lungs in images that lie wrongly, and the shape
of what it finds hardly says so. What says so are the gray levels around the lungs: bright below and between them, dark
inside, the heart at one side. The image around the lungs is compared with one small template in all sixteen poses
(four turns, mirrored or not, gray levels as they are or inverted); the right pose has to fit best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pneumobench.radiographs.geometry import image_to_square

TEMPLATE_SIDE: Final = 24  # rows and columns of the template: 576 numbers
AROUND: Final = 0.15  # of the lungs' height and width, on each side of them: neck, arms and abdomen say much
PENALTY: Final = 1e-2  # on the mean square of the template, in the units of the loss
# of the images that the template was fitted on that each pose may claim; with less, more mirrored images pass
OUTER_SHARE: Final = 0.005
FLAT_SD: Final = 1e-3
DECIMALS: Final = 4
TURNS: Final = {0: "", 1: "turned by a quarter", 2: "upside down", 3: "turned by a quarter"}


@dataclass(frozen=True, kw_only=True)
class Pose:
    """What was done to an image that lay right: mirrored left to right, then turned by quarters; gray inverted."""

    turns: int
    mirrored: bool
    inverted: bool

    def words(self) -> str:
        """Say how an image lies; empty where it lies right. Upside down is said of a flipped and of a turned image."""
        beside = "left and right exchanged" if self.mirrored and self.turns == 0 else ""
        return " and ".join(filter(None, [TURNS[self.turns], beside, "gray levels inverted" if self.inverted else ""]))

    def undone(self, view: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return views (..., side, side) of mean 0 as they were before."""
        back = np.rot90(view, -self.turns, axes=(-2, -1))
        return (-1 if self.inverted else 1) * (back[..., ::-1] if self.mirrored else back)


RIGHT: Final = Pose(turns=0, mirrored=False, inverted=False)
POSES: Final = tuple(
    Pose(turns=turns, mirrored=mirrored, inverted=inverted)
    for inverted in (False, True)
    for mirrored in (False, True)
    for turns in range(4)
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseTemplate:
    """What an image around the lungs looks like, in the numbers that tell its poses apart.

    Args:
        template: (24, 24); the pose of a view v fits by the sum of template times v in that pose.
        margins: by how much each pose of POSES may fit better than the right one (16,), 0 or more.
    """

    template: NDArray[np.float64]
    margins: NDArray[np.float64]

    def found(self, radiograph: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Pose:
        """Return how an image (H, W) with lungs (H, W) lies; RIGHT where no other pose fits better by its margin."""
        fits = self.fits(view_around(radiograph, mask)[None])[0]
        better = fits - fits[0] - self.margins
        better[0] = 0
        return POSES[int(better.argmax())]

    def fits(self, views: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how well each pose of POSES fits views (B, 24, 24): (B, 16)."""
        return np.stack([(pose.undone(views) * self.template).sum(axis=(1, 2)) for pose in POSES], axis=1)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON keeps it, a row of the template on a line."""
        rows = [" ".join(f"{value:.{DECIMALS}f}" for value in row) for row in self.template]
        return {"margins": " ".join(f"{value:.{DECIMALS}f}" for value in self.margins), "template": rows}

    @classmethod
    def read(cls, plain: dict[str, Any]) -> PoseTemplate:
        """Return what `plain` wrote.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it was not written so.
        """
        template = np.array([[float(value) for value in row.split()] for row in plain["template"]], dtype=np.float64)
        if template.shape != (TEMPLATE_SIDE, TEMPLATE_SIDE) or not np.isfinite(template).all():
            raise ValueError(f"a template {template.shape}, expected ({TEMPLATE_SIDE}, {TEMPLATE_SIDE}) numbers")
        margins = np.array([float(value) for value in plain["margins"].split()], dtype=np.float64)
        if margins.shape != (len(POSES),) or not (margins >= 0).all():
            raise ValueError(f"margins {margins.shape}, expected {len(POSES)} numbers from 0")
        return cls(template=template, margins=margins)


def view_around(radiograph: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the image (H, W) around its lungs (H, W) as (24, 24) of mean 0 and standard deviation 1, or 0 if flat.

    What lies outside the image is as its nearest pixel.
    """
    edges = []
    for axis in (1, 0):  # rows, then columns
        lung = np.flatnonzero(mask.any(axis=axis))
        around = round(AROUND * (lung[-1] + 1 - lung[0]))
        edges.append((int(lung[0]) - around, int(lung[-1]) + 1 + around))
    (top, bottom), (left, right) = edges
    height, width = radiograph.shape
    outside = max(0, -top, -left, bottom - height, right - width)
    wide = cv2.copyMakeBorder(radiograph, outside, outside, outside, outside, cv2.BORDER_REPLICATE)
    part = np.asarray(wide[top + outside : bottom + outside, left + outside : right + outside], dtype=np.uint8)
    view = image_to_square(part, TEMPLATE_SIDE).astype(np.float64)
    return np.asarray((view - view.mean()) / max(float(view.std()), FLAT_SD), dtype=np.float64)


def pose_template(radiographs: NDArray[np.uint8], masks: NDArray[np.bool_]) -> PoseTemplate:
    """Fit the template on images (N, H, W) that lie right, with their lungs (N, H, W); the same images, the same one.

    Multinomial logistic regression on the pose: of sixteen poses of a view, which one is the right one? One template
    serves all, since a pose changes the view and not what is looked for.
    """
    views = np.stack([view_around(*pair) for pair in zip(radiographs, masks, strict=True)])
    # (8 turns and mirrorings, N, pixels); inverted, a view fits by as much less as it fits by more
    poses = np.stack([pose.undone(views).reshape(len(views), -1) for pose in POSES[:8]])

    def loss(template: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        upright = poses @ template  # (8, N)
        fits = np.concatenate([upright, -upright])
        shifted = np.exp(fits - fits.max(axis=0))
        share = shifted / shifted.sum(axis=0)  # probability of each pose
        mean = float((np.log(shifted.sum(axis=0)) + fits.max(axis=0) - fits[0]).mean())
        pull = share[:8] - share[8:]
        pull[0] -= 1
        slope = np.einsum("pn,pnk->k", pull, poses) / len(views)
        return mean + PENALTY * float(template @ template), slope + 2 * PENALTY * template

    found = minimize(loss, np.zeros(TEMPLATE_SIDE**2), jac=True, method="L-BFGS-B").x
    template = found.round(DECIMALS).reshape(TEMPLATE_SIDE, TEMPLATE_SIDE)
    fits = PoseTemplate(template=template, margins=np.zeros(len(POSES))).fits(views)
    better = np.quantile(fits - fits[:, :1], 1 - OUTER_SHARE, axis=0)
    return PoseTemplate(template=template, margins=np.maximum(better, 0).round(DECIMALS))
