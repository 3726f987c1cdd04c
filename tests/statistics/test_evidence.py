"""The studies of duplicates and of wrong labels go through, and what is committed is what code and pages rest on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence import epoch_choice, label_noise, near_duplicates, official_test
from benchmark.performance.measuring import markdown_table
from pneumobench.datasets.look_alikes import NEAR_HASH_DISTANCE
from tests.datasets.tiny_sets import write_kermany

HOME = Path(near_duplicates.__file__).parent


def test_the_study_of_near_duplicates_goes_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kermany(tmp_path)
    near_duplicates.main(["--data", str(tmp_path), "--changed", "3"])
    page = capsys.readouterr().out
    assert "`python -m benchmark.evidence.near_duplicates --data DATA --changed 3 --write`" in page
    for change in near_duplicates.CHANGES:
        assert f"| {change} |" in page
    assert re.search(rf"\| \*\*{NEAR_HASH_DISTANCE}\*\* \|", page)


def test_the_distance_is_one_that_no_two_patients_came_near() -> None:
    page = (HOME / "near_duplicates.md").read_text()
    closest = {
        kind: int(value) for kind, value in re.findall(r"\| differing bits of 256 \| (.+?) \| [\d,]+ \| (\d+)", page)
    }
    assert closest["two patients"] >= NEAR_HASH_DISTANCE + 6
    assert closest["two classes"] >= closest["two patients"]
    assert re.search(rf"\| \*\*{NEAR_HASH_DISTANCE}\*\* \| 0 \| 0 \|", page)
    pairs = pd.read_csv(HOME / "near_duplicates_kermany.csv")
    assert f"({len(set(pairs['image_1']) | set(pairs['image_2']))} images" in page
    assert (pairs["kind"] == "same bytes").all(), "none that only looks alike, as the page says"
    assert "Near duplicates beyond these: 0 pairs" in page


def test_flipped_labels_are_counted_by_rule() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(1000) % 2
    label = truth.copy()
    flipped = np.arange(0, 1000, 50) + np.arange(20) % 2
    label[flipped] = 1 - label[flipped]
    tempered = 1 / (1 + np.exp(-(4 * (2 * truth - 1) + rng.normal(size=1000))))
    names = [f"{row:04d}" for row in range(1000)]
    table = pd.DataFrame({"image_id": names, "label": label, "fold": np.arange(1000) // 200, "tempered": tempered})
    rows = {row["rule"]: row for row in label_noise.scored(table, {names[row] for row in flipped})}
    assert set(rows) == set(label_noise.RULES)
    assert all(row["flipped"] == 20 for row in rows.values())
    chosen = rows[label_noise.CHOSEN]
    assert 14 <= chosen["found"] <= chosen["doubted"] <= 20
    assert chosen["first"] == 20
    assert chosen["ap"] == pytest.approx(1)


def test_the_committed_table_says_how_many_are_found() -> None:
    page = (HOME / "label_noise.md").read_text()
    rows = re.findall(
        r"\| (\d) % \((\d+)\) \| \*\*prune by noise rate\*\* \| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", page
    )
    assert [int(row[0]) for row in rows] == [1, 2, 5]
    for _, flipped, doubted, found, precision, recall in rows:
        assert float(precision) == pytest.approx(int(found) / int(doubted), abs=0.01)
        assert float(recall) == pytest.approx(int(found) / int(flipped), abs=0.01)


def test_the_epoch_that_a_rule_keeps_is_chosen_by_the_validation_part() -> None:
    table = pd.DataFrame(
        {
            "epoch": [0, 1, 2] * 2,
            "weights": ["plain"] * 3 + ["mean"] * 3,
            "tune_loss": [0.5, 0.2, 0.3, 0.6, 0.5, 0.4],
            "tune_auc": [0.8, 0.9, 0.95, 0.9, 0.8, 0.7],
            "test_auc": [0.99, 0.7, 0.8, 0.9, 0.85, 0.6],
        }
    )
    kept = {row["rule"]: (row["weights"], row["epoch"]) for row in epoch_choice.chosen(table)}
    assert kept == {
        "lowest tune loss": ("plain", 1),
        "highest tune AUC": ("plain", 2),
        "last epoch": ("plain", 2),
        "moving average, lowest tune loss": ("mean", 2),
        "moving average, highest tune AUC": ("mean", 0),
        "moving average, last epoch": ("mean", 2),
    }


def test_the_table_of_epochs_follows_from_the_committed_trainings() -> None:
    epochs = pd.read_csv(HOME / "epoch_choice.csv")
    jobs = [table for _, table in epochs.groupby(["architecture", "fold"])]
    assert len(jobs) == len(epoch_choice.NETWORKS.split(",")) * 5
    rows = epoch_choice.table_rows(pd.DataFrame([row for table in jobs for row in epoch_choice.chosen(table)]))
    page = (HOME / "epoch_choice.md").read_text()
    for line in markdown_table(rows):
        assert line in page


def test_the_tries_on_the_official_test_folder_are_computed_from_the_published_predictions() -> None:
    runs = official_test.read_runs(official_test.RUNS)
    page = official_test.report(runs)
    assert page == (HOME / "official_test.md").read_text()
    rows = list(official_test.tries(runs))
    single = [row for row in rows if row.command]
    assert len(single) == len({row.run for row in single}), "one network a run"
    assert all(row.command.startswith("pneumobench run kermany-official ") for row in single)
    areas = [float(area) for area in re.findall(r"\| (0\.\d{3}) \[", page)]
    assert len(areas) == len(rows)
    assert areas == sorted(areas, reverse=True)


def test_a_mean_of_tries_is_that_of_all_that_see_the_same() -> None:
    runs = official_test.read_runs(official_test.RUNS)
    rows = list(official_test.tries(runs))
    for mean in (row for row in rows if not row.command):
        members = [
            row for row in rows if row.command and row.sees.split(",")[0] == mean.sees and "region" not in row.sees
        ]
        assert mean.run == f"mean of {len(members)} runs"
        tables = [row.predictions.set_index("image_id")["probability"] for row in members]
        by_hand = pd.concat(tables, axis=1).mean(axis=1).reindex(tables[0].index)
        mixed = mean.predictions.set_index("image_id")["probability"].reindex(tables[0].index)
        pd.testing.assert_series_equal(mixed, by_hand, check_names=False, rtol=1e-12)


def test_a_folder_without_published_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no published run, expected some"):
        official_test.read_runs(tmp_path)
