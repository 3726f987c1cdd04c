from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from pneumobench.errors import DataError, RecordError
from pneumobench.files import sha256_of_file
from pneumobench.records.job_record import JobRecord, write_record
from pneumobench.records.run_folder import RunFolder, write_predictions
from tests.leaderboard.fake_run import FAILED_JOB


def _rewrite(run: RunFolder, table: pd.DataFrame) -> JobRecord:
    """Replace the predictions of resnet18 fold 0, and its record so that the hash fits."""
    record = next(r for r in run.records() if (r.architecture, r.fold) == ("resnet18", 0))
    path = run.predictions_path("resnet18", 0)
    record = dataclasses.replace(record, hashes={**record.hashes, "predictions": write_predictions(path, table)})
    write_record(run.record_path("resnet18", 0), record)
    return record


def test_records_are_sorted_by_architecture_and_fold(run: RunFolder) -> None:
    found = [(record.architecture, record.fold) for record in run.records()]
    assert found == [(name, fold) for name in ("densenet121", "resnet18", "vit_base_patch16_224") for fold in range(5)]
    assert [r.status for r in run.records() if (r.architecture, r.fold) == FAILED_JOB] == ["failed"]


def test_float32_probabilities_come_back_exactly(run: RunFolder) -> None:
    table = run.predictions(run.records()[0])
    probability = np.random.default_rng(0).random(len(table)).astype(np.float32)
    record = _rewrite(run, table.assign(fold=0, logit=logit(probability.astype(np.float64)), probability=probability))
    assert np.array_equal(run.predictions(record)["probability"].to_numpy(np.float32), probability)


def test_a_changed_table_is_refused(run: RunFolder) -> None:
    record = run.records()[0]
    path = run.predictions_path(record.architecture, record.fold)
    path.write_text(path.read_text().replace("e", "E", 1))
    with pytest.raises(RecordError, match=r"predictions\.csv: found SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        run.predictions(record)
    attention = run.attention_path(record.architecture, record.fold)
    attention.write_text(attention.read_text() + "\n")
    with pytest.raises(RecordError, match=r"attention\.csv: found SHA-256"):
        run.attention(record)


def test_a_missing_table_is_refused(run: RunFolder) -> None:
    record = run.records()[0]
    run.predictions_path(record.architecture, record.fold).unlink()
    with pytest.raises(RecordError, match="found no readable file"):
        run.predictions(record)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "train", "another split, expected one of tune, test, official_test"),
        ("label", 2, "another label"),
        ("fold", 1, "rows of another fold, expected fold 0"),
        ("seed", 9, "rows of another seed, expected seed 3"),
        ("probability", 1.5, r"a probability that is not one, expected .* in \[0, 1\]"),
        ("probability", float("nan"), "a probability that is not one"),
        ("logit", float("inf"), "a logit that is not one"),
        ("image_id", "same.png", "'same.png' twice"),
    ],
)
def test_rows_that_cannot_be_of_the_job_are_refused(
    run: RunFolder, column: str, value: str | float, message: str
) -> None:
    record = next(r for r in run.records() if (r.architecture, r.fold) == ("resnet18", 0))
    record = _rewrite(run, run.predictions(record).assign(**{column: value}))
    with pytest.raises(RecordError, match=message):
        run.predictions(record)


def test_other_columns_are_refused(run: RunFolder) -> None:
    path = run.predictions_path("resnet18", 0)
    path.write_text(path.read_text().replace("probability", "score", 1))
    record = next(r for r in run.records() if (r.architecture, r.fold) == ("resnet18", 0))
    record = dataclasses.replace(record, hashes={**record.hashes, "predictions": sha256_of_file(path)})
    with pytest.raises(RecordError, match=r"found the columns .*score, expected exactly image_id"):
        run.predictions(record)


def test_a_degenerate_map_is_nan(run: RunFolder) -> None:
    record = next(r for r in run.records() if (r.architecture, r.fold) == ("resnet18", 0))
    table = run.attention(record)
    assert table["lar"].isna().sum() == 1
    assert table.loc[table["lar"].isna(), "lar_adjusted"].isna().all()
    assert table["lung_area"].notna().all()


def test_a_job_without_attention_has_an_empty_table(run: RunFolder) -> None:
    record = run.records()[0]
    bare = {key: value for key, value in record.hashes.items() if key != "attention"}
    assert run.attention(dataclasses.replace(record, hashes=bare)).empty


def test_a_record_in_the_wrong_folder_is_refused(run: RunFolder) -> None:
    shutil.copytree(run.job_folder("resnet18", 0), run.job_folder("resnet18", 7))
    with pytest.raises(RecordError, match="found the record of resnet18 fold 0, expected resnet18 fold 7"):
        run.records()


def test_a_foreign_folder_is_refused(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(RecordError, match=r"found no index\.csv, expected the folder of a run"):
        RunFolder(tmp_path).index_and_folds()
    text = run.folds_json.read_text()
    run.folds_json.write_text(text.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(DataError, match="changed after it was frozen"):
        run.index_and_folds()


def test_an_architecture_cannot_leave_the_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"architecture name '\.\./other'"):
        RunFolder(tmp_path).job_folder("../other", 0)
