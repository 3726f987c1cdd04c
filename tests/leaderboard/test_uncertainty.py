"""What is left to a reader: the share that is decided, the errors among it, and what folds do not agree on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.leaderboard.scores import fold_model
from pneumobench.leaderboard.uncertainty import uncertainty_on_official, uncertainty_out_of_fold
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.tables import leaderboard_csv


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def _row(board: Leaderboard) -> Row:
    return next(row for row in board.rows if row.architecture == "resnet18")


def _predictions(split: str, logits: list[float], labels: list[int], prefix: str) -> pd.DataFrame:
    logit = np.array(logits)
    return pd.DataFrame(
        {
            "image_id": [f"{prefix}{number}" for number in range(len(logits))],
            "split": split,
            "label": labels,
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
        }
    )


def _fold(shift: float, prefix: str) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    tune_labels = [0, 1] * 50
    tune = [2 * label - 1 + noise for label, noise in zip(tune_labels, rng.normal(0, 1, 100), strict=True)]
    return pd.concat(
        [
            _predictions("tune", tune, tune_labels, f"{prefix}t"),
            _predictions("test", [-9.0, 9.0, 0.01, 9.0], [0, 1, 0, 0], prefix),
            _predictions("official_test", [9.0, -9.0, shift], [1, 0, 1], "o"),
        ]
    )


def test_unsure_images_are_left_out_and_sure_errors_stay() -> None:
    models = [fold_model(fold, _fold(shift, f"f{fold}-")) for fold, shift in enumerate((2.0, -2.0))]
    found = uncertainty_out_of_fold(models)
    for name, decided in found.decided.items():
        assert decided.share == pytest.approx(3 / 4), name
        assert decided.errors == pytest.approx(1 / 3), "one of three sure images is wrong"
        assert decided.errors_of_others == 1.0
        assert decided.confidence > 0.5
    assert found.decided["0.8"].confidence > found.decided["0.95"].confidence
    assert found.split_decisions is None


def test_models_that_do_not_agree_are_counted() -> None:
    models = [fold_model(fold, _fold(shift, f"f{fold}-")) for fold, shift in enumerate((2.0, -2.0))]
    found = uncertainty_on_official(models)
    assert found.split_decisions == pytest.approx(1 / 3)
    assert uncertainty_on_official(models[:1]).split_decisions is None


def test_the_board_has_what_an_independent_count_finds(board: Leaderboard, fake_run_template: Path) -> None:
    row = _row(board)
    assert row.uncertainty is not None
    tempered, label = row.predictions["tempered"].to_numpy(), row.predictions["label"].to_numpy()
    bits = [-sum(p * np.log2(p) for p in (one, 1 - one) if p) for one in tempered]
    assert row.uncertainty.entropy == pytest.approx(np.mean(bits))
    order = np.argsort(-np.maximum(tempered, 1 - tempered), kind="stable")
    wrong = ((tempered >= 0.5) != label)[order]
    area = np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))
    assert row.uncertainty.risk_area == pytest.approx(area, abs=2e-3)


def test_every_file_of_the_leaderboard_shows_it(board: Leaderboard) -> None:
    row = _row(board)
    assert row.uncertainty is not None
    text = leaderboard_markdown(board, command="pneumobench run x")
    assert "## What is left to a reader" in text
    heads, *lines = leaderboard_csv(board).splitlines()
    cells = dict(zip(heads.split(","), next(line for line in lines if ",resnet18," in line).split(","), strict=True))
    assert float(cells["risk_area"]) == pytest.approx(row.uncertainty.risk_area, abs=1e-6)
    assert float(cells["decided_90"]) == pytest.approx(row.uncertainty.decided["0.9"].share, abs=1e-6)
