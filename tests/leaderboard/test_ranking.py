from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.comparison import holm
from pneumobench.records.job_record import read_record, write_record
from pneumobench.records.run_folder import RunFolder, write_predictions
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.page import leaderboard_page
from pneumobench.reporting.tables import leaderboard_json
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import ControlSpec
from tests.leaderboard.fake_run import FAILED_JOB, HOSTILE_REASON


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def _row(board: Leaderboard, architecture: str) -> Row:
    return next(row for row in board.rows if row.architecture == architecture)


def _all_predictions(template: Path, architecture: str) -> pd.DataFrame:
    paths = sorted(template.glob(f"{architecture}/fold-*/predictions.csv"))
    return pd.concat([pd.read_csv(path) for path in paths])


def test_out_of_fold_scores_equal_scikit_learn(board: Leaderboard, fake_run_template: Path) -> None:
    table = _all_predictions(fake_run_template, "vit_base_patch16_224")
    test = table[table["split"] == "test"]
    assert len(test) == test["image_id"].nunique() == 120
    called = test["probability"] >= 0.5
    scores = _row(board, "vit_base_patch16_224").out_of_fold
    assert scores is not None
    assert scores.images == 120
    for name, score in (("auc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score)):
        by_fold = [(len(part), score(part["label"], part["probability"])) for _, part in test.groupby("fold")]
        assert len(by_fold) == 5
        assert scores.value(name) == pytest.approx(sum(images * value for images, value in by_fold) / 120)
    assert scores.auc_pooled == pytest.approx(metrics.roc_auc_score(test["label"], test["probability"]))
    assert scores.value("brier") == pytest.approx(metrics.brier_score_loss(test["label"], test["probability"]))
    assert scores.at_half.value("accuracy") == pytest.approx(metrics.accuracy_score(test["label"], called))
    assert scores.at_half.value("precision") == pytest.approx(metrics.precision_score(test["label"], called))
    assert scores.at_half.value("recall") == pytest.approx(metrics.recall_score(test["label"], called))
    assert scores.at_half.value("specificity") == pytest.approx(
        metrics.recall_score(test["label"], called, pos_label=0)
    )
    assert scores.at_half.value("f1") == pytest.approx(metrics.f1_score(test["label"], called))
    assert scores.at_half.value("mcc") == pytest.approx(metrics.matthews_corrcoef(test["label"], called))
    assert scores.at_half.value("balanced_accuracy") == pytest.approx(
        metrics.balanced_accuracy_score(test["label"], called)
    )
    assert scores.auc_interval is not None
    assert scores.auc_interval.low < scores.auc < scores.auc_interval.high


def test_each_fold_uses_its_own_tune_threshold(board: Leaderboard, fake_run_template: Path) -> None:
    row = _row(board, "vit_base_patch16_224")
    table = _all_predictions(fake_run_template, "vit_base_patch16_224")
    right = 0
    for fold, threshold in row.thresholds.items():
        part = table[(table["fold"] == fold) & (table["split"] == "test")]
        right += int(((part["probability"] >= threshold) == (part["label"] == 1)).sum())
        tune = table[(table["fold"] == fold) & (table["split"] == "tune")]
        false_positive, true_positive, _ = metrics.roc_curve(tune["label"], tune["probability"])
        called = tune["probability"] >= threshold
        youden = called[tune["label"] == 1].mean() - called[tune["label"] == 0].mean()
        assert youden == pytest.approx((true_positive - false_positive).max())
    assert len(set(row.thresholds.values())) > 1
    assert row.out_of_fold is not None
    assert row.out_of_fold.at_tuned.value("accuracy") == pytest.approx(right / 120)


def test_mean_and_deviation_over_folds(board: Leaderboard, fake_run_template: Path) -> None:
    table = _all_predictions(fake_run_template, "resnet18")
    test = table[table["split"] == "test"]
    folds = [metrics.roc_auc_score(part["label"], part["probability"]) for _, part in test.groupby("fold")]
    found = _row(board, "resnet18").fold_spread["auc"]
    assert found.mean == pytest.approx(np.mean(folds))
    assert found.sd == pytest.approx(np.std(folds, ddof=1))


def test_official_test_scores_the_mean_of_the_five_models(board: Leaderboard, fake_run_template: Path) -> None:
    table = _all_predictions(fake_run_template, "vit_base_patch16_224")
    official = table[table["split"] == "official_test"]
    mean = official.groupby("image_id")[["label", "probability"]].mean()
    row = _row(board, "vit_base_patch16_224")
    assert row.official is not None
    assert row.official.images == 30
    assert row.official.auc_pooled is None  # one predictor scored all
    assert row.official.auc == pytest.approx(metrics.roc_auc_score(mean["label"], mean["probability"]))
    single = [metrics.roc_auc_score(part["label"], part["probability"]) for _, part in official.groupby("fold")]
    assert row.official_fold_spread["auc"].mean == pytest.approx(np.mean(single))


def test_temperature_is_fitted_on_tune_and_changes_no_ranking(run: RunFolder) -> None:
    # logits five times too large on every split: tempering must repair most of the Brier score
    for fold in range(5):
        record = next(r for r in run.records() if (r.architecture, r.fold) == ("vit_base_patch16_224", fold))
        table = run.predictions(record)
        table["logit"] *= 5
        table["probability"] = 1 / (1 + np.exp(-table["logit"]))
        written = write_predictions(run.predictions_path(record.architecture, fold), table)
        changed = dataclasses.replace(record, hashes={**record.hashes, "predictions": written})
        write_record(run.record_path(record.architecture, fold), changed)
    scores = _row(rank_run(run.path), "vit_base_patch16_224").out_of_fold
    assert scores is not None
    assert scores.tempered["brier"] < scores.value("brier") - 0.02


def test_a_fold_with_a_scale_of_its_own_moves_no_rank(run: RunFolder) -> None:
    """Logits of the best network are shifted by fold, as trainings do; its pooled area falls behind the other's."""
    before = rank_run(run.path)
    for fold in range(5):
        record = read_record(run.record_path("resnet18", fold))
        table = run.predictions(record)
        table["logit"] += 6.0 * (fold - 2)
        table["probability"] = 1 / (1 + np.exp(-table["logit"]))
        written = write_predictions(run.predictions_path("resnet18", fold), table)
        write_record(
            run.record_path("resnet18", fold),
            dataclasses.replace(record, hashes={**record.hashes, "predictions": written}),
        )
    board = rank_run(run.path)
    first, second = (_row(board, name).out_of_fold for name in ("resnet18", "vit_base_patch16_224"))
    assert first is not None
    assert second is not None
    assert first.auc_pooled is not None
    assert second.auc_pooled is not None
    assert first.auc_pooled < second.auc_pooled
    assert [row.architecture for row in board.networks] == [row.architecture for row in before.networks]
    was = _row(before, "resnet18").out_of_fold
    assert was is not None
    assert first.auc == pytest.approx(was.auc, abs=1e-6)  # predictions are stored with nine digits
    assert board.differences[0].difference == pytest.approx(before.differences[0].difference, abs=1e-6)


def test_order_is_complete_first_then_auc(board: Leaderboard) -> None:
    assert [(row.rank, row.architecture, row.state) for row in board.networks] == [
        (1, "resnet18", "complete"),
        (2, "vit_base_patch16_224", "complete"),
        (None, "densenet121", "incomplete"),
    ]
    aucs = [row.out_of_fold.auc for row in board.networks if row.out_of_fold]
    assert aucs[2] > aucs[1]  # a better score does not lift an incomplete architecture


def test_incomplete_and_failed_are_said(board: Leaderboard) -> None:
    row = _row(board, "densenet121")
    assert row.status == "4 of 5 folds, failed"
    assert sorted(row.folds) == [0, 1, 2, 4]
    assert row.rank is None
    assert not row.in_top_group
    assert [(job.architecture, job.fold, job.status, job.reason) for job in board.failures] == [
        (*FAILED_JOB, "failed", HOSTILE_REASON)
    ]


def test_top_group_leaves_out_what_is_clearly_worse(board: Leaderboard) -> None:
    assert _row(board, "resnet18").in_top_group
    assert not _row(board, "vit_base_patch16_224").in_top_group
    assert len(board.differences) == 1


def test_counts_and_provenance(board: Leaderboard) -> None:
    assert (board.images, board.patients, board.groups) == (120, 40, 40)
    assert (board.official_images, board.official_patients) == (30, 10)
    assert board.folds == 5
    assert board.provenance.software["torch"] == ("2.15.0",)
    assert set(board.provenance.hashes) == {"suite", "index", "folds"}
    assert board.provenance.first_record <= board.provenance.last_record


def test_cost_sums_time_and_takes_the_largest_memory(board: Leaderboard) -> None:
    cost = _row(board, "resnet18").cost
    assert cost is not None
    assert cost.training_seconds == pytest.approx(5 * 60.5 + 0 + 1 + 2 + 3 + 4)
    assert cost.step_seconds == 0.02, "the median over folds: one job on a busy machine does not move it"
    assert cost.peak_memory_mib == 904
    assert cost.inference_images_per_second == pytest.approx(210)


def test_the_memory_of_a_process_and_all_that_it_ran_is_not_shown(run: RunFolder) -> None:
    """Records of earlier versions have the peak of their process, whatever ran in it before."""
    for fold in range(5):
        path = run.record_path("resnet18", fold)
        record = read_record(path)
        kept = {key: value for key, value in record.hashes.items() if key != "initial_weights"}
        write_record(path, dataclasses.replace(record, hashes=kept))
    cost = _row(rank_run(run.path), "resnet18").cost
    assert cost is not None
    assert (cost.peak_memory_mib, cost.parameters) == (None, 11_170_753)


def test_degenerate_maps_are_counted_and_scored_as_chance(board: Leaderboard) -> None:
    (found,) = _row(board, "resnet18").attention
    assert found.degenerate == 1
    assert (found.pneumonia.images, found.pneumonia.degenerate) == (78, 1)
    assert sum(part.images for part in found.by_outcome.values()) == 120
    assert found.pneumonia.chance == pytest.approx(0.45)


def test_an_architecture_that_never_ran_and_one_that_always_failed_are_listed(run: RunFolder) -> None:
    shutil.rmtree(run.path / "vit_base_patch16_224")
    for fold in (0, 1, 2, 4):
        shutil.rmtree(run.job_folder("densenet121", fold))
    board = rank_run(run.path)
    assert [(row.architecture, row.state, row.status) for row in board.rows] == [
        ("resnet18", "complete", "5 of 5 folds"),
        ("densenet121", "failed", "0 of 5 folds, failed"),
        ("vit_base_patch16_224", "not run", "not run"),
    ]
    assert board.rows[1].out_of_fold is None
    assert board.rows[0].in_top_group


def test_twice_gives_the_same(board: Leaderboard, fake_run_template: Path) -> None:
    again = rank_run(fake_run_template)
    for first, second in zip(board.rows, again.rows, strict=True):
        assert first.out_of_fold == second.out_of_fold
        assert first.official == second.official
        assert first.attention == second.attention or any(
            math.isnan(part.lar) for found in first.attention for part in found.by_outcome.values()
        )
    assert board.differences == again.differences


def _add_control(run: RunFolder, separation: float) -> None:
    """Write a control on all folds; the larger the separation the better it scores."""
    suite = load_suite(run.suite_yaml, of_run=True)
    suite = dataclasses.replace(suite, controls=ControlSpec(names=("thumbnail",)))
    write_text(run.suite_yaml, suite.to_yaml())
    for fold in range(5):
        record = read_record(run.record_path("resnet18", fold))
        table = run.predictions(record)
        noise = np.random.default_rng([fold, 77]).normal(size=len(table))
        table["logit"] = separation * (table["label"] - 0.5) + noise
        table["probability"] = 1 / (1 + np.exp(-table["logit"]))
        hashes = {key: record.hashes[key] for key in ("suite", "index", "folds")}
        hashes["predictions"] = write_predictions(run.predictions_path("control-thumbnail", fold), table)
        control = dataclasses.replace(
            record,
            architecture="control-thumbnail",
            weights_origin="control",
            hashes=hashes,
            cost=None,
            explanation=None,
        )
        write_record(run.record_path("control-thumbnail", fold), control)


@pytest.mark.parametrize(("separation", "clears"), [(0.2, [True, True]), (2.0, [True, False]), (9.0, [False, False])])
def test_a_network_has_to_clear_the_best_control(run: RunFolder, separation: float, clears: list[bool]) -> None:
    before = rank_run(run.path)
    _add_control(run, separation)
    board = rank_run(run.path)
    row = {row.architecture: row for row in board.rows}
    control = row["control-thumbnail"]
    assert (control.is_control, control.rank, control.in_top_group, control.clears_controls) == (
        True,
        None,
        False,
        None,
    )
    assert [row[name].clears_controls for name in ("resnet18", "vit_base_patch16_224")] == clears
    assert row["densenet121"].clears_controls is None  # one of its folds is missing
    # ranks, top group and comparisons of networks are what they were without it
    assert [(r.architecture, r.rank, r.in_top_group) for r in board.networks] == [
        (r.architecture, r.rank, r.in_top_group) for r in before.networks
    ]
    assert board.differences == before.differences
    # one test for each complete network and ensemble, corrected among these; not an interval against a point
    assert [pair.better if pair.worse == "control-thumbnail" else pair.worse for pair in board.against_control] == [
        r.architecture for r in board.rows if r.state == "complete" and not r.is_control
    ]
    assert [pair.p_holm for pair in board.against_control] == holm([pair.p_value for pair in board.against_control])
    for pair in board.against_control:
        better = pair.worse == "control-thumbnail"
        name = pair.better if better else pair.worse
        assert row[name].clears_controls == (better and pair.p_holm < 0.05)
    words = leaderboard_markdown(board, command="pneumobench run fake")
    assert ("resnet18 * †" in words) == (not clears[0])
    assert "| control | control-thumbnail |" in words


def test_a_control_that_is_missing_takes_back_that_a_network_clears_all(run: RunFolder) -> None:
    _add_control(run, 0.2)
    suite = load_suite(run.suite_yaml, of_run=True)
    suite = dataclasses.replace(suite, controls=ControlSpec(names=("thumbnail", "majority")))
    write_text(run.suite_yaml, suite.to_yaml())
    board = rank_run(run.path)
    assert {row.clears_controls for row in board.networks} == {None}
    words = "control-majority of fold 0, 1, 2, 3, 4 is missing: whether a network clears the best baseline is not known"
    assert board.missing == (words,)
    assert f"- {words}" in leaderboard_markdown(board, command="pneumobench run fake")
    assert words in leaderboard_json(board)
    assert f"Missing in this run: {words}." in leaderboard_page(board, (), command="pneumobench run fake")


def test_a_network_that_does_not_clear_one_control_keeps_its_mark_where_another_is_missing(run: RunFolder) -> None:
    _add_control(run, 9.0)
    suite = load_suite(run.suite_yaml, of_run=True)
    suite = dataclasses.replace(suite, controls=ControlSpec(names=("thumbnail", "majority")))
    write_text(run.suite_yaml, suite.to_yaml())
    assert _row(rank_run(run.path), "resnet18").clears_controls is False


def test_a_network_whose_interval_lies_above_the_control_may_not_clear_it(run: RunFolder) -> None:
    """An interval takes the control's area for certain; the paired test knows that it is not."""
    _add_control(run, 0.85)
    board = rank_run(run.path)
    control, vit = (_row(board, name) for name in ("control-thumbnail", "vit_base_patch16_224"))
    assert control.out_of_fold is not None
    assert vit.out_of_fold is not None
    assert vit.out_of_fold.auc_interval is not None
    assert vit.out_of_fold.auc_interval.low > control.out_of_fold.auc
    assert vit.clears_controls is False
