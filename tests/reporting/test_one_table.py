"""What stands in the table of metrics and in the registry of threshold rules reaches every table, page and file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.external import ExternalScore, external_score
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.leaderboard.scores import fold_model
from pneumobench.metrics.table import CALIBRATION_METRICS, COUNT_METRICS, METRICS
from pneumobench.metrics.thresholds import THRESHOLD_RULES, ThresholdRule
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.external_table import external_table, write_external_table
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.page import leaderboard_page
from pneumobench.reporting.tables import leaderboard_csv, leaderboard_json
from pneumobench.reporting.terminal import print_leaderboard


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


@pytest.fixture(scope="module")
def external(fake_run_template: Path) -> ExternalScore:
    run = RunFolder(fake_run_template)
    record = next(r for r in run.records() if (r.architecture, r.fold) == ("resnet18", 0))
    table = run.predictions(record)
    group = pd.Series(np.arange(table["image_id"].nunique()), index=table["image_id"].unique())
    official = table[table["split"] == "official_test"]
    return external_score("resnet18", [fold_model(0, table)], official, group, group)


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_in_the_files_for_programs(name: str, board: Leaderboard) -> None:
    row = next(csv.DictReader(io.StringIO(leaderboard_csv(board))))
    found = json.loads(leaderboard_json(board))["rows"][0]
    columns = [name, f"official_{name}"]
    if name in COUNT_METRICS:
        columns.append(f"{name}_tuned")
        assert {name} <= set(found["out_of_fold"]["at_half"]) & set(found["points"]["youden"]["out_of_fold"])
    else:
        assert name in found["out_of_fold"]
    if name in CALIBRATION_METRICS:
        columns.append(f"{name}_tempered")
    assert set(columns) <= set(row)
    assert {"mean", "sd"} == set(found["fold_spread"][name])


def test_every_metric_is_on_the_page_and_in_markdown(board: Leaderboard) -> None:
    page, text = leaderboard_page(board, (), command="x"), leaderboard_markdown(board, command="x")
    full = page.split('<table class="sortable full">')[1].split("</table>")[0]
    assert "<caption>Out of fold, threshold 0.5, every metric</caption>" in full
    for metric in METRICS.values():
        assert f">{metric.heading}</button>" in full
        assert f"<dt>{metric.heading}</dt><dd>{metric.meaning}.</dd>" in page
        assert f"- **{metric.heading}**: {metric.meaning}." in text
    section = text[text.index("## Every metric") :]
    head = next(line for line in section.splitlines() if line.startswith("| architecture"))
    assert head == "| architecture | " + " | ".join(metric.heading for metric in METRICS.values()) + " | AUC, pooled |"


def test_every_metric_is_in_the_tables_of_external_data(external: ExternalScore, tmp_path: Path) -> None:
    text = write_external_table(tmp_path, "x", "what", [external], "command").read_text()
    (row,) = csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text()))
    assert set(METRICS) <= set(row)
    assert {f"{name}_tuned" for name in COUNT_METRICS} <= set(row)
    assert row["auc"] == f"{external.auc:.6f}"
    assert row["mcc"] == f"{external.at_half.value('mcc'):.6f}"
    assert all(f" {metric.heading}" in text for metric in METRICS.values())
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(external_table("x", [external]))
    assert "Spec." in console.export_text()


def test_a_new_rule_is_in_every_place(fake_run_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = ThresholdRule(name="fixed", words="always <three quarters>", choose=lambda probability, label: 0.75)
    monkeypatch.setitem(THRESHOLD_RULES, rule.name, rule)
    board = rank_run(fake_run_template)
    found = json.loads(leaderboard_json(board))["rows"][0]["points"]
    assert list(found) == sorted(THRESHOLD_RULES)
    assert found["fixed"]["threshold"] == 0.75
    assert "always &lt;three quarters&gt;" in leaderboard_page(board, (), command="x")
    assert leaderboard_markdown(board, command="x")
    console = Console(width=110, record=True, file=io.StringIO())
    print_leaderboard(board, console)
    assert "resnet18" in console.export_text()
