"""What a synthetic chest image shows, in numbers: the anatomy of a child and the exposure of an image.

Coordinates are of the body, not of the picture: x from -1 (image left, the patient's right) to 1, y from -1
(neck) to 1 (abdomen), the middle of the chest at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

LOBES = (-0.36, -0.05, 0.22)  # heights of the middles of the upper, middle and lower zone
# one lung, from its apex along the chest wall, over the diaphragm and back along the spine, behind the heart
LUNG_OUTLINE = np.array([
    (0.24, -0.67), (0.42, -0.57), (0.57, -0.32), (0.65, -0.02), (0.685, 0.26), (0.68, 0.44),
    (0.645, 0.475), (0.54, 0.365), (0.36, 0.29), (0.15, 0.37), (0.09, 0.12), (0.085, -0.22), (0.13, -0.53),
])  # fmt: skip
ON_DIAPHRAGM = slice(5, 10)  # the outline points that breathing moves


@dataclass(frozen=True, kw_only=True)
class Child:
    """What all images of one patient share: habitus, bones, heart, vessels and where a pneumonia sits."""

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
    """What differs from image to image: placement, breath, tube and detector, side marker."""

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
        focus=(
            float(rng.uniform(0.28, 0.50)),
            float(rng.choice(LOBES) + rng.normal(0.0, 0.03)),
        ),
        focus_radius=float(rng.uniform(0.20, 0.30)),
        focus_shape=rng.normal(0.0, 1.0, (2, 4)) * np.array([0.12, 0.09, 0.06, 0.04]),
        severity=float(rng.uniform(0.7, 1.0)),
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw how one image was taken; nothing in it depends on health."""
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


@lru_cache(maxsize=8)
def closed_spline(points: int, samples: int = 6) -> NDArray[np.float64]:
    """Return the matrix (points * samples, points) of a closed Catmull-Rom curve through control points."""
    t = np.arange(samples) / samples
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    matrix = np.zeros((points, samples, points))
    for start in range(points):
        for offset in range(4):
            matrix[start, :, (start + offset - 1) % points] += weights[:, offset]
    return np.asarray(matrix.reshape(points * samples, points))


def lung_outline(child: Child, exposure: Exposure, side: int) -> Points:
    """Return the outline of the lung on image left (side 0) or right (side 1)."""
    points = (LUNG_OUTLINE + child.lung_jitter[side]) * np.array(child.chest_scale)
    points[:, 0] = np.maximum(points[:, 0], 0.07)  # never over the spine
    points[ON_DIAPHRAGM, 1] += exposure.breath - (0.025 if side == 0 else 0.0)  # the liver lifts the right one
    smooth = closed_spline(len(points)) @ points
    return np.asarray(smooth * np.array([-1.0 if side == 0 else 1.0, 1.0]))
