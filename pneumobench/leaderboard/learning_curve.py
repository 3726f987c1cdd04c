"""Area under the curve against the number of training images, with a fitted power law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.metrics.intervals import Interval

LEAST_SIZES: Final = 4  # numbers of images that three parameters are fitted to
DRAWS: Final = 1000  # of the areas, from the law that patients give them
EXPONENTS: Final = np.geomspace(0.05, 3, 400)  # of b: steps of 1 %
LEAST_ERROR: Final = 1e-6  # of an area: what a perfect one weighs


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """1 - AUC = a x (images / all) ^ -b + c, fitted by weighted least squares to one architecture.

    Intervals draw the areas anew from the law that patients give them, together: they say what other patients to be
    tested on would change, and nothing of other trainings.

    Args:
        architecture: its name; controls too.
        images: training images (the validation part among them), mean over folds, (S,) ascending.
        auc: areas, (S,).
        exponent: b.
        exponent_interval: its 95 % interval.
        limit: 1 - c, the area that the law tends to.
        limit_interval: its 95 % interval.
        doubled: area that the law gives for twice the largest number of images.
        doubled_interval: its 95 % interval.
        residual: largest distance of an area from the law.

    Source: Hestness et al. 2017, arXiv:1712.00409 (the law); Figueroa et al. 2012, doi 10.1186/1472-6947-12-8 (its
    weighted fit to learning curves).
    """

    architecture: str
    images: tuple[float, ...]
    auc: tuple[float, ...]
    exponent: float
    exponent_interval: Interval
    limit: float
    limit_interval: Interval
    doubled: float
    doubled_interval: Interval
    residual: float

    @property
    def holds(self) -> bool:
        """Whether no area lies farther from the law than half the width of the interval of `doubled`."""
        return self.residual <= (self.doubled_interval.high - self.doubled_interval.low) / 2

    def area(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the areas that the law gives for numbers of training images."""
        return self.limit - (self.limit - self.doubled) * (images / self.images[-1] / 2) ** -self.exponent


def learning_curves(effects: Sequence[VariantEffect], images: Mapping[str, float]) -> tuple[LearningCurve, ...]:
    """Return the curves of the architectures that are there for every number of images; none for fewer than 4 numbers.

    Args:
        effects: scores under each number of images.
        images: training images of a fold, mean over folds, by the value of the setting.
    """
    if len(images) < LEAST_SIZES:
        return ()
    ordered = sorted(images, key=lambda value: images[value])
    sizes = np.array([images[value] for value in ordered])
    found: dict[str, dict[str, VariantEffect]] = {}
    for effect in effects:
        found.setdefault(effect.architecture, {})[effect.value] = effect
    return tuple(
        _curve(name, sizes, [scores[value] for value in ordered])
        for name, scores in found.items()
        if len(scores) == len(ordered)
    )


def _curve(name: str, sizes: NDArray[np.float64], effects: Sequence[VariantEffect]) -> LearningCurve:
    areas = [effect.area for effect in effects]
    auc = np.array([area.value for area in areas])
    error = np.array([max(area.standard_error, LEAST_ERROR) for area in areas])
    influence = np.stack([area.influence for area in areas])  # (S, P): the tested patients are the same
    covariance = influence @ influence.T * (influence.shape[1] / (influence.shape[1] - 1))
    drawn = np.random.default_rng(0).multivariate_normal(auc, covariance, size=DRAWS, method="eigh")
    relative = sizes / sizes[-1]
    (a, b, c), *others = fitted_law(relative, np.vstack([auc, drawn]), error)
    drawn_a, drawn_b, drawn_c = np.transpose(others)
    return LearningCurve(
        architecture=name,
        images=tuple(float(size) for size in sizes),
        auc=tuple(float(value) for value in auc),
        exponent=float(b),
        exponent_interval=_interval(drawn_b),
        limit=float(1 - c),
        limit_interval=_interval(1 - drawn_c),
        doubled=float(1 - a * 2.0**-b - c),
        doubled_interval=_interval(1 - drawn_a * 2.0**-drawn_b - drawn_c),
        residual=float(np.abs(1 - a * relative**-b - c - auc).max()),
    )


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(low=float(low), high=float(high))


def fitted_law(
    relative: NDArray[np.float64], auc: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a, b and c of 1 - AUC = a x relative ^ -b + c for each of several curves, by weighted least squares.

    For every b of a grid (EXPONENTS) the best a and c that are not negative are known in closed form.

    Args:
        relative: numbers of images relative to the largest, (S,).
        auc: areas, (K, S).
        error: standard error of each area, (S,).

    Returns:
        (K, 3).
    """
    loss, weight = 1 - auc, error**-2  # (K, S), (S,)
    shape = relative[None] ** -EXPONENTS[:, None]  # (B, S)
    total, of_shape, of_squares = weight.sum(), shape @ weight, shape**2 @ weight  # (), (B,), (B,)
    of_loss, of_both = loss @ weight, loss @ (shape * weight).T  # (K,), (K, B)
    alone = of_both / of_squares  # a where c is 0
    determinant = total * of_squares - of_shape**2
    a = (total * of_both - of_loss[:, None] * of_shape) / determinant
    c = (of_loss[:, None] - a * of_shape) / total
    a, c = np.where(c < 0, alone, a), np.where(c < 0, 0, c)
    a, c = np.where(a < 0, 0, a), np.where(a < 0, (of_loss / total)[:, None], c)  # an area that falls with images
    rest = loss[:, None] - a[..., None] * shape - c[..., None]  # (K, B, S)
    best = (rest**2 @ weight).argmin(axis=1)
    rows = np.arange(len(auc))
    return np.column_stack([a[rows, best], EXPONENTS[best], c[rows, best]])
