"""What drawn figures of areas under the ROC curve share: hues, markers, and the axis that opens towards 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumobench.reporting.area_axis import LEAST_LOSS, ROOM, TICKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Floats: TypeAlias = NDArray[np.float64]

# hues that stay apart for colour-blind readers (Okabe and Ito 2008), without the yellow, which is pale on white
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
DRAWN_TICKS: Final = (0.2, *TICKS)
AREA_LABEL: Final = "AUC within folds, with its 95 % interval over patients (logarithmic towards 1)"


def losses_of(areas: ArrayLike, *, least: float = LEAST_LOSS) -> Floats:
    """Return 1 - AUC, at least `least`: a perfect area has no place on a logarithmic axis.

    >>> losses_of([0.9, 1.0], least=0.001).round(3).tolist()
    [0.1, 0.001]
    """
    return np.maximum(1 - np.asarray(areas, dtype=np.float64), least)


def least_loss(areas: ArrayLike) -> float:
    """Return where a perfect area is drawn: at half the smallest loss there is, so that it does not stretch the axis.

    Args:
        areas: any number of areas in [0, 1], ends of intervals among them; NaN = there is none.

    >>> least_loss([0.9, 0.98, 1.0]).__round__(4)
    0.01
    """
    losses = 1 - np.asarray(areas, dtype=np.float64).ravel()
    above = losses[losses > LEAST_LOSS]  # not NaN
    return float(above.min()) / 2 if above.size else LEAST_LOSS


def area_axis(
    axis: Axis, axes: Axes, losses: Floats, label: str = AREA_LABEL, *, least: float | None = None, gap: float = 0.0
) -> None:
    """Let an axis of 1 - AUC run logarithmically towards 0, with areas written at it.

    Args:
        axis: the horizontal or the vertical one of `axes`.
        axes: where.
        losses: 1 - AUC of all that is drawn, intervals included.
        label: what stands at the axis.
        least: where perfect areas are drawn, which gets a tick of its own; None = as any other.
        gap: what ticks keep between each other at least, as a share of the axis.
    """
    low, high = float(losses.min()) / ROOM, min(float(losses.max()) * ROOM, 1.0)
    limits, scale = (
        (axes.set_xlim, axes.set_xscale) if axis is axes.xaxis else (axes.set_ylim, axes.set_yscale)
    )  # fmt: skip
    scale("log")
    limits(high, low)
    places = {1 - area: f"{area:g}" for area in DRAWN_TICKS if low <= 1 - area <= high}
    if least is not None and float(losses.min()) <= least:
        places = {place: text for place, text in places.items() if place > least} | {least: "1"}
    span, shown = np.log(high / low), dict[float, str]()
    for place in sorted(places, key=_importance):
        if all(abs(np.log(place / other)) >= gap * span for other in shown):
            shown[place] = places[place]
    at = sorted(shown, reverse=True)
    axis.set_ticks(at, [shown[place] for place in at])
    axis.set_ticks([], minor=True)
    axis.set_label_text(label)


def _importance(loss: float) -> tuple[int, float]:
    """Sort 0.9 and 0.99 before 0.5 and 0.95, these before all others, and within each from 1 down."""
    digits = f"{loss:.0e}"[0]
    return ({"1": 0, "5": 1}.get(digits, 2), loss)
