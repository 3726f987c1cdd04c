"""The drawing of one synthetic chest image, with the opacities of a pneumonia.

Brightness is a sum of attenuations, 0 black to 1 white.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumobench.phantoms.anatomy import Child, Exposure, Points, lung_outline

Subtype = Literal["normal", "bacteria", "virus"]
Floats = NDArray[np.float32]

SUBPIXEL_BITS = 4  # outlines are placed to a sixteenth of a pixel
BODY_OUTLINE = np.array([
    (-0.20, -1.5), (-0.20, -0.95), (-0.50, -0.80), (-1.05, -0.88), (-1.6, -0.95), (-1.6, -0.45),
    (-1.02, -0.48), (-0.82, -0.28), (-0.80, 0.10), (-0.82, 0.60), (-0.86, 1.6),
])  # fmt: skip
CLAVICLE = np.array([(0.06, -0.60), (0.20, -0.655), (0.36, -0.70), (0.52, -0.73), (0.70, -0.81)])
LUNG_DARKNESS = 0.31  # how much darker aerated lung is than the soft tissue around it


def draw_image(
    child: Child,
    exposure: Exposure,
    subtype: Subtype,
    side_px: int,
    *,
    noise_seed: list[int],
    disease_seed: list[int],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one image and its lungs.

    With the same child, exposure and noise an image of pneumonia differs from the normal one only inside the
    lungs.

    Returns:
        Image (side, side) uint8, and exact lung mask (side, side) bool with the lung behind the heart.
    """
    picture = _Picture(side_px, exposure)
    lungs = [lung_outline(child, exposure, side) for side in (0, 1)]
    canvas = np.zeros((side_px, side_px), dtype=np.uint8)
    for outline in lungs:
        cv2.fillPoly(canvas, [picture.fixed(outline)], 255, cv2.LINE_8, SUBPIXEL_BITS)
    lung = canvas > 0
    # no air outside the mask: half of the blur lies outside, the rest runs from 0 at the edge to 1
    aerated = np.maximum(2.0 * picture.soft(canvas, 0.014) - 1.0, 0.0) * lung

    brightness = _soft_tissue(child, exposure, picture) + _bones(child, picture, aerated)
    darkness = LUNG_DARKNESS * aerated - 0.085 * _vessels(child, picture) * aerated
    opacity = _opacity(child, subtype, picture, np.random.default_rng(disease_seed))
    brightness -= darkness * (1.0 - opacity)  # outside the lungs there is no air to replace

    rng = np.random.default_rng(noise_seed)
    grain = rng.standard_normal((side_px, side_px), dtype=np.float32)
    brightness += exposure.noise * (grain + cv2.GaussianBlur(grain, (0, 0), 0.8))
    x, y = picture.x, picture.y
    brightness = 0.46 + exposure.contrast * (brightness - 0.46) + exposure.brightness
    brightness += exposure.heel[0] * x + exposure.heel[1] * y
    brightness = np.clip(brightness, 0.0, 1.0) ** np.float32(exposure.gamma)
    if exposure.collimation:
        edge = round(exposure.collimation * side_px)
        brightness[:, :edge] *= 0.15
        brightness[:, side_px - edge :] *= 0.15
    radiograph = np.rint(brightness * 255.0).astype(np.uint8)
    if exposure.marker:
        column = 0.05 if exposure.marker == "R" else 0.88
        corner = (round(column * side_px), round(0.13 * side_px))
        scale = side_px / 320
        cv2.putText(radiograph, exposure.marker, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 245, 1, cv2.LINE_AA)
    return radiograph, lung


class _Picture:
    """Body coordinates to pixels of one image and back."""

    def __init__(self, side_px: int, exposure: Exposure) -> None:
        self.side_px = side_px
        angle = np.deg2rad(exposure.rotation_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._matrix = turn * exposure.zoom * side_px / 2
        self._offset = (np.array(exposure.shift) + 1.0) * side_px / 2
        centres = np.arange(side_px) + 0.5
        inverse = np.linalg.inv(self._matrix)
        column, row = centres - self._offset[0], centres - self._offset[1]
        self.x: Floats = (inverse[0, 0] * column + inverse[0, 1] * row[:, None]).astype(np.float32)
        self.y: Floats = (inverse[1, 0] * column + inverse[1, 1] * row[:, None]).astype(np.float32)

    def fixed(self, points: Points) -> NDArray[np.int32]:
        """Return body points (N, 2) as fixed-point pixels of OpenCV, whose pixel centres are integers."""
        pixels = points @ self._matrix.T + self._offset - 0.5
        return np.asarray(np.rint(pixels * 2**SUBPIXEL_BITS), dtype=np.int32)

    def soft(self, canvas: NDArray[np.uint8], sigma: float) -> Floats:
        """Return a drawn shape (0 to 255) as 0 to 1 with edges blurred by `sigma` of the side."""
        blurred = cv2.GaussianBlur(canvas, (0, 0), max(sigma * self.side_px, 0.5))
        return np.asarray(blurred, dtype=np.float32) * np.float32(1 / 255)

    def lines(self, canvas: NDArray[np.uint8], curves: list[Points], width: float, level: int) -> None:
        """Draw open curves with a width in body units."""
        thickness = max(round(width * self.side_px / 2), 1)
        fixed = [self.fixed(curve) for curve in curves]
        cv2.polylines(canvas, fixed, False, level, thickness, cv2.LINE_AA, SUBPIXEL_BITS)

    def noise(self, rng: np.random.Generator, cells: int) -> Floats:
        """Return smooth noise of unit variance at its cells, `cells` a side."""
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        smooth = cv2.resize(coarse, (self.side_px, self.side_px), interpolation=cv2.INTER_CUBIC)
        return np.asarray(smooth, dtype=np.float32)


def _soft_tissue(child: Child, exposure: Exposure, picture: _Picture) -> Floats:
    """Return body wall, mediastinum, heart, spine, airway, abdomen and stomach gas."""
    x, y = picture.x, picture.y
    wide, tall = child.chest_scale
    canvas = np.zeros((picture.side_px, picture.side_px), dtype=np.uint8)
    mirrored = BODY_OUTLINE[::-1] * np.array([-1.0, 1.0])
    outline = np.concatenate([BODY_OUTLINE, mirrored]) * np.array([0.25 + 0.75 * wide, 1.0])
    cv2.fillPoly(canvas, [picture.fixed(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    body = picture.soft(canvas, 0.02)
    brightness = 0.03 + body * (0.50 + child.tissue - 0.10 * x**2)

    heart_x, heart_y, half_width, half_height, tilt = child.heart
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    dx, dy = x - heart_x * wide, y - heart_y * tall - 0.4 * exposure.breath
    along = (cos * dx + sin * dy) / (half_width * wide)
    across = (cos * dy - sin * dx) / (half_height * tall)
    heart = _step(1.0 - (along**2 + across**2), 0.16)
    column = _step(child.mediastinum_width * (1.0 - 0.25 * y) - np.abs(x - 0.02), 0.03)
    abdomen = _step(y - 0.36 * tall - exposure.breath, 0.07)
    middle = np.maximum(heart, column * _step(y + 0.75, 0.12))
    brightness += np.maximum(0.18 * middle, (0.15 - 0.06 * np.maximum(y - 0.5, 0.0)) * abdomen) * body
    vertebrae = 1.0 - 0.30 * np.cos(y * np.float32(2 * np.pi / 0.115)) ** 8
    brightness += 0.075 * child.bone * _step(0.085 - np.abs(x), 0.02) * vertebrae * body
    airway = _step(0.036 - np.abs(x + 0.012), 0.012) * _step(-0.34 - y, 0.05) * body
    brightness -= 0.10 * airway
    gas_x, gas_y, gas_radius = exposure.bubble
    if gas_radius > 0.05:
        gas = _step(1.0 - ((x - gas_x) / (1.5 * gas_radius)) ** 2 - ((y - gas_y) / gas_radius) ** 2, 0.45)
        brightness -= 0.11 * gas
    return np.asarray(brightness, dtype=np.float32)


def _step(distance: NDArray[Any], width: float) -> Floats:
    """Return 0 far below zero, 1 far above, with a smooth edge of about `width`."""
    ramp = np.clip(distance * np.float32(0.5 / width) + np.float32(0.5), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), dtype=np.float32)


def _bones(child: Child, picture: _Picture, aerated: Floats) -> Floats:
    """Return ribs, clavicles and upper arms; ribs fade where no air shows them."""
    wide, tall = child.chest_scale
    shape = (picture.side_px, picture.side_px)
    posterior, anterior, girdle = (np.zeros(shape, dtype=np.uint8) for _ in range(3))
    t = np.linspace(0.0, 1.0, 14)
    back, front = [], []
    for rib in range(10):
        y0 = child.first_rib + rib * child.rib_spacing
        wall = float(np.interp(y0, [-0.66, -0.45, -0.15, 0.25, 0.7], [0.34, 0.52, 0.66, 0.73, 0.72]))
        x = 0.06 + (wall - 0.06) * np.sin(t * np.pi / 2)
        y = y0 - 0.05 * np.sin(np.pi * np.minimum(t * 1.5, 1.0)) + (0.10 + 0.015 * rib) * t**2.5
        x_front = wall - (wall - 0.22) * t
        y_front = y0 + 0.10 + 0.015 * rib + (0.12 + 0.012 * rib) * np.sin(t * np.pi / 2)
        for sign in (-1.0, 1.0):
            back.append(np.stack([sign * x * wide, y * tall], axis=1))
            if rib < 7:
                front.append(np.stack([sign * x_front * wide, y_front * tall], axis=1))
    picture.lines(posterior, back, child.rib_width * 1.25, 255)
    picture.lines(posterior, back, child.rib_width * 0.55, 190)  # the cortex is denser than the marrow
    picture.lines(anterior, front, child.rib_width * 1.1, 255)
    for sign in (-1.0, 1.0):
        mirror = np.array([sign * wide, tall])
        picture.lines(girdle, [CLAVICLE * mirror], 0.055, 255)
        arm = np.array([(0.84, -0.72), (1.0, -0.70), (1.5, -0.66)])
        picture.lines(girdle, [arm * np.array([sign * (0.25 + 0.75 * wide), 1.0])], 0.13, 220)
    seen = 0.30 + 0.70 * aerated
    ribs = (0.105 * picture.soft(posterior, 0.003) + 0.035 * picture.soft(anterior, 0.006)) * seen
    return np.asarray(child.bone * (ribs + 0.12 * picture.soft(girdle, 0.004)), dtype=np.float32)


def _vessels(child: Child, picture: _Picture) -> Floats:
    """Return the branching lung vessels, wide at the hilum; healthy lungs have them too."""
    canvas = np.zeros((picture.side_px, picture.side_px), dtype=np.uint8)
    scale = np.array(child.chest_scale)
    for side, sign in ((0, -1.0), (1, 1.0)):
        curves = list(child.vessels[side] * scale * np.array([sign, 1.0]))
        picture.lines(canvas, curves, 0.012, 150)
        picture.lines(canvas, [curve[:3] for curve in curves], 0.026, 255)
    return picture.soft(canvas, 0.008)


def _opacity(child: Child, subtype: Subtype, picture: _Picture, rng: np.random.Generator) -> Floats:
    """Return how much of the air is replaced, 0 to 1, over the whole picture; the caller keeps the lungs.

    bacteria: one consolidated lobe or part of it, dense, with blurred edges. virus: patches and fine markings
    in both lungs, more around the hila.
    """
    x, y = picture.x, picture.y
    wide, tall = child.chest_scale
    severity = child.severity * float(rng.uniform(0.8, 1.05))
    if subtype == "normal":
        return np.zeros_like(x)
    if subtype == "bacteria":
        sign = -1.0 if child.focus_side == 0 else 1.0
        centre_x = sign * child.focus[0] * wide + float(rng.normal(0.0, 0.015))
        centre_y = child.focus[1] * tall + float(rng.normal(0.0, 0.015))
        dx, dy = x - centre_x, (y - centre_y) / 1.1
        direction = np.arctan2(dy, dx)
        radius = np.full_like(x, child.focus_radius * float(rng.uniform(0.9, 1.15)))
        for wave, (cosine, sine) in enumerate(child.focus_shape.T, start=1):
            radius *= 1.0 + np.float32(cosine) * np.cos(wave * direction) + np.float32(sine) * np.sin(wave * direction)
        solid = _step(radius - np.hypot(dx, dy), 0.05)
        same_lung = _step(sign * x - 0.02, 0.03)
        texture = 1.0 + 0.10 * picture.noise(rng, 16)
        return np.asarray(np.clip(0.95 * severity * solid * same_lung * texture, 0.0, 1.0), dtype=np.float32)
    patches = _step(picture.noise(rng, 11) - 0.1, 1.2)
    fine = _step(picture.noise(rng, 36) - 0.2, 1.0)
    hila = np.exp(-(((np.abs(x) / wide - 0.26) / 0.26) ** 2) - ((y / tall) / 0.42) ** 2)
    spread = (0.35 + 0.65 * hila) * (0.55 * patches + 0.35 * fine + 0.12)
    return np.asarray(np.clip(0.95 * severity * spread, 0.0, 1.0), dtype=np.float32)
