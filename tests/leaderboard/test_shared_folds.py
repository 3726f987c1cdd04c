"""Folds that were asked for alone are ranked, and said: a table of two of five folds is no table of five."""

from __future__ import annotations

import json
import shutil

import pytest

from pneumobench.cli.main import main
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.finding import finding
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.reporting.tables import leaderboard_json


def _left(run: RunFolder, folds: dict[str, set[int]]) -> Leaderboard:
    """Rank the run with only these folds of its networks."""
    for record in run.records():
        if record.fold not in folds[record.architecture]:
            shutil.rmtree(run.path / record.architecture / f"fold-{record.fold}")
    return rank_run(run.path)


def test_networks_are_ranked_on_the_folds_that_all_have(run: RunFolder) -> None:
    five = {row.architecture: row for row in rank_run(run.path).rows}
    board = _left(run, {"resnet18": {0, 1, 3}, "vit_base_patch16_224": {0, 1}, "densenet121": {0, 1, 2}})
    assert board.ranked_folds == (0, 1)
    ranked = {row.architecture: row for row in board.networks}
    assert sorted(row.rank or 0 for row in ranked.values()) == [1, 2, 3]
    for name, row in ranked.items():
        assert row.state == "complete"
        assert row.status == "2 of 5 folds"
        assert set(row.folds) == {0, 1}
        assert row.out_of_fold is not None
        assert row.folds[0] == five[name].folds[0]
        assert row.out_of_fold.images == board.images == sum(scores.images for scores in row.folds.values())
    assert {row.kind for row in board.rows} == {"network", "ensemble"}
    assert len(board.differences) == 3
    assert finding(board).count("on folds 0 and 1 of 5") == 1
    assert json.loads(leaderboard_json(board))["ranked_folds"] == [0, 1]


def test_tables_and_page_say_which_folds_they_are_of(run: RunFolder) -> None:
    _left(run, {"resnet18": {2}, "vit_base_patch16_224": {2}, "densenet121": set()})
    paths = write_leaderboard(run.path)
    for path in (paths.page, paths.readme):
        text = path.read_text()
        assert "5 folds by patient, here fold 2 of 5" in text
        assert "The mean probability of the 5 folds" not in text
    assert paths.board.models == 1


def test_as_soon_as_one_network_has_all_the_others_are_incomplete(run: RunFolder) -> None:
    board = _left(run, {"resnet18": set(range(5)), "vit_base_patch16_224": {0, 1}, "densenet121": {0}})
    assert board.ranked_folds == ()
    assert [row.architecture for row in board.networks if row.rank] == ["resnet18"]
    assert "ranked_folds" not in json.loads(leaderboard_json(board))


def test_networks_without_a_common_fold_are_not_ranked(run: RunFolder) -> None:
    board = _left(run, {"resnet18": {0, 1}, "vit_base_patch16_224": {2, 3}, "densenet121": set()})
    assert board.ranked_folds == ()
    assert [row.rank for row in board.networks if row.rank] == []
    assert finding(board) == "No network has completed all folds"


def test_a_part_of_a_run_is_not_submitted(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    _left(run, {"resnet18": {0, 1}, "vit_base_patch16_224": {0, 1}, "densenet121": {0, 1}})
    assert main(["submit", str(run.path)]) == 2
    assert "has completed all folds" in " ".join(capsys.readouterr().err.split())
