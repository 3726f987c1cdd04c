"""The figure of a comparison: areas under the curve with their intervals, as SVG, on an axis that opens towards 1."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from pneumobench.leaderboard.learning_curve import LearningCurve
from pneumobench.leaderboard.variant_effect import VariantEffect
from pneumobench.reporting.area_figure import COLOURS, MARKERS, Floats, area_axis, losses_of
from pneumobench.reporting.columns import number
from pneumobench.suite.names import CONTROL_PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN: Final = 7.2
LANE_IN: Final = 0.2


def comparison_figure(
    effects: Sequence[VariantEffect],
    heading: str,
    *,
    images: Mapping[str, float] | None = None,
    curves: Sequence[LearningCurve] = (),
) -> str:
    """Return the figure of a comparison as SVG.

    Args:
        effects: a row for each architecture and value.
        heading: what the values are of.
        images: training images of a fold by value, for a comparison of their numbers: the figure is a curve then, else
            a lane for each row.
        curves: fitted laws, drawn through the curve.
    """
    import matplotlib as mpl  # a third of a second, for this alone
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(effect.architecture for effect in effects))
    height = 4.2 if images else 1.1 + LANE_IN * (len(effects) + len(names))
    # the same figure gives the same bytes; text stays text
    with mpl.rc_context(
        {"svg.hashsalt": "pneumobench", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
    ):
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both" if images else "x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        if images:
            _curves(axes, names, effects, images, curves)
        else:
            _lanes(axes, names, effects, heading)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _losses(effects: Sequence[VariantEffect]) -> Floats:
    """Return 1 - AUC, and that of the low and the high end of its interval, (n, 3)."""
    return losses_of([(one.area.value, one.area_interval.low, one.area_interval.high) for one in effects])


def _curves(
    axes: Axes,
    names: Sequence[str],
    effects: Sequence[VariantEffect],
    images: Mapping[str, float],
    curves: Sequence[LearningCurve],
) -> None:
    laws = {curve.architecture: curve for curve in curves}
    for place, name in enumerate(names):
        own = sorted((one for one in effects if one.architecture == name), key=lambda one: images[one.value])
        x, losses = np.array([images[one.value] for one in own]), _losses(own)
        colour = COLOURS[place % len(COLOURS)]
        marker = MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]  # no pair twice
        control = name.startswith(CONTROL_PREFIX)
        axes.errorbar(
            x, losses[:, 0], yerr=np.abs(losses[:, 1:] - losses[:, :1]).T[::-1], fmt=marker, color=colour,
            markersize=5, markerfacecolor="white" if control else colour, elinewidth=1.2,
            label=name.removeprefix(CONTROL_PREFIX),
        )  # fmt: skip
        if name in laws:
            between = np.geomspace(x.min(), x.max(), 100)
            axes.plot(
                between,
                losses_of(laws[name].area(between)),
                color=colour,
                linewidth=1,
                linestyle="--" if control else "-",
            )
    axes.set_xscale("log")
    sizes = sorted(set(images.values()))
    axes.xaxis.set_ticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.xaxis.set_ticks([], minor=True)
    axes.set_xlabel("training images of a fold, validation part among them" + (" (line: fitted law)" if laws else ""))
    area_axis(axes.yaxis, axes, _losses(effects))
    axes.set_ylabel("AUC within folds [95 %]")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _lanes(axes: Axes, names: Sequence[str], effects: Sequence[VariantEffect], heading: str) -> None:
    values = list(dict.fromkeys(effect.value for effect in effects))
    at, labels, y = [], [], 0.0
    for name in names:
        axes.annotate(
            name.removeprefix(CONTROL_PREFIX), (0, y), xycoords=("axes fraction", "data"), xytext=(-4, 0),
            textcoords="offset points", ha="right", va="center", weight="bold", annotation_clip=False,
        )  # fmt: skip
        y += 1
        for effect in (one for one in effects if one.architecture == name):
            place = values.index(effect.value)
            loss, low, high = _losses([effect])[0]
            colour = COLOURS[place % len(COLOURS)]
            axes.plot([low, high], [y, y], color=colour, linewidth=1.4)
            axes.plot([loss], [y], marker=MARKERS[place % len(MARKERS)], color=colour, markersize=5.5)
            axes.annotate(
                number(effect.area.value, 3), (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", annotation_clip=False,
            )  # fmt: skip
            at.append(y)
            labels.append(effect.value)
            y += 1
    axes.set_yticks(at, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 0.3, -0.7)
    axes.set_title(heading, loc="left", fontsize=9)
    area_axis(axes.xaxis, axes, _losses(effects))
