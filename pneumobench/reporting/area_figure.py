"""What all figures of areas under the ROC curve share: hues, markers, and an axis that opens towards 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Floats: TypeAlias = NDArray[np.float64]

# hues that stay apart for colour-blind readers (Okabe and Ito 2008), without the yellow, which is pale on white
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
TICKS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
LEAST_LOSS: Final = 1e-5  # of an area: where a perfect one is drawn
MARGIN: Final = 1.15  # by which the axis goes on behind the outermost area
AREA_LABEL: Final = "AUC within folds, with its 95 % interval over patients (logarithmic towards 1)"


def losses_of(areas: ArrayLike, *, least: float = LEAST_LOSS) -> Floats:
    """Return 1 - AUC, at least `least`: a perfect area has no place on a logarithmic axis.

    >>> losses_of([0.9, 1.0], least=0.001).round(3).tolist()
    [0.1, 0.001]
    """
    return np.maximum(1 - np.asarray(areas, dtype=np.float64), least)


def area_axis(axis: Axis, axes: Axes, losses: Floats, label: str = AREA_LABEL) -> None:
    """Let an axis of 1 - AUC run logarithmically towards 0, with areas written at it.

    Args:
        axis: the horizontal or the vertical one of `axes`.
        axes: where.
        losses: 1 - AUC of all that is drawn, intervals included.
        label: what stands at the axis.
    """
    low, high = float(losses.min()) / MARGIN, min(float(losses.max()) * MARGIN, 1.0)
    limits, scale = (
        (axes.set_xlim, axes.set_xscale) if axis is axes.xaxis else (axes.set_ylim, axes.set_yscale)
    )  # fmt: skip
    scale("log")
    limits(high, low)
    shown = [area for area in TICKS if low <= 1 - area <= high]
    axis.set_ticks([1 - area for area in shown], [f"{area:g}" for area in shown])
    axis.set_ticks([], minor=True)
    axis.set_label_text(label)
