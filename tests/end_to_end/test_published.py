"""The published runs under leaderboard/ are whole, leak no patient, and reproduce their own tables."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumobench.datasets.folds import check_folds, read_folds
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.datasets.table_files import table_bytes, write_table_text
from pneumobench.errors import LeakError, RecordError
from pneumobench.files import sha256_of_file
from pneumobench.records.checksums import CHECKSUMS
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.runs.publishing import publish_run
from pneumobench.runs.verifying import verify
from tests.end_to_end.commands import REPOSITORY

PUBLISHED = sorted(path.parent for path in (REPOSITORY / "leaderboard").glob("*/folds.json.gz"))
COMPARED = sorted(path.parent for path in (REPOSITORY / "leaderboard").glob("*/comparison.json"))
TRIES = REPOSITORY / "leaderboard" / "official-test"
NOT_AGAIN = ("weights of", "confounds/ was")  # nobody can score images again; what rests on images is not computed
KERMANY_CPU = REPOSITORY / "leaderboard" / "kermany-cpu"


def _read(folder: Path) -> tuple[Index, pd.DataFrame]:
    """Return the index and all out-of-fold predictions with a column architecture."""
    run = RunFolder(folder)
    index, _ = run.index_and_folds()
    tables = []
    for record in run.records():
        assert record.completed, f"{record.architecture} fold {record.fold}: {record.reason}"
        table = run.predictions(record)
        tables.append(table[table["split"] == "test"].assign(architecture=record.architecture))
    return index, pd.concat(tables)


def test_something_is_published() -> None:
    assert KERMANY_CPU in PUBLISHED


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_every_training_image_is_scored_exactly_once_out_of_fold(folder: Path) -> None:
    index, predictions = _read(folder)
    expected = sorted(index.table.loc[index.table["split"] == "train", "image_id"])
    for name, table in predictions.groupby("architecture"):
        assert sorted(table["image_id"]) == expected, name
    label = index.table.set_index("image_id")["label"]
    assert (predictions["label"].to_numpy() == label.loc[predictions["image_id"]].to_numpy()).all()


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_no_patient_and_no_content_is_on_two_sides(folder: Path) -> None:
    table = read_index_table(RunFolder(folder).index_csv)
    folds = read_folds(RunFolder(folder).folds_json)
    tested = table["image_id"].map(folds.test_fold)
    inside = table[tested.notna()].assign(fold=tested)
    for column in ("patient", "sha256"):
        assert (inside.groupby(column)["fold"].nunique() == 1).all(), column
        for fold, tune in enumerate(folds.tune):
            kept = inside["image_id"].isin(tune)
            trained = ~kept & (inside["fold"] != fold)
            assert not set(inside.loc[kept, column]) & set(inside.loc[trained, column])
            assert not set(inside.loc[kept, column]) & set(inside.loc[inside["fold"] == fold, column])


@pytest.mark.parametrize("folder", [*PUBLISHED, *COMPARED, TRIES], ids=lambda path: path.name)
def test_a_published_folder_is_what_its_predictions_say(folder: Path) -> None:
    """Every file by its SHA-256, and every table and page computed again, to the byte."""
    found = verify(folder)
    assert "\n".join(map(str, found.differences)) == ""
    assert found.files == sum(path.is_file() for path in folder.rglob("*"))
    assert found.texts >= (4 if folder in PUBLISHED else 2 if folder in COMPARED else 0)
    assert not [note for note in found.notes if "again" in note and not note.startswith(NOT_AGAIN)]


def test_the_first_published_run_is_complete() -> None:
    run = RunFolder(KERMANY_CPU)
    records = [record for record in run.records() if not record.is_control]
    assert len(records) == 35
    assert len(run.records()) == 35 + 4 * 5, "four controls on every fold"
    assert {record.software["dirty"] for record in records} == {"no"}
    assert {record.weights_origin for record in records} == {"random"}
    _, predictions = _read(KERMANY_CPU)
    board = pd.read_csv(KERMANY_CPU / "leaderboard/leaderboard.csv").set_index("architecture")
    for name, table in predictions.groupby("architecture"):
        within = [
            len(part) * float(roc_auc_score(part["label"], part["probability"])) for _, part in table.groupby("fold")
        ]
        assert board["auc"][name] == pytest.approx(sum(within) / len(table), abs=1e-5), name
    assert board["auc"].max() >= 0.99


def test_no_image_is_published() -> None:
    pictures = {".png", ".jpeg", ".jpg", ".dcm", ".npy", ".npz"}
    assert not [path for path in (REPOSITORY / "leaderboard").rglob("*") if path.suffix.lower() in pictures]
    assert "data:image" not in (KERMANY_CPU / "leaderboard/index.html").read_text()


def test_the_leak_check_can_fail_on_a_published_run(tmp_path: Path) -> None:
    table = read_index_table(RunFolder(KERMANY_CPU).index_csv)
    folds = read_folds(RunFolder(KERMANY_CPU).folds_json)
    first = table[table["image_id"].isin(folds.test_fold)]
    one = first.iloc[0]
    other = first[first["image_id"].map(folds.test_fold) != folds.test_fold[one["image_id"]]].index[0]
    table.loc[other, "patient"] = one["patient"]
    index = Index(root=tmp_path, table=table)
    broken = type(folds)(**{**folds.__dict__, "index_hash": index.hash()})
    with pytest.raises(LeakError, match=str(one["patient"])):
        check_folds(index, broken)


def test_a_changed_prediction_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(KERMANY_CPU, copy, ignore=shutil.ignore_patterns("leaderboard"))
    path = RunFolder(copy).predictions_path("resnet18", 0)
    write_table_text(path, table_bytes(path).decode().replace(",0,42,1,", ",0,42,0,", 1))
    with pytest.raises(RecordError, match=r"predictions\.csv\.gz: changed"):
        write_leaderboard(copy)


def test_tables_of_images_are_compressed_and_small() -> None:
    """A clone takes all of them along, equal ones once."""
    files = [path for path in (REPOSITORY / "leaderboard").rglob("*") if path.is_file()]
    plain = [path for path in files if path.suffix == ".csv" and path.stat().st_size > 40_000]
    assert {path.name for path in plain} == {"index.csv"}
    assert sum({sha256_of_file(path): path.stat().st_size for path in files}.values()) < 40_000_000


@pytest.mark.parametrize(
    "folder",
    [pytest.param(path, marks=pytest.mark.long) if path == KERMANY_CPU else path for path in PUBLISHED],
    ids=lambda path: path.name,
)
def test_publishing_a_published_run_again_changes_no_byte_of_its_text(folder: Path, tmp_path: Path) -> None:
    """Of compressed tables the text is compared: another version of zlib may fold it otherwise."""
    publish_run(folder, tmp_path / "copy")
    assert _texts(tmp_path / "copy") == _texts(folder)


def _texts(run: Path) -> dict[str, str]:
    hashes = ("manifest.json", CHECKSUMS)
    paths = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name not in hashes]
    return {path.relative_to(run).as_posix(): hashlib.sha256(table_bytes(path)).hexdigest() for path in paths}
