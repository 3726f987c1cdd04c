"""One augmentation recipe as data, executed on whole batches, on any device, reproducible image by image."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from pneumobench.radiographs import batch_filters
from pneumobench.radiographs.random_numbers import normal, uniform
from pneumobench.suite.training import AugmentationSpec

CLAHE_CLIP: Final = (1.0, 4.0)
GAMMA: Final = (0.8, 1.2)
NOISE: Final = (0.02, 0.1)  # standard deviation, of full scale
MOTION_PX: Final = (3, 5, 7)
MEDIAN_PX: Final = (3, 5)
HOLES: Final = 8
HOLE_SIDE: Final = (0.03, 0.125)  # of the side of the image
FULL_SCALE: Final = 255.0
GROUP_ON_CPU: Final = 4

# how many numbers an image draws for each change; a further one goes to the end, so that the others keep theirs
_DRAWS: Final = {
    "flip": 1, "geometry": 8, "tone": 3, "clahe": 2, "gamma": 2, "noise": 2, "motion": 6, "median": 2,
    "holes": 2 + 4 * HOLES,
}  # fmt: skip
_PARAMETERS, _NOISE = 0, 1  # streams of random numbers


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What happens to each image of a batch, drawn for it alone. A change that no image has is None.

    Args:
        rows: rows of the images (B,) int64.
        epoch: the epoch they were drawn for.
        matrix: from a pixel of the changed image to one of the image, both counted from the centre (B, 2, 3).
        contrast: factor of the gray levels (B,).
        brightness: added to them, of full scale (B,).
        clahe_clip: clip limit (B,), 0 = none.
        gamma: exponent (B,), 1 = none.
        noise: standard deviation, of full scale (B,), 0 = none.
        motion: blur kernels (B, 7, 7), sum 1; a kernel of one pixel = none.
        median_px: side of the median filter (B,), 0 = none.
        holes: squares that are blackened, as (top, left, bottom, right) in pixels (B, 8, 4).
    """

    rows: Tensor
    epoch: int
    matrix: Tensor | None = None
    contrast: Tensor | None = None
    brightness: Tensor | None = None
    clahe_clip: Tensor | None = None
    gamma: Tensor | None = None
    noise: Tensor | None = None
    motion: Tensor | None = None
    median_px: Tensor | None = None
    holes: Tensor | None = None

    def of(self, places: Tensor | slice) -> Changes:
        """Return the changes of some of the images, by their places here."""
        kept: dict[str, Any] = {name: value[places] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return dataclasses.replace(self, **kept)

    def to(self, device: torch.device) -> Changes:
        """Return the changes on a device, with real numbers as float32."""
        moved: dict[str, Any] = {
            name: value.float().to(device) if value.is_floating_point() else value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return dataclasses.replace(self, **moved)


class BatchAugmentation:
    """Randomly changed images; the change depends only on (seed, epoch, image), never on batch, device or order.

    Args:
        spec: kinds and largest magnitudes of the changes.
        seed: seed of the run.
        count: images of the index. Their changes are then drawn together, once an epoch; 0 = batch by batch.
    """

    def __init__(self, spec: AugmentationSpec, seed: int, *, count: int = 0) -> None:
        self.spec, self.seed, self.count = spec, seed, count
        self._epoch: tuple[Any, Changes] | None = None

    def __call__(self, images: Tensor, *, epoch: int, rows: Tensor) -> Tensor:
        """Return changed copies of images (B, 1, H, W) uint8 with their rows (B,) of the index, on their device."""
        side_px = images.shape[-1]
        if not self.count:
            return self.changed(images, self.draw(rows, epoch=epoch, side_px=side_px).to(images.device))
        key = (epoch, side_px, images.device)
        if self._epoch is None or self._epoch[0] != key:
            every = self.draw(torch.arange(self.count), epoch=epoch, side_px=side_px)
            self._epoch = (key, every.to(images.device))
        return self.changed(images, self._epoch[1].of(rows))

    def draw(self, rows: Tensor, *, epoch: int, side_px: int) -> Changes:
        """Draw the changes of images; on the CPU, where small numbers are fastest.

        Args:
            rows: rows of the images in the index (B,) int64.
            epoch: from 0.
            side_px: side of the images.
        """
        spec, rows = self.spec, rows.cpu()
        drawn = uniform(rows, sum(_DRAWS.values()), seed=self.seed, epoch=epoch, stream=_PARAMETERS)
        of = dict(zip(_DRAWS, torch.split(drawn, list(_DRAWS.values()), dim=1), strict=True))
        return Changes(
            rows=rows,
            epoch=epoch,
            matrix=_matrices(spec, of["flip"], of["geometry"], side_px),
            **_tone(spec, of["tone"]),
            clahe_clip=_if_drawn(spec.clahe, of["clahe"], CLAHE_CLIP, none=0.0),
            gamma=_if_drawn(spec.gamma, of["gamma"], GAMMA, none=1.0),
            noise=_if_drawn(spec.gaussian_noise, of["noise"], NOISE, none=0.0),
            motion=_kernels(spec.motion_blur, of["motion"]),
            median_px=_medians(spec.median_blur, of["median"]),
            holes=_holes(spec.coarse_dropout, of["holes"], side_px),
        )

    def changed(self, images: Tensor, changes: Changes) -> Tensor:
        """Return changed copies of images (B, 1, H, W) uint8, on their device, on which the changes are."""
        # on a processor a few images at a time, which stay in its cache
        group = GROUP_ON_CPU if images.device.type == "cpu" else max(len(images), 1)
        parts = [slice(start, start + group) for start in range(0, len(images), group)]
        return torch.cat([self._changed(images[part], changes.of(part)) for part in parts]) if parts else images

    def _changed(self, images: Tensor, changes: Changes) -> Tensor:
        levels = images.float()
        if changes.matrix is not None:
            levels = warp(levels, changes.matrix)
        if changes.contrast is not None and changes.brightness is not None:
            tone = _each(levels, changes.contrast) * levels + _each(levels, changes.brightness) * FULL_SCALE
            levels = tone.clamp_(0, FULL_SCALE)
        if changes.clahe_clip is not None:
            levels = batch_filters.clahe(levels, changes.clahe_clip)
        if changes.gamma is not None:
            levels = (levels / FULL_SCALE) ** _each(levels, changes.gamma) * FULL_SCALE
        if changes.noise is not None:
            levels = self._noisy(levels, changes, changes.noise)
        if changes.motion is not None:
            levels = batch_filters.convolved(levels, changes.motion)
        if changes.median_px is not None:
            levels = batch_filters.median(levels, changes.median_px)
        if changes.holes is not None:
            levels = batch_filters.blackened(levels, changes.holes)
        return levels.round_().to(torch.uint8)

    def masks(self, masks: Tensor, changes: Changes) -> Tensor:
        """Return masks (B, 1, H, W) bool that follow their images: the geometry alone, by the nearest pixel."""
        return masks if changes.matrix is None else warp(masks.float(), changes.matrix, mode="nearest") > 0.5

    def _noisy(self, levels: Tensor, changes: Changes, noise: Tensor) -> Tensor:
        some = noise > 0
        if not some.any():
            return levels
        size = levels[0].numel()
        rows = changes.rows[some]
        drawn = normal(rows, size, seed=self.seed, epoch=changes.epoch, stream=_NOISE).reshape(-1, *levels.shape[1:])
        changed = levels[some] + _each(levels, noise[some]) * FULL_SCALE * drawn
        levels[some] = changed.clamp_(0, FULL_SCALE)
        return levels


def warp(images: Tensor, matrix: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Return images (B, C, H, W) resampled by matrices from the changed image to the image; black where there is none.

    Args:
        images: float.
        matrix: (B, 2, 3), in pixels from the centre.
        mode: `bilinear` or `nearest`.
    """
    height, width = images.shape[-2:]
    half_width, half_height = max(width - 1, 1) / 2, max(height - 1, 1) / 2
    matrix = matrix / torch.tensor(
        [[half_width], [half_height]], device=matrix.device
    )  # to the coordinates of grid_sample, -1 to 1
    matrix = matrix.to(images.device, images.dtype)[:, :, :, None]
    across = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    down = torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2
    grid = torch.stack(
        [
            (matrix[:, row, 0] * across)[:, None, :] + (matrix[:, row, 1] * down + matrix[:, row, 2])[:, :, None]
            for row in (0, 1)
        ],
        dim=-1,
    )
    return functional.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=True)


def _each(levels: Tensor, value: Tensor) -> Tensor:
    """Return a value an image in a shape that goes with images (B, C, H, W)."""
    return value.to(levels.device, levels.dtype)[:, None, None, None]


def _between(share: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * share


def _if_drawn(probability: float, drawn: Tensor, bounds: tuple[float, float], *, none: float) -> Tensor | None:
    """Return a value within bounds an image, `none` where the change is not drawn."""
    if probability == 0:
        return None
    return torch.where(drawn[:, 0] < probability, _between(drawn[:, 1], *bounds), none)


def _matrices(spec: AugmentationSpec, flip: Tensor, geometry: Tensor, side_px: int) -> Tensor | None:
    """Return the inverse of: mirror, zoom, turn, shear, move, in this order (that of albumentations' Affine)."""
    moved = spec.geometry_probability > 0 and (spec.rotation_deg or spec.shift or spec.scale or spec.shear_deg)
    if not moved and spec.horizontal_flip == 0:
        return None
    turn, zoom_x, zoom_y, shear_x, shear_y, shift_x, shift_y = _between(geometry[:, 1:], -1, 1).unbind(1)
    angle = torch.deg2rad(spec.rotation_deg * turn)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    zoom = _square(1 + spec.scale * zoom_x, zero, zero, 1 + spec.scale * zoom_y)
    shear = _square(
        one, torch.deg2rad(spec.shear_deg * shear_x).tan(), torch.deg2rad(spec.shear_deg * shear_y).tan(), one
    )
    forward = shear @ _square(cos, sin, -sin, cos) @ zoom
    shift = torch.stack([shift_x, shift_y], dim=1) * spec.shift * side_px
    drawn = geometry[:, 0] < spec.geometry_probability
    forward = torch.where(drawn[:, None, None], forward, torch.eye(2, dtype=forward.dtype))
    shift = torch.where(drawn[:, None], shift, 0.0)
    back = torch.linalg.inv(forward)
    matrix = torch.cat([back, -(back @ shift[:, :, None])], dim=2)
    matrix[:, 0] *= torch.where(flip[:, 0] < spec.horizontal_flip, -1.0, 1.0)[:, None]
    return matrix


def _square(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([a, b, c, d], dim=1).reshape(-1, 2, 2)


def _tone(spec: AugmentationSpec, drawn: Tensor) -> dict[str, Tensor | None]:
    if spec.tone_probability == 0 or not (spec.contrast or spec.brightness):
        return {}
    some = drawn[:, 0] < spec.tone_probability
    contrast = torch.where(some, 1 + spec.contrast * _between(drawn[:, 1], -1, 1), 1.0)
    return {
        "contrast": contrast,
        "brightness": torch.where(some, spec.brightness * _between(drawn[:, 2], -1, 1), 0.0),
    }


def _chosen(drawn: Tensor, choices: tuple[int, ...]) -> Tensor:
    """Return one of a few numbers for each draw in [0, 1)."""
    return torch.tensor(choices)[(drawn * len(choices)).long()]


def _kernels(probability: float, drawn: Tensor) -> Tensor | None:
    if probability == 0:
        return None
    some, side, angle, direction, *shift = drawn.unbind(1)
    kernels = batch_filters.motion_kernels(
        _chosen(side, MOTION_PX), 2 * math.pi * angle, _between(direction, -1, 1),
        torch.stack([_between(one, -1, 1) for one in shift], dim=1),
    )  # fmt: skip
    kernels[some >= probability] = 0
    kernels[some >= probability, max(MOTION_PX) // 2, max(MOTION_PX) // 2] = 1
    return kernels


def _medians(probability: float, drawn: Tensor) -> Tensor | None:
    if probability == 0:
        return None
    return torch.where(drawn[:, 0] < probability, _chosen(drawn[:, 1], MEDIAN_PX), 0)


def _holes(probability: float, drawn: Tensor, side_px: int) -> Tensor | None:
    if probability == 0:
        return None
    count = torch.where(drawn[:, 0] < probability, 1 + (drawn[:, 1] * HOLES).long(), 0)
    tall, wide, top, left = drawn[:, 2:].reshape(-1, HOLES, 4).unbind(2)
    tall, wide = ((_between(share, *HOLE_SIDE) * side_px).floor() for share in (tall, wide))
    tall = torch.where(torch.arange(HOLES) < count[:, None], tall, 0.0)
    top, left = (top * (side_px - tall + 1)).floor(), (left * (side_px - wide + 1)).floor()
    return torch.stack([top, left, top + tall, left + wide], dim=2).long()
