"""Simulated reader studies: the ratings of Roe and Metz, with readers who draw the line in different places.

Source: Roe and Metz 1997, Academic Radiology 4, 298-303.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pneumobench.metrics.estimates import PatientEstimate

AREAS: Final = {0.7: (0.0, 0.05), 0.9: (0.0, 0.05), 0.97: (0.0, 0.02)}  # without help: changes by help
NEAR_ONE: Final = 0.97


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Variances of a reading, those of one image and one reader summing to 1.

    Args:
        reader: of readers, and again of readers by help, by AUC without help.
        image: of images, and again of images by help.
        both: of readers by images.
        rest: of everything else.
        criterion: of where readers draw the line between the classes.
    """

    reader: dict[float, float]
    image: float
    both: float
    rest: float
    criterion: float


LOW: Final = dict.fromkeys(AREAS, 0.0055)
HIGH: Final = {0.7: 0.011, 0.9: 0.04, 0.97: 0.056}
# likeness of readings of one image high or low, then spread of readers high or low
STRUCTURES: Final = {
    "HL": Structure(reader=LOW, image=0.3, both=0.2, rest=0.2, criterion=0.01),
    "LL": Structure(reader=LOW, image=0.1, both=0.2, rest=0.6, criterion=0.01),
    "HH": Structure(reader=HIGH, image=0.3, both=0.2, rest=0.2, criterion=0.1),
    "LH": Structure(reader=HIGH, image=0.1, both=0.2, rest=0.6, criterion=0.1),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A simulated study of readings without help (0) and with it (1), and its truth.

    Args:
        rating, called: (2, readers, images); every second image shows pneumonia.
        area, sensitivity: mean of all readers there could be, (2,).
        areas, sensitivities: of these readers with all images there could be, (2, readers).
    """

    rating: NDArray[np.float64]
    called: NDArray[np.bool_]
    area: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    areas: NDArray[np.float64]
    sensitivities: NDArray[np.float64]


def draw(
    structure: Structure, area: float, change: float, readers: int, images: int, rng: np.random.Generator
) -> Study:
    """Draw a study by the model of Roe and Metz, in which mean AUC without help and its change are as asked."""
    spread = structure.reader[area]

    def normal(variance: float, *shape: int) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = np.sqrt(variance) * rng.normal(size=shape)
        return drawn

    areas_wanted = np.array([area, area + change])
    apart = norm.ppf(areas_wanted) * np.sqrt(2 + 4 * spread)  # of the classes, (2,)
    skill = normal(spread, 2, 1, readers) + normal(spread, 2, 2, readers)  # (class, help, readers)
    skill[1] += apart[:, None]
    line = apart[:, None] / 2 + normal(structure.criterion, readers)  # (help, readers)
    label = np.arange(images) % 2
    latent = (
        np.moveaxis(skill[label], 0, -1)
        + normal(structure.image, images)
        + normal(structure.image, 2, 1, images)
        + normal(structure.both, readers, images)
        + normal(structure.rest, 2, readers, images)
    )
    return Study(
        rating=np.round(norm.cdf(latent - line[..., None]), 2),
        called=latent > line[..., None],
        area=areas_wanted,
        sensitivity=norm.cdf(apart / 2 / np.sqrt(1 + 2 * spread + structure.criterion)),
        areas=norm.cdf((skill[1] - skill[0]) / np.sqrt(2)),
        sensitivities=norm.cdf(skill[1] - line),
    )


def area_estimates(rating: NDArray[np.float64]) -> list[list[PatientEstimate]]:
    """Return what `area_estimate` does of ratings (help, readers, images), all at once; every second image is ill."""
    ill, well = rating[..., 1::2, None], rating[..., None, 0::2]
    above = (ill > well) + 0.5 * (ill == well)  # (help, readers, ill, well)
    value = above.mean((-2, -1))
    influence = np.empty(rating.shape)
    influence[..., 1::2] = (above.mean(-1) - value[..., None]) / above.shape[-2]
    influence[..., 0::2] = (above.mean(-2) - value[..., None]) / above.shape[-1]
    return _estimates(value, influence)


def share_estimates(hits: NDArray[np.bool_]) -> list[list[PatientEstimate]]:
    """Return what `share_estimate` does of hits (help, readers, images), all at once."""
    value = hits.mean(-1)
    return _estimates(value, (hits - value[..., None]) / hits.shape[-1])


def _estimates(value: NDArray[np.float64], influence: NDArray[np.float64]) -> list[list[PatientEstimate]]:
    names = np.arange(influence.shape[-1])
    return [
        [
            PatientEstimate(value=float(one), patients=names, influence=of, least_error=0.0)
            for one, of in zip(*part, strict=True)
        ]
        for part in zip(value, influence, strict=True)
    ]
