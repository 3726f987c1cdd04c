"""The page of one architecture: its numbers are those of the leaderboard, and nothing in it can act."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.architecture_page import architecture_pages, page_name
from pneumobench.reporting.leaderboard import write_leaderboard
from tests.reporting.test_page import HOSTILE, _parse


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


@pytest.fixture(scope="module")
def pages(board: Leaderboard, fake_run_template: Path) -> dict[str, str]:
    return architecture_pages(board, RunFolder(fake_run_template))


def _row(board: Leaderboard, name: str = "resnet18") -> Row:
    return next(row for row in board.rows if row.architecture == name)


def _counts(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="counts">(.*?)</script>', page)
    assert found is not None
    counts: dict[str, Any] = json.loads(found[1])
    return counts


def test_every_network_with_a_score_has_a_page(board: Leaderboard, pages: dict[str, str]) -> None:
    assert set(pages) == {page_name(row.architecture) for row in board.networks if row.out_of_fold}


def test_the_slider_counts_as_scikit_learn_does(board: Leaderboard, pages: dict[str, str]) -> None:
    counts, table = _counts(pages["resnet18.html"]), _row(board).predictions
    for at in range(0, len(counts["thresholds"]), 7):
        called = table["probability"] >= counts["thresholds"][at]
        tn, fp, fn, tp = confusion_matrix(table["label"], called, labels=[0, 1]).ravel()
        assert (counts["tp"][at], counts["fp"][at]) == (tp, fp)
        assert (counts["positives"], counts["negatives"]) == (tp + fn, tn + fp)
    assert counts["thresholds"] == sorted(counts["thresholds"])


def test_the_rules_are_marked_where_they_stand(board: Leaderboard, pages: dict[str, str]) -> None:
    counts, row = _counts(pages["resnet18.html"]), _row(board)
    assert counts["thresholds"][counts["marks"]["0.5"]] == 0.5
    chosen = sorted(counts["thresholds"][at] for name, at in counts["marks"].items() if name != "0.5")
    assert chosen == pytest.approx(sorted(point.threshold for point in row.points.values()), rel=1e-5)
    half = row.out_of_fold.at_half if row.out_of_fold else None
    assert half is not None
    at = counts["marks"]["0.5"]
    assert (counts["tp"][at], counts["fp"][at]) == (half.tp, half.fp)


def test_the_worst_errors_come_first(board: Leaderboard, pages: dict[str, str]) -> None:
    table = _row(board).predictions
    missed = table[(table["label"] == 1) & (table["probability"] < 0.5)].sort_values("probability")
    page = pages["resnet18.html"]
    assert f"Missed pneumonia, {len(missed)} in all" in page
    places = [page.index(name) for name in missed["image_id"].head(3)]
    assert places == sorted(places)


def test_curves_of_every_fold_that_has_epochs(run: RunFolder, board: Leaderboard) -> None:
    for fold in (0, 1):
        rows = "".join(
            f"{epoch},0.001,{0.5 - epoch / 10},{0.6 - epoch / 10},{0.8 + epoch / 20},0.8\n" for epoch in range(3)
        )
        path = run.history_path("resnet18", fold)
        path.write_text("epoch,learning_rate,train_loss,tune_loss,tune_auc,tune_accuracy\n" + rows)
    page = architecture_pages(board, run)["resnet18.html"]
    for words in ("training, fold 0", "training, fold 1", "validation, fold 0", "validation, fold 1"):
        assert f"<title>{words}</title>" in page
    ticks = re.findall(
        r'text-anchor="middle">([\d.]+)</text>', page.partition('aria-label="Loss"')[2].partition("</svg>")[0]
    )
    assert ticks == ["1", "2", "3"], "epochs are whole"


def test_nothing_is_loaded_and_hostile_words_stay_words(board: Leaderboard, fake_run_template: Path) -> None:
    rows = tuple(dataclasses.replace(row, plugin=HOSTILE, layer=HOSTILE, status=HOSTILE) for row in board.rows)
    hostile = dataclasses.replace(board, suite=HOSTILE, rows=rows)
    page = architecture_pages(hostile, RunFolder(fake_run_template))["resnet18.html"]
    assert "&lt;script&gt;alert(1)" in page
    found = _parse(page)
    assert "<script>alert" not in page
    assert not any(tag == "img" for tag, _ in found.tags)
    assert [a.get("type") for tag, a in found.tags if tag == "script"] == ["application/json", None]
    loads = [value for _, a in found.tags for key in ("src", "href") if (value := a.get(key)) is not None]
    assert all(value.startswith(("data:", "#", "../index.html", "../side-by-side.html")) for value in loads)
    assert not any(key.startswith("on") or key == "style" for _, attributes in found.tags for key in attributes)


def test_the_leaderboard_links_to_its_pages_and_removes_old_ones(run: RunFolder) -> None:
    folder = run.leaderboard / "architectures"
    folder.mkdir(parents=True)
    (folder / "gone.html").write_text("of a network that the run no longer has")
    page = write_leaderboard(run.path).page.read_text()
    written = {path.name for path in folder.iterdir()}
    assert "gone.html" not in written
    assert written == set(re.findall(r'href="architectures/([^"]+)"', page))
    assert "resnet18.html" in written


def test_a_run_with_one_class_has_no_page(board: Leaderboard, fake_run_template: Path) -> None:
    row = _row(board)
    alone = dataclasses.replace(row, predictions=row.predictions.assign(label=np.int64(1)))
    assert architecture_pages(dataclasses.replace(board, rows=(alone,)), RunFolder(fake_run_template)) == {}
