from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pneumobench.errors import RecordError
from pneumobench.records.job_record import (
    RECORD_BYTES_MAX,
    JobCost,
    JobExplanation,
    JobRecord,
    read_record,
    write_record,
)
from pneumobench.suite.names import is_name

ZERO_HASH = "0" * 64
RECORD = JobRecord(
    status="completed",
    suite="kermany-cpu",
    architecture="resnet18",
    fold=0,
    seed=1,
    weights_origin="random",
    hashes=dict.fromkeys(("suite", "index", "folds", "weights", "predictions", "attention"), ZERO_HASH),
    software={"torch": "2.15.0", "dirty": "no"},
    hardware={"device": "cpu", "threads": 2},
    training={"epochs_run": 3, "best_epoch": None, "stopped_early": False, "seconds": 12.5},
    cost=JobCost(parameters=11, trainable_parameters=11, training_seconds=12.5),
    explanation=JobExplanation(
        method="gradcam",
        layer="layer3",
        layout="NCHW",
        grid=(8, 8),
        mask_tier="drawn",
        images=9,
        degenerate=0,
    ),
    created="2026-01-02T03:04:05+00:00",
)


def test_a_record_comes_back_equal(tmp_path: Path) -> None:
    write_record(tmp_path / "record.json", RECORD)
    assert read_record(tmp_path / "record.json") == RECORD


def test_a_failed_job_comes_back_equal(tmp_path: Path) -> None:
    shared = {key: RECORD.hashes[key] for key in ("suite", "index", "folds")}
    failed = dataclasses.replace(
        RECORD, status="failed", reason="out of memory, batch 32", hashes=shared, cost=None, explanation=None
    )
    write_record(tmp_path / "record.json", failed)
    assert read_record(tmp_path / "record.json") == failed
    assert not failed.completed


def _changed(**changes: Any) -> dict[str, Any]:
    plain = dataclasses.asdict(RECORD)
    for dotted, value in changes.items():
        *groups, leaf = dotted.split("__")
        part = plain
        for group in groups:
            part = part[group]
        if value is KeyError:
            del part[leaf]
        else:
            part[leaf] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (_changed(folds=3), r"unknown key record\.folds, expected did you mean fold"),
        (
            _changed(cost__paramters=3),
            r"unknown key record\.cost\.paramters, expected did you mean parameters",
        ),
        (_changed(seed=KeyError), r"no key record\.seed"),
        (_changed(cost__flops_per_image=KeyError), r"no key record\.cost\.flops_per_image"),
        (_changed(fold="0"), r"record\.fold = '0', expected int"),
        (_changed(fold=True), r"record\.fold = True, expected int"),
        (_changed(fold=-1), r"record\.fold = -1, expected a number that is not negative"),
        (_changed(format=2), r"record\.format = 2, expected format 1"),
        (_changed(status="done"), r"record\.status = 'done', expected one of completed, failed, diverged"),
        (_changed(architecture="../x"), r"record\.architecture = '\.\./x', expected a name: 1 to 64"),
        (_changed(architecture=".."), r"record\.architecture = '\.\.', expected a name: 1 to 64"),
        (_changed(suite="A" * 65), r"record\.suite = 'A+', expected a name: 1 to 64"),
        (_changed(status="failed"), r"status failed with reason None, expected a reason exactly when"),
        (_changed(reason="broke"), r"status completed with reason 'broke'"),
        (_changed(created="yesterday"), r"record\.created = 'yesterday', expected a time in UTC"),
        (_changed(created="2026-01-02T03:04:05"), r"expected a time in UTC"),
        (_changed(hashes__predictions="abc"), r"record\.hashes\.predictions = 'abc', expected a SHA-256"),
        (_changed(hashes__weights=KeyError), r"no key record\.hashes\.weights"),
        (_changed(hashes__image=ZERO_HASH), r"unknown key record\.hashes\.image"),
        (_changed(explanation__grid=[8]), r"record\.explanation\.grid = \[8\], expected \[rows, columns\]"),
        (_changed(software__torch=2), r"record\.software\.torch = 2, expected str"),
        (_changed(training__seconds=[1]), r"record\.training\.seconds = \[1\], expected str or int"),
        (_changed(training__loss=float("nan")), r"the number NaN, expected finite numbers only"),
        (_changed(cost=[]), r"record\.cost of type list, expected an object"),
        ([], r"record of type list, expected an object"),
    ],
)
def test_what_no_writer_wrote_is_refused(tmp_path: Path, plain: Any, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(RecordError, match=message) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "run the suite again" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"fold": 0, "fold": 1}', "the key 'fold' twice"),
        ('{"fold": 1e999}', r"record\.fold = inf"),
        ("{", "text that is not JSON"),
        ("[" * 100_000, "text that is not JSON"),
    ],
)
def test_loose_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "record.json")


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(b"x" * (RECORD_BYTES_MAX + 1))
    with pytest.raises(RecordError, match=r"a file of 1,000,001 bytes, expected a record of at most 1,000,000"):
        read_record(tmp_path / "record.json")


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no readable file"):
        read_record(tmp_path / "record.json")
    (tmp_path / "record.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match="not UTF-8"):
        read_record(tmp_path / "record.json")


def test_a_record_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(RecordError, match=r"record\.training\.loss = nan"):
        write_record(path, dataclasses.replace(RECORD, training={"loss": float("nan")}))
    with pytest.raises(RecordError, match=r"record\.architecture"):
        write_record(path, dataclasses.replace(RECORD, architecture="Res Net"))
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "fine"),
    [("resnet18", True), ("a.b-c_0", True), ("", False), (".", False), ("a/b", False), ("a\n", False)],
)
def test_names(text: str, fine: bool) -> None:
    assert is_name(text) is fine
