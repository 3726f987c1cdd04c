from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import interval_text, number, p_value_text
from pneumobench.reporting.compared import ensemble_words
from pneumobench.reporting.finding import finding
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.page import leaderboard_page
from pneumobench.reporting.tables import leaderboard_csv, leaderboard_json
from pneumobench.reporting.terminal import terminal_table
from pneumobench.reporting.words import (
    data_words,
    leak_notice,
    weights_notice,
    weights_words,
)


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def test_csv_holds_the_scores_with_six_decimals(board: Leaderboard) -> None:
    rows = [row for row in csv.DictReader(io.StringIO(leaderboard_csv(board))) if row["kind"] == "network"]
    assert [row["architecture"] for row in rows] == ["resnet18", "vit_base_patch16_224", "densenet121"]
    first = board.networks[0].out_of_fold
    assert first is not None
    assert rows[0]["auc"] == f"{first.auc:.6f}"
    assert rows[0]["in_top_group"] == "yes"
    assert rows[0]["attention_grid"] == "8x8"
    assert int(rows[0]["tp"]) + int(rows[0]["fn"]) == 78
    assert rows[2]["rank"] == ""
    assert rows[2]["status"] == "4 of 5 folds, failed"
    assert "nan" not in leaderboard_csv(board).lower()


def test_json_is_strict_and_holds_everything(board: Leaderboard) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    data = json.loads(leaderboard_json(board), parse_constant=refuse)
    assert data["format"] == 3
    assert data["suite"] == "fake"
    assert {row["architecture"]: row["kind"] for row in data["rows"]} == {
        "resnet18": "network",
        "vit_base_patch16_224": "network",
        "densenet121": "network",
        "ensemble-mean": "ensemble",
        "ensemble-weighted": "ensemble",
    }
    assert [ensemble["name"] for ensemble in data["ensembles"]] == ["ensemble-mean", "ensemble-weighted"]
    assert sorted(data["rows"][0]["folds"]) == ["0", "1", "2", "3", "4"]
    assert data["rows"][0]["out_of_fold"]["auc_interval"]["low"] < data["rows"][0]["out_of_fold"]["auc"]
    assert data["failures"][0]["architecture"] == "densenet121"
    assert len(data["differences"]) == 1
    assert "predictions" not in data["rows"][0]


def test_numbers_that_do_not_exist_are_null_and_empty(board: Leaderboard) -> None:
    scores = board.rows[0].out_of_fold
    assert scores is not None
    nothing = dataclasses.replace(scores, at_half=Confusion(tp=0, fn=78, fp=0, tn=42))  # nobody is called
    changed = dataclasses.replace(board, rows=(dataclasses.replace(board.rows[0], out_of_fold=nothing),))
    assert json.loads(leaderboard_json(changed))["rows"][0]["out_of_fold"]["at_half"]["precision"] is None
    assert next(csv.DictReader(io.StringIO(leaderboard_csv(changed))))["precision"] == ""
    assert number(float("nan")) == "–"


def test_markdown_says_what_a_reader_needs(board: Leaderboard) -> None:
    text = leaderboard_markdown(board, command="pneumobench run fake.yaml")
    assert text.startswith(f"# Leaderboard: fake\n\n**{finding(board)}.**\n\n- ")
    assert "\n> **Random initialisation: no network here was pretrained" in text.split("##", 1)[0]
    assert "120 images of 40 patients (78 with pneumonia)" in text
    assert "official test folder: 30 images of 10 patients" in text
    assert "```bash\npneumobench run fake.yaml\n```" in text
    head = next(line for line in text.splitlines() if line.startswith("| # |"))
    assert head.index("Recall") < head.index("Specificity") < head.index("F1")
    line = next(line for line in text.splitlines() if line.startswith("| 1 | resnet18 * |"))
    scores = board.networks[0].out_of_fold
    assert scores is not None
    assert f"{scores.auc:.3f} [{scores.auc_interval.low:.3f}, " in line  # type: ignore[union-attr]
    assert line.endswith("| random initialisation | 5 of 5 folds |")
    assert "| – | densenet121 |" in text
    for heading in ("AUC", "Specificity", "LAR adj.", "Peak memory (MiB)"):
        assert f"- **{heading}**: " in text


def test_markdown_tables_have_as_many_cells_as_headings(board: Leaderboard) -> None:
    width = 0
    for line in leaderboard_markdown(board, command="x").splitlines():
        cells = line.replace("\\|", "").count("|")
        if not line.startswith("|"):
            width = 0
            continue
        width = width or cells
        assert cells == width, line


def test_markup_in_a_reason_stays_text(board: Leaderboard) -> None:
    failure = dataclasses.replace(board.failures[0], reason="a | b\n<img src=x> [bold]x[/bold]")
    text = leaderboard_markdown(dataclasses.replace(board, failures=(failure,)), command="x")
    assert "a \\| b &lt;img src=x&gt;" in text
    assert "<img" not in text


def test_terminal_table_fits_and_marks_what_is_missing(board: Leaderboard) -> None:
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(terminal_table(board))
    text = console.export_text()
    assert "resnet18 *" in text
    assert "vit_base_patch16_224" in text
    assert "4 of 5 folds, failed" in text
    assert "Random initialisation" in text
    assert "Spec." in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 110


def test_words_for_weights(board: Leaderboard) -> None:
    assert weights_words("timm:resnet18.a1_in1k") == "pretrained, timm resnet18.a1_in1k"
    pretrained = dataclasses.replace(board.networks[0], weights_origin="timm:resnet18.a1_in1k")
    mixed = dataclasses.replace(board, rows=(pretrained, *board.networks[1:]))
    assert "Random initialisation for vit_base_patch16_224, densenet121; the others were pretrained" in (
        weights_notice(mixed)
    )
    assert weights_notice(dataclasses.replace(board, rows=(pretrained,))).startswith("All networks here started from")
    unfinished = dataclasses.replace(pretrained, weights_origin="none")
    assert weights_notice(dataclasses.replace(board, rows=(unfinished,))) == "No network has finished yet."


def test_numbers_for_people() -> None:
    assert number(-0.5) == "−0.500"
    assert interval_text(Interval(low=0.9, high=1.0)) == "[0.900, 1.000]"
    assert interval_text(None) == ""


def test_what_counts_as_a_patient_is_said(board: Leaderboard) -> None:
    assert "120 images of 40 patients (78 with" in data_words(board)
    likely = dataclasses.replace(board, source="kermany", patient_rule="folder_subtype_number")
    assert "40 patients (counted by folder, subtype and number)" in data_words(likely)
    by_image = dataclasses.replace(board, source="kermany", patient_rule="image", patients_unknown=120)
    assert "5 folds by image; 120 images of patients whose identity is not known: each image counts as one" in (
        data_words(by_image)
    )
    some = dataclasses.replace(board, patients_unknown=7)
    assert "5 folds by patient where known" in data_words(some)
    for uncertain in (by_image, some):
        assert "the patient is not known: each counts as a patient of its own" in leak_notice(uncertain)
        assert "never seen its patient" not in leaderboard_markdown(uncertain, command="x")
        assert json.loads(leaderboard_json(uncertain))["patients_unknown"] in (7, 120)
    assert "patients_unknown" not in leaderboard_json(board)
    unknown = dataclasses.replace(board, source="vindr_pcxr")
    assert "not published: each image counts as one" in data_words(unknown)
    assert "may stand on both sides" in leak_notice(unknown)
    assert "never seen its patient" not in leaderboard_markdown(unknown, command="x")


def test_what_the_weights_of_an_ensemble_were_fitted_on_is_said(board: Leaderboard) -> None:
    assert "the out-of-fold predictions of the other folds" in ensemble_words(board)
    assert "the fold's validation part" in ensemble_words(dataclasses.replace(board, folds=1))


def test_a_p_value_below_the_digits_shown_is_never_a_number(board: Leaderboard) -> None:
    pair = dataclasses.replace(board.differences[0], p_value=3e-9, p_holm=2e-8)
    ensemble = dataclasses.replace(
        board.ensembles[0], against_best=dataclasses.replace(board.ensembles[0].against_best, p_value=1e-16)
    )
    row = dataclasses.replace(board.rows[-1], architecture=pair.worse, kind="control")
    changed = dataclasses.replace(
        board, differences=(pair,), against_control=(pair,), ensembles=(ensemble,), rows=(*board.rows[:2], row)
    )
    page, text = leaderboard_page(changed, (), command="x"), leaderboard_markdown(changed, command="x")
    assert page.count("&lt; 0.0001") == 4  # both p-values of the pair, that against the control, that of the ensemble
    assert text.count("&lt; 0.0001") == 2
    # shares of errors are no p-values
    page = re.sub(r'<section id="uncertainty">.*?</section>', "", page, flags=re.DOTALL)
    text = re.sub(r"## What is left to a reader\n.*?\n## ", "", text, flags=re.DOTALL)
    for shown in (page, text):
        assert not re.search(r"[>|] ?0\.000[01]? ?[<|]", shown)
    data = json.loads(leaderboard_json(changed))
    assert (data["differences"][0]["p_value"], data["differences"][0]["p_holm"]) == (3e-9, 2e-8)
    assert data["ensembles"][0]["against_best"]["p_value"] == 1e-16
    assert p_value_text(0.00012) == "0.0001"
    assert p_value_text(0.0001) == "0.0001"
    assert p_value_text(0.00009999) == "< 0.0001"


def test_the_page_and_the_markdown_say_how_areas_are_compared(board: Leaderboard) -> None:
    page, text = leaderboard_page(board, (), command="x"), leaderboard_markdown(board, command="x")
    for shown in (page, text):
        assert "computed within each fold and averaged, weighted by images" in shown
        assert "paired test by patient, Holm over all pairs" in shown
        assert "nothing is ranked by it" in shown  # the pooled column
        assert "bootstrap" not in shown
    one_model = dataclasses.replace(board, folds=1)
    assert "computed within each fold" not in leaderboard_markdown(one_model, command="x")
