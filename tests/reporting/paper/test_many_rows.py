"""Figures of many architectures with long names: no text over another, none outside of the figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.reporting.paper.confusions import confusions
from pneumobench.reporting.paper.forest import forest
from pneumobench.reporting.paper.style import MOST_PANELS, PAGE_IN, SMALL_PT, TALLEST_IN, Drawn, LeftOut, paper_style

NAME = "convnextv2_nano.fcmae_ft_in22k_in1k"


@pytest.fixture(scope="module")
def many(board: Leaderboard) -> Leaderboard:
    """Return a leaderboard of 50 networks and two ensembles."""
    network = next(row for row in board.networks if row.state == "complete")
    rows = [
        dataclasses.replace(network, architecture=f"{NAME}_{place}", rank=place + 1, in_top_group=place < 4)
        for place in range(50)
    ]
    others = [row for row in board.rows if row.kind == "ensemble"]
    return dataclasses.replace(board, rows=(*others, *rows))


def shown(figure: Figure) -> Iterator[Text]:
    """Yield the texts that are drawn."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip():
            yield text


def check_texts(figure: Figure) -> int:
    """Check that texts lie in the figure, apart from each other, in no smaller type than journals take."""
    found = list(shown(figure))
    boxes = [text.get_window_extent() for text in found]
    for text, box in zip(found, boxes, strict=True):
        assert float(text.get_fontsize()) >= SMALL_PT, text
        assert box.x0 >= -1 and box.y0 >= -1, text  # noqa: PT018
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text  # noqa: PT018
    for place, box in enumerate(boxes):
        for other in range(place):
            across = min(box.x1, boxes[other].x1) - max(box.x0, boxes[other].x0)
            along = min(box.y1, boxes[other].y1) - max(box.y0, boxes[other].y0)
            assert across < 1 or along < 3, (found[place], found[other])
    return len(found)


def drawn(found: Iterator[Drawn | LeftOut], name: str) -> Drawn:
    return next(one for one in found if isinstance(one, Drawn) and one.name == name)


@pytest.mark.long
def test_a_forest_of_many_networks_is_readable(many: Leaderboard) -> None:
    with paper_style():
        one = drawn(forest(many), "forest")
        assert check_texts(one.figure) > 2 * 52
    width, height = one.figure.get_size_inches()
    assert width == PAGE_IN
    assert height <= TALLEST_IN


@pytest.mark.long
def test_more_panels_than_a_page_holds_are_named(many: Leaderboard) -> None:
    with paper_style():
        found = list(confusions(many))
        assert check_texts(drawn(iter(found), "confusion").figure) > MOST_PANELS
    left_out = next(one for one in found if isinstance(one, LeftOut))
    assert f"{NAME}_49 in the confusion matrices" in left_out.what
    assert left_out.why == "a page holds 42 panels"


def test_the_check_finds_texts_over_each_other() -> None:
    with paper_style():
        figure = Figure(figsize=(2, 1))
        figure.text(0.5, 0.5, "one")
        figure.text(0.52, 0.5, "two")
        with pytest.raises(AssertionError):
            check_texts(figure)
