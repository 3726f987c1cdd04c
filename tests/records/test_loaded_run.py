from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.datasets.folds import read_folds
from pneumobench.datasets.index import read_index_table
from pneumobench.errors import DataError, LeakError, RecordError
from pneumobench.files import sha256_of_text
from pneumobench.records.job_record import JobRecord, write_record
from pneumobench.records.loaded_run import gather
from pneumobench.records.run_folder import RunFolder, write_attention, write_predictions


def _record(run: RunFolder, architecture: str = "resnet18", fold: int = 0) -> JobRecord:
    return next(r for r in run.records() if (r.architecture, r.fold) == (architecture, fold))


def _replace(run: RunFolder, record: JobRecord, **changes: object) -> None:
    changed = dataclasses.replace(record, **changes)  # type: ignore[arg-type]
    write_record(run.record_path(record.architecture, record.fold), changed)


def _replace_predictions(run: RunFolder, record: JobRecord, table: pd.DataFrame) -> None:
    written = write_predictions(run.predictions_path(record.architecture, record.fold), table)
    _replace(run, record, hashes={**record.hashes, "predictions": written})


def test_everything_is_read(run: RunFolder) -> None:
    found = gather(run.path)
    assert found.architectures == ["densenet121", "resnet18", "vit_base_patch16_224"]
    assert len(found.records) == 15
    assert len(found.predictions) == len(found.attention) == 14
    assert [record.fold for record in found.records_of("densenet121")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("key", ["suite", "index", "folds"])
def test_a_job_of_another_suite_index_or_split_is_refused(run: RunFolder, key: str) -> None:
    record = _record(run)
    other = sha256_of_text("other")
    _replace(run, record, hashes={**record.hashes, key: other})
    with pytest.raises(RecordError, match="records of different suites") as caught:
        gather(run.path)
    assert f"resnet18 fold 0: {key} {other[:12]}, the others {record.hashes[key][:12]}" in str(caught.value)
    assert str(caught.value).count("fold 0") == 1


def test_another_seed_and_another_suite_name_are_refused(run: RunFolder) -> None:
    _replace(run, _record(run), suite="other")
    with pytest.raises(RecordError, match="resnet18 fold 0: suite name other, the others fake"):
        gather(run.path)
    _replace(run, _record(run), suite="fake", seed=4)
    with pytest.raises(RecordError, match="resnet18 fold 0: seed 4, the others 3"):
        gather(run.path)


def test_folds_from_different_weights_are_refused(run: RunFolder) -> None:
    _replace(run, _record(run), weights_origin="timm:resnet18.a1_in1k")
    with pytest.raises(RecordError, match="folds of resnet18 that started from different weights"):
        gather(run.path)


def test_records_of_another_index_file_are_refused(run: RunFolder) -> None:
    text = run.index_csv.read_text()
    run.index_csv.write_text(text.replace(",224,224,", ",225,224,", 1))
    with pytest.raises(DataError, match=r"folds\.json splits other images than index\.csv"):
        gather(run.path)


def test_records_of_another_split_file_are_refused(run: RunFolder) -> None:
    folds = read_folds(run.folds_json)
    dataclasses.replace(folds, seed=99).write(run.folds_json)
    with pytest.raises(RecordError, match=r"found records of folds [0-9a-f]{12}, expected [0-9a-f]{12}"):
        gather(run.path)


def test_a_patient_on_two_sides_is_refused(run: RunFolder) -> None:
    folds = read_folds(run.folds_json)
    table = read_index_table(run.index_csv)
    first = table.loc[table["split"] == "train", "image_id"].iloc[0]
    moved = {**folds.test_fold, first: (folds.test_fold[first] + 1) % folds.count}
    dataclasses.replace(folds, test_fold=moved).write(run.folds_json)
    with pytest.raises(LeakError, match=r"is in .* of fold"):
        gather(run.path)


@pytest.mark.parametrize("split", ["tune", "test", "official_test"])
def test_a_missing_image_is_refused(run: RunFolder, split: str) -> None:
    record = _record(run)
    table = run.predictions(record)
    gone = table.index[table["split"] == split][0]
    image = table.loc[gone, "image_id"]
    _replace_predictions(run, record, table.drop(index=gone))
    with pytest.raises(RecordError, match=f"1 images missing and 0 foreign in split {split}") as caught:
        gather(run.path)
    assert str(image) in str(caught.value)


def test_a_foreign_image_is_refused(run: RunFolder) -> None:
    record = _record(run)
    table = run.predictions(record)
    extra = table[table["split"] == "test"].head(1).assign(image_id="elsewhere.png")
    _replace_predictions(run, record, pd.concat([table, extra]))
    with pytest.raises(RecordError, match=r"0 images missing and 1 foreign in split test \(e\.g\. elsewhere\.png\)"):
        gather(run.path)


def test_a_changed_label_is_refused(run: RunFolder) -> None:
    record = _record(run)
    table = run.predictions(record)
    first = table["image_id"] == table["image_id"].iloc[0]
    changed = table["label"].where(~first, 1 - table["label"])
    _replace_predictions(run, record, table.assign(label=changed))
    with pytest.raises(RecordError, match=r"1 labels \(e\.g\. of .*\) that differ from index\.csv"):
        gather(run.path)


def test_attention_of_an_image_that_was_not_tested_is_refused(run: RunFolder) -> None:
    record = _record(run)
    table = run.attention(record)
    table.loc[0, "image_id"] = "elsewhere.png"
    written = write_attention(run.attention_path("resnet18", 0), table)
    _replace(run, record, hashes={**record.hashes, "attention": written})
    with pytest.raises(RecordError, match=r"1 images \(e\.g\. elsewhere\.png\) outside the test part"):
        gather(run.path)


def test_a_fold_that_the_split_does_not_have_is_refused(run: RunFolder) -> None:
    record = _record(run, "densenet121", 3)
    shutil.rmtree(run.job_folder("densenet121", 3))
    write_record(run.record_path("densenet121", 5), dataclasses.replace(record, fold=5))
    with pytest.raises(RecordError, match="found fold 5, expected 0 to 4"):
        gather(run.path)


def test_a_run_without_records_says_what_to_do(run: RunFolder) -> None:
    for architecture in ("densenet121", "resnet18", "vit_base_patch16_224"):
        shutil.rmtree(run.path / architecture)
    with pytest.raises(RecordError, match=r"found no record of a job.*pneumobench run SUITE"):
        gather(run.path)


def test_a_folder_without_suite_is_refused(run: RunFolder, tmp_path: Path) -> None:
    run.suite_yaml.unlink()
    with pytest.raises(RecordError, match=r"found no suite\.yaml"):
        gather(run.path)
