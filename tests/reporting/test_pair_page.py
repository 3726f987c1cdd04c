"""The page that sets two rows side by side: what stands in it is what the leaderboard has, and nothing can act."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.reporting.pair_page import PAIR_PAGE, STEPS, pair_page
from tests.reporting.test_page import HOSTILE, _parse


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def _facts(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page)
    assert found is not None
    facts: dict[str, Any] = json.loads(found[1])
    return facts


def test_decisions_are_those_of_the_predictions(board: Leaderboard, fake_run_template: Path) -> None:
    page = pair_page(board, RunFolder(fake_run_template))
    assert page is not None
    facts = _facts(page)
    rows = {row.architecture: row for row in board.rows}
    assert len(facts["pairs"]) == len(facts["rows"]) * (len(facts["rows"]) - 1) // 2
    for one in facts["rows"]:
        table = rows[one["name"]].predictions
        shown = np.frombuffer(base64.b64decode(one["probability"]), "<u2")
        assert facts["images"] == table["image_id"].tolist()
        assert facts["pneumonia"] == table["label"].tolist()
        assert ((shown >= STEPS / 2) == (table["probability"] >= 0.5)).all()
        assert np.abs(shown / STEPS - table["probability"]).max() <= 1 / STEPS


def test_hostile_names_stay_words(board: Leaderboard, fake_run_template: Path) -> None:
    rows = tuple(dataclasses.replace(row, architecture=f"{HOSTILE}{n}") for n, row in enumerate(board.rows))
    page = pair_page(dataclasses.replace(board, suite=HOSTILE, rows=rows), RunFolder(fake_run_template))
    assert page is not None
    assert _facts(page)["rows"][0]["name"].startswith(HOSTILE)
    found = _parse(page)
    assert "<script>alert" not in page
    assert [a.get("type") for tag, a in found.tags if tag == "script"] == ["application/json", None]
    assert not any(key.startswith("on") or key == "style" for _, attributes in found.tags for key in attributes)


def test_one_row_has_no_page_and_an_old_one_is_removed(board: Leaderboard, run: RunFolder) -> None:
    alone = dataclasses.replace(board, rows=board.rows[:1])
    assert pair_page(alone, run) is None
    paths = write_leaderboard(run.path)
    assert (paths.page.parent / PAIR_PAGE).is_file()
    assert f'href="{PAIR_PAGE}"' in paths.page.read_text()
