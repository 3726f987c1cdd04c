from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.area_axis import AreaAxis
from pneumobench.reporting.finding import finding, finding_details
from pneumobench.reporting.forest import forest_plot, interval_mark


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def _leader(board: Leaderboard) -> Row:
    return next(row for row in board.networks if row.rank == 1)


def test_the_title_has_the_numbers_of_the_table(board: Leaderboard) -> None:
    leader = _leader(board)
    assert leader.out_of_fold is not None
    assert leader.out_of_fold.auc_interval is not None
    title = finding(board)
    assert title.startswith(f"{leader.architecture} ")
    assert f"{leader.out_of_fold.auc:.3f} [{leader.out_of_fold.auc_interval.low:.3f}, " in title
    controls = [row.out_of_fold.auc for row in board.rows if row.is_control and row.out_of_fold]
    if controls:
        assert f"has {max(controls):.3f}" in title
    else:
        assert title.endswith("no shortcut baseline stands beside it")


def test_one_network_leads_nobody(board: Leaderboard) -> None:
    leader = _leader(board)
    alone = dataclasses.replace(board, rows=(leader,))
    assert finding(alone).startswith(f"{leader.architecture} scores AUC")
    assert not any("paired test by patient" in sentence for sentence in finding_details(alone))


def test_equals_are_named_and_more_than_three_counted(board: Leaderboard) -> None:
    leader = _leader(board)
    others = tuple(
        dataclasses.replace(leader, architecture=f"net{place}", rank=place, in_top_group=True) for place in range(2, 7)
    )
    two = dataclasses.replace(board, rows=(leader, *others[:2]))
    assert "Not told apart from it by a paired test: net2 and net3." in finding_details(two)
    five = dataclasses.replace(board, rows=(leader, *others))
    assert "Not told apart from it by a paired test: 5 networks." in finding_details(five)
    apart = tuple(dataclasses.replace(row, in_top_group=False) for row in others)
    told = finding_details(dataclasses.replace(board, rows=(leader, *apart)))
    assert f"A paired test by patient tells {leader.architecture} apart from every other network." in told


def test_without_a_complete_network_nothing_is_found(board: Leaderboard) -> None:
    rows = tuple(dataclasses.replace(row, rank=None) for row in board.rows)
    none = dataclasses.replace(board, rows=rows)
    assert finding(none) == "No network has completed all folds"
    assert finding_details(none) == ()


@pytest.mark.parametrize(("clears", "words"), [(True, "Its AUC is larger"), (False, "Its AUC is not larger")])
def test_the_baseline_is_cleared_or_not(board: Leaderboard, clears: bool, words: str) -> None:
    leader = dataclasses.replace(_leader(board), clears_controls=clears)
    control = dataclasses.replace(leader, architecture="control-thumbnail", kind="control", rank=None)
    told = finding_details(dataclasses.replace(board, rows=(leader, control)))
    assert f"{words} than that of thumbnail by a paired test." in told


def test_the_plot_has_a_lane_for_every_scored_row_in_the_order_of_the_table(board: Leaderboard) -> None:
    forest = forest_plot(board)
    assert forest is not None
    assert [lane.architecture for lane in forest.lanes] == [row.architecture for row in board.rows if row.out_of_fold]
    for lane in forest.lanes:
        mark = lane.out_of_fold
        assert mark.low is not None
        assert mark.high is not None
        assert 0 <= mark.low <= mark.at <= mark.high <= 100
    assert forest_plot(dataclasses.replace(board, rows=())) is None


def test_an_area_without_an_interval_has_no_whisker() -> None:
    axis = AreaAxis.around([0.9, 0.99])
    assert interval_mark(0.95, None, axis).low is None
    assert interval_mark(0.95, Interval(low=float("nan"), high=float("nan")), axis).interval == ""


def test_the_axis_opens_towards_one_and_holds_a_perfect_area() -> None:
    axis = AreaAxis.around([0.9, 0.99, 1.0, float("nan")])
    places = [axis.at(area) for area in (0.9, 0.99, 0.999, 1.0)]
    assert places == sorted(places)
    assert places[2] - places[1] == pytest.approx(places[1] - places[0], abs=1e-9)
    assert 0 < places[0] < 0.05
    assert 0.95 < places[-1] < 1
    assert AreaAxis.around([]).ticks == (0.5,)
