"""Two rows on the same images, against independent tests where every image is its own patient."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.pairs import comparable, row_pairs
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.estimates import share_estimate
from pneumobench.records.run_folder import RunFolder


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


@pytest.fixture(scope="module")
def group(fake_run_template: Path) -> pd.Series[int]:
    index, _ = RunFolder(fake_run_template).index_and_folds()
    return index.table.set_index("image_id")["group"]


def test_pairs_of_networks_are_those_of_the_leaderboard(board: Leaderboard, group: pd.Series[int]) -> None:
    found = {(pair.first, pair.second): pair.auc for pair in row_pairs(comparable(board.rows), group)}
    for known in board.differences:
        pair = found[(known.better, known.worse)]
        assert (pair.value, pair.low, pair.high, pair.p_value) == pytest.approx(
            (known.difference, known.low, known.high, known.p_value)
        )


def test_accuracy_differs_by_the_images_that_one_gets_right(board: Leaderboard, group: pd.Series[int]) -> None:
    rows = {row.architecture: row for row in comparable(board.rows)}
    for pair in row_pairs(list(rows.values()), group):
        half = [rows[name].out_of_fold for name in (pair.first, pair.second)]
        first, second = (one.at_half.value("accuracy") for one in half if one is not None)
        assert pair.accuracy.value == pytest.approx(first - second)


def test_with_a_patient_an_image_the_test_is_mcnemars() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random((2, 400)) < [[0.9], [0.86]]
    found = share_estimate(first, np.arange(400)).minus(share_estimate(second, np.arange(400)))
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    # McNemar's variance is that under equality, ours around the difference: the statistics agree up to this
    share = (only_first - only_second) / 400
    expected = np.sqrt(((only_first + only_second) / 400 - share**2) / 399)
    assert found.value == pytest.approx(share)
    assert found.standard_error == pytest.approx(expected)


def test_incomplete_rows_are_not_compared(board: Leaderboard) -> None:
    first = board.rows[0]
    assert comparable([dataclasses.replace(first, state="incomplete")]) == []
    assert comparable([dataclasses.replace(first, predictions=first.predictions.assign(label=1))]) == []
