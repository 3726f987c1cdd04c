"""The drawing of one synthetic chest film: anatomy of a child, exposure of a film, opacities of a pneumonia.

Coordinates are of the body, not of the picture: x from -1 (image left, the patient's right) to 1, y from -1
(neck) to 1 (abdomen), the middle of the chest at (0, 0). Brightness is a sum of attenuations, 0 black to 1 white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Subtype = Literal["normal", "bacteria", "virus"]
Floats = NDArray[np.float32]
Points = NDArray[np.float64]

SUBPIXEL_BITS = 4  # outlines are placed to a sixteenth of a pixel
# one lung, from its apex along the chest wall, over the diaphragm and back along the spine, behind the heart
LUNG_OUTLINE = np.array([
    (0.24, -0.67), (0.42, -0.57), (0.57, -0.32), (0.65, -0.02), (0.685, 0.26), (0.68, 0.44),
    (0.645, 0.475), (0.54, 0.365), (0.36, 0.29), (0.15, 0.37), (0.09, 0.12), (0.085, -0.22), (0.13, -0.53),
])  # fmt: skip
ON_DIAPHRAGM = slice(5, 10)  # the outline points that breathing moves
BODY_OUTLINE = np.array([
    (-0.20, -1.5), (-0.20, -0.95), (-0.50, -0.80), (-1.05, -0.88), (-1.6, -0.95), (-1.6, -0.45), (-1.02, -0.48),
    (-0.82, -0.28), (-0.80, 0.10), (-0.82, 0.60), (-0.86, 1.6),
])  # fmt: skip
CLAVICLE = np.array([(0.06, -0.60), (0.20, -0.655), (0.36, -0.70), (0.52, -0.73), (0.70, -0.81)])
LUNG_DARKNESS = 0.31  # how much darker aerated lung is than the soft tissue around it


@dataclass(frozen=True, kw_only=True)
class Child:
    """What all films of one patient share: habitus, bones, heart, vessels and where a pneumonia sits."""

    chest_scale: tuple[float, float]
    lung_jitter: Points  # (2 lungs, outline points, xy)
    heart: tuple[float, float, float, float, float]  # centre x, y, half axes, tilt in degrees
    mediastinum_width: float
    first_rib: float
    rib_spacing: float
    rib_width: float
    bone: float
    tissue: float
    vessels: Points  # (2 lungs, vessels, points, xy), from the hilum outwards
    focus_side: int
    focus: tuple[float, float]
    focus_radius: float
    focus_shape: NDArray[np.float64]
    severity: float


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What differs from film to film: placement, breath, tube and detector, side marker."""

    rotation_deg: float
    zoom: float
    shift: tuple[float, float]
    breath: float
    contrast: float
    brightness: float
    gamma: float
    noise: float
    heel: tuple[float, float]
    collimation: float
    marker: str
    bubble: tuple[float, float, float]


def draw_child(rng: np.random.Generator) -> Child:
    """Draw a patient's anatomy; nothing in it depends on health."""
    t = np.linspace(0.0, 1.0, 6)
    count = 7
    angle = np.linspace(-1.25, 1.25, count) + rng.normal(0.0, 0.10, (2, count))
    length = rng.uniform(0.28, 0.46, (2, count)) * (1.0 - 0.18 * np.abs(np.sin(angle)))
    bend = rng.normal(0.0, 0.05, (2, count))
    along = length[..., None] * t
    x = 0.15 + along * np.cos(angle)[..., None] + bend[..., None] * t**2
    y = -0.06 + along * np.sin(angle)[..., None] * 1.15 + bend[..., None] * t * (1.0 - t)
    return Child(
        chest_scale=(float(rng.uniform(0.90, 1.12)), float(rng.uniform(0.90, 1.10))),
        lung_jitter=rng.normal(0.0, 0.013, (2, *LUNG_OUTLINE.shape)),
        heart=(
            float(rng.normal(0.12, 0.02)),
            float(rng.normal(0.13, 0.025)),
            float(rng.uniform(0.29, 0.37)),
            float(rng.uniform(0.24, 0.31)),
            float(rng.uniform(28.0, 48.0)),
        ),
        mediastinum_width=float(rng.uniform(0.13, 0.20)),
        first_rib=float(rng.uniform(-0.66, -0.60)),
        rib_spacing=float(rng.uniform(0.125, 0.15)),
        rib_width=float(rng.uniform(0.030, 0.042)),
        bone=float(rng.uniform(0.75, 1.25)),
        tissue=float(rng.uniform(-0.05, 0.05)),
        vessels=np.stack([x, y], axis=-1),
        focus_side=int(rng.integers(2)),
        focus=(float(rng.uniform(0.28, 0.50)), float(rng.choice([-0.36, -0.05, 0.22]) + rng.normal(0.0, 0.03))),
        focus_radius=float(rng.uniform(0.17, 0.27)),
        focus_shape=rng.normal(0.0, 1.0, (2, 4)) * np.array([0.12, 0.09, 0.06, 0.04]),
        severity=float(rng.uniform(0.65, 1.0)),
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw how one film was taken; nothing in it depends on health."""
    return Exposure(
        rotation_deg=float(rng.normal(0.0, 3.0)),
        zoom=float(rng.uniform(1.04, 1.24)),
        shift=(float(rng.normal(0.0, 0.03)), float(rng.normal(0.08, 0.035))),
        breath=float(rng.normal(0.0, 0.025)),
        contrast=float(rng.uniform(0.85, 1.2)),
        brightness=float(rng.normal(0.0, 0.045)),
        gamma=float(rng.uniform(0.88, 1.15)),
        noise=float(rng.uniform(0.005, 0.015)),
        heel=(float(rng.normal(0.0, 0.025)), float(rng.normal(0.0, 0.025))),
        collimation=float(rng.uniform(0.01, 0.06)) if rng.random() < 0.3 else 0.0,
        marker=str(rng.choice(["", "L", "R"], p=[0.4, 0.2, 0.4])),
        bubble=(float(rng.normal(0.36, 0.04)), float(rng.normal(0.60, 0.03)), float(rng.uniform(0.0, 0.13))),
    )


def draw_film(
    child: Child, exposure: Exposure, subtype: Subtype, side_px: int, *, noise_seed: list[int], disease_seed: list[int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one film and its lungs.

    With the same child, exposure and noise a film of pneumonia differs from the normal one inside the lungs only.

    Returns:
        Film (side, side) uint8, and exact lung mask (side, side) bool that includes the lung behind the heart.
    """
    picture = _Picture(side_px, exposure)
    lungs = [_lung_outline(child, exposure, side) for side in (0, 1)]
    canvas = np.zeros((side_px, side_px), dtype=np.uint8)
    for outline in lungs:
        cv2.fillPoly(canvas, [picture.fixed(outline)], 255, cv2.LINE_8, SUBPIXEL_BITS)
    lung = canvas > 0
    # no air outside the mask: half of the blur lies outside, the rest runs from 0 at the edge to 1
    aerated = np.maximum(2.0 * picture.soft(canvas, 0.014) - 1.0, 0.0) * lung

    brightness = _soft_tissue(child, exposure, picture) + _bones(child, picture, aerated)
    darkness = LUNG_DARKNESS * aerated - 0.085 * _vessels(child, picture) * aerated
    opacity = _opacity(child, subtype, picture, np.random.default_rng(disease_seed))
    brightness -= darkness * (1.0 - opacity * lung)

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
    film = np.rint(brightness * 255.0).astype(np.uint8)
    if exposure.marker:
        column = 0.05 if exposure.marker == "R" else 0.88
        corner = (round(column * side_px), round(0.13 * side_px))
        scale = side_px / 320
        cv2.putText(film, exposure.marker, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 245, 1, cv2.LINE_AA)
    return film, lung


class _Picture:
    """Body coordinates to pixels of one film and back."""

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
        """Return body points (N, 2) as fixed-point pixel positions for OpenCV, whose pixel centres are integers."""
        pixels = points @ self._matrix.T + self._offset - 0.5
        return np.rint(pixels * 2**SUBPIXEL_BITS).astype(np.int32)

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


@lru_cache(maxsize=8)
def _closed_spline(points: int, samples: int = 6) -> NDArray[np.float64]:
    """Return the matrix (points * samples, points) of a closed Catmull-Rom curve through control points."""
    t = np.arange(samples) / samples
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    matrix = np.zeros((points, samples, points))
    for start in range(points):
        for offset in range(4):
            matrix[start, :, (start + offset - 1) % points] += weights[:, offset]
    return matrix.reshape(points * samples, points)


def _lung_outline(child: Child, exposure: Exposure, side: int) -> Points:
    """Return the outline of the lung on image left (side 0) or right (side 1)."""
    points = (LUNG_OUTLINE + child.lung_jitter[side]) * np.array(child.chest_scale)
    points[:, 0] = np.maximum(points[:, 0], 0.07)  # never over the spine
    points[ON_DIAPHRAGM, 1] += exposure.breath - (0.025 if side == 0 else 0.0)  # the liver lifts the right one
    smooth = _closed_spline(len(points)) @ points
    return smooth * np.array([-1.0 if side == 0 else 1.0, 1.0])


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
    angle = np.deg2rad(tilt)
    dx, dy = x - heart_x * wide, y - heart_y * tall - 0.4 * exposure.breath
    along = (np.cos(angle) * dx + np.sin(angle) * dy) / (half_width * wide)
    across = (np.cos(angle) * dy - np.sin(angle) * dx) / (half_height * tall)
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


def _step(distance: Floats, width: float) -> Floats:
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

    bacteria: one consolidated lobe or part of it, dense, with blurred edges. virus: patches and fine markings in
    both lungs, more around the hila.
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
        return np.asarray(np.clip(0.85 * severity * solid * same_lung * texture, 0.0, 1.0), dtype=np.float32)
    patches = _step(picture.noise(rng, 11) - 0.1, 1.2)
    fine = _step(picture.noise(rng, 36) - 0.2, 1.0)
    hila = np.exp(-(((np.abs(x) / wide - 0.26) / 0.26) ** 2) - ((y / tall) / 0.42) ** 2)
    spread = (0.35 + 0.65 * hila) * (0.55 * patches + 0.35 * fine + 0.12)
    return np.asarray(np.clip(0.95 * severity * spread, 0.0, 1.0), dtype=np.float32)
