from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.reporting.cost_figure import cost_plots, pareto_front


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_holds_those_that_no_other_beats(networks: list[tuple[int, int]]) -> None:
    costs, scores = ([float(value) for value in part] for part in zip(*networks, strict=True))
    front = pareto_front(costs, scores)
    for place, (cost, score) in enumerate(networks):
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in networks)
        if place in front:
            assert not beaten
        elif not beaten:
            assert (cost, score) in [networks[other] for other in front], "one of equals stands for all"


def test_every_complete_network_is_a_point_and_names_do_not_overlap(board: Leaderboard) -> None:
    plots = cost_plots(board)
    assert plots
    names = {row.architecture for row in board.networks if row.state == "complete"}
    for plot in plots:
        dots = [line for line in plot.lines if line.dots]
        assert {line.name for line in dots} == names
        for first, second in pairwise(plot.labels):
            assert (first.x, first.y) != (second.x, second.y)
        for label in plot.labels:
            assert 0 <= label.x <= plot.width + 14
