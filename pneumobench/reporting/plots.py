"""Curves over two axes: from numbers to the coordinates that figures.html.j2 draws as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH: Final = 300.0
HEIGHT: Final = 240.0
COLOURS: Final = 7  # Okabe-Ito hues in page.css that stay apart for colour-blind readers


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis: where, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve: `points` is an SVG point list, `look` the classes of its stroke, `value` a number beside its name."""

    name: str
    points: str
    look: str
    value: str = ""
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Label:
    """Words inside a plot, at a place of it."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Curves and a band over two axes, the first curve on top.

    Args:
        title: what it shows.
        x_label, y_label: what stands at the axes.
        x_ticks, y_ticks: marks on them.
        lines: curves.
        labels: words inside.
        band: SVG point list of the area between two curves; empty where there is none.
        diagonal: SVG point list of a dashed guide; empty where there is none.
        clip: identifier, unique on the page, of the frame that curves are cut at; empty = they stay inside.
        width, height: of the frame.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...] = ()
    band: str = ""
    diagonal: str = ""
    clip: str = ""
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Two linear axes, each from its lower to its upper end; `cut` = a number outside stands at the end."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = WIDTH
    height: float = HEIGHT
    cut: bool = True

    def points(self, x: Floats, y: Floats) -> str:
        """Return `x,y x,y ...` without points that lie on a straight step between their neighbours."""
        kept: list[tuple[float, float]] = []
        for place in self.places(x, y):
            if kept and kept[-1] == place:
                continue
            if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == place[axis] for axis in (0, 1)):
                kept[-1] = place
            else:
                kept.append(place)
        return " ".join(f"{a:g},{b:g}" for a, b in kept)

    def places(self, x: Floats, y: Floats) -> list[tuple[float, float]]:
        """Return where each pair of numbers stands, from the upper left corner."""
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        if self.cut:
            across, up = np.clip(across, 0, 1), np.clip(up, 0, 1)
        places = np.round(across * self.width, 1).tolist(), np.round((1 - up) * self.height, 1).tolist()
        return list(zip(*places, strict=True))

    def x_tick(self, value: float, text: str) -> Tick:
        """Return a mark on the horizontal axis."""
        return Tick(at=self.places(np.array([value]), np.array([self.y[0]]))[0][0], text=text)

    def y_tick(self, value: float, text: str) -> Tick:
        """Return a mark on the vertical axis."""
        return Tick(at=self.places(np.array([self.x[0]]), np.array([value]))[0][1], text=text)

    def x_ticks(self) -> tuple[Tick, ...]:
        """Return marks at about five round numbers."""
        return tuple(self.x_tick(value, f"{value:g}") for value in round_steps(*self.x))

    def y_ticks(self) -> tuple[Tick, ...]:
        """Return marks at about five round numbers."""
        return tuple(self.y_tick(value, f"{value:g}") for value in round_steps(*self.y))


def look(series: int) -> str:
    """Return the classes of the stroke of one of many curves: hue, then dash.

    >>> look(1), look(8)
    ('c1 d0', 'c1 d1')
    """
    return f"c{series % COLOURS} d{series // COLOURS % 3}"


def round_steps(low: float, high: float) -> list[float]:
    """Return about five round numbers from one end to the other; whole ones where the axis counts.

    >>> round_steps(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = max((high - low) / 5, 1.0 if low >= 1 else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [
        round(step * number, 10) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]
