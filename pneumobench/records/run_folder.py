"""Where everything of one run lies on disk, and the readers that check what they read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.datasets.folds import Folds, check_folds, read_folds
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file, write_text
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.suite.names import is_name
from pneumobench.suite.spec import CLASSES

PREDICTION_COLUMNS: Final = ("image_id", "split", "fold", "seed", "label", "logit", "probability")
# of the task `three_class`, behind the others: 0 = normal, 1 = bacterial, 2 = viral, and the softmax over them
CLASS_COLUMNS: Final = ("class_label", *(f"probability_{name}" for name in CLASSES))
ATTENTION_COLUMNS: Final = (
    "image_id",
    "fold",
    "label",
    "method",
    "mask_tier",
    "lung_area",
    "lar",
    "lar_adjusted",
)
SPLITS: Final = ("tune", "test", "official_test")
FLOAT_FORMAT: Final = "%.9g"  # nine digits bring a float32 back exactly
FOLD_PREFIX: Final = "fold-"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `runs/SUITE`: the only place that knows its layout.

    >>> RunFolder(Path("runs/kermany")).predictions_path("resnet18", 2).as_posix()
    'runs/kermany/resnet18/fold-2/predictions.csv'
    """

    path: Path

    @property
    def suite_yaml(self) -> Path:
        """The resolved suite."""
        return self.path / "suite.yaml"

    @property
    def index_csv(self) -> Path:
        """One row an image."""
        return self.path / "index.csv"

    @property
    def folds_json(self) -> Path:
        """The frozen split."""
        return self.path / "folds.json"

    @property
    def audit_json(self) -> Path:
        """What was found in the data before training."""
        return self.path / "audit.json"

    @property
    def environment_json(self) -> Path:
        """Versions and machine of the run."""
        return self.path / "environment.json"

    @property
    def leaderboard(self) -> Path:
        """The folder of the generated tables and page."""
        return self.path / "leaderboard"

    @property
    def external(self) -> Path:
        """One folder for each other source of data that the networks were scored on."""
        return self.path / "external"

    @property
    def gallery(self) -> Path:
        """Pictures over images: mean maps, every error of each network, and single images; never published."""
        return self.path / "gallery"

    def job_folder(self, architecture: str, fold: int) -> Path:
        """The folder of one job.

        Raises:
            RecordError: the architecture's name cannot be a folder's name.
        """
        if not is_name(architecture):
            raise RecordError(
                f"{self.path}: found the architecture name {architecture!r}, expected 1 to 64 of "
                "a-z 0-9 _ . -; give the architecture a plain name in the suite."
            )
        return self.path / architecture / f"{FOLD_PREFIX}{fold}"

    def record_path(self, architecture: str, fold: int) -> Path:
        """The record of one job, written last."""
        return self.job_folder(architecture, fold) / "record.json"

    def predictions_path(self, architecture: str, fold: int) -> Path:
        """One row an image."""
        return self.job_folder(architecture, fold) / "predictions.csv"

    def attention_path(self, architecture: str, fold: int) -> Path:
        """Lung attention, one row an image and method."""
        return self.job_folder(architecture, fold) / "attention.csv"

    def history_path(self, architecture: str, fold: int) -> Path:
        """Training curves, one row an epoch."""
        return self.job_folder(architecture, fold) / "history.csv"

    def weights_path(self, architecture: str, fold: int) -> Path:
        """The weights that made the predictions."""
        return self.job_folder(architecture, fold) / "weights.safetensors"

    def explanations_folder(self, architecture: str, fold: int) -> Path:
        """What was asked of a trained network: explanation.json, reliance.csv and a table for each method."""
        return self.job_folder(architecture, fold) / "explanations"

    def attributions_folder(self, architecture: str, fold: int) -> Path:
        """Heat maps over radiographs and `overlays.json`."""
        return self.job_folder(architecture, fold) / "attributions"

    def jobs(self) -> list[tuple[str, int]]:
        """The (architecture, fold) pairs that left a record, sorted."""
        found = []
        for record in self.path.glob(f"*/{FOLD_PREFIX}*/record.json"):
            number = record.parent.name.removeprefix(FOLD_PREFIX)
            if number.isascii() and number.isdigit():
                found.append((record.parent.parent.name, int(number)))
        return sorted(found)

    def index_and_folds(self) -> tuple[Index, Folds]:
        """Read index.csv and folds.json and check that no patient is on two sides of a fold.

        Raises:
            RecordError: one of the two files is missing: this is not the folder of a run.
            DataError: a file was changed after it was written.
            LeakError: a patient or an image stands on two sides.
        """
        for path in (self.index_csv, self.folds_json):
            if not path.is_file():
                raise RecordError(
                    f"{self.path}: found no {path.name}, expected the folder of a run (suite.yaml, "
                    "index.csv, folds.json, ARCHITECTURE/fold-K/record.json). Give the folder of a run."
                )
        index = Index(root=self.path, table=read_index_table(self.index_csv))
        folds = read_folds(self.folds_json)
        check_folds(index, folds)
        return index, folds

    def records(self) -> list[JobRecord]:
        """Read all records, sorted by architecture and fold.

        Raises:
            RecordError: a record is damaged, or lies in a folder of another job.
        """
        records = []
        for architecture, fold in self.jobs():
            path = self.record_path(architecture, fold)
            record = read_record(path)
            if (record.architecture, record.fold) != (architecture, fold):
                raise RecordError(
                    f"{path}: found the record of {record.architecture} fold {record.fold}, expected "
                    f"{architecture} fold {fold}. Move the folder back or delete it and run the suite again."
                )
            records.append(record)
        return records

    def predictions(self, record: JobRecord) -> pd.DataFrame:
        """Read the predictions of a completed job after comparing their SHA-256 with the record's.

        Returns:
            The columns `PREDICTION_COLUMNS`, for three classes `CLASS_COLUMNS` behind them, one row an image;
            probabilities in [0, 1].

        Raises:
            RecordError: the file is missing or changed, or a row cannot be of this job.
        """
        path = self.predictions_path(record.architecture, record.fold)
        three = (*PREDICTION_COLUMNS, *CLASS_COLUMNS)
        table = read_table(path, PREDICTION_COLUMNS, record.hashes.get("predictions"), or_columns=three)
        _require(path, bool(table["split"].isin(SPLITS).all()), "another split", f"one of {', '.join(SPLITS)}")
        _require(path, bool(table["label"].isin((0, 1)).all()), "another label", "0 (normal) or 1 (pneumonia)")
        _require(path, bool((table["fold"] == record.fold).all()), "rows of another fold", f"fold {record.fold}")
        _require(path, bool((table["seed"] == record.seed).all()), "rows of another seed", f"seed {record.seed}")
        _require_unique(path, table["image_id"])
        if "class_label" in table:
            right = table["class_label"].isin(range(len(CLASSES))) & (
                (table["class_label"] > 0) == (table["label"] == 1)
            )
            _require(
                path, bool(right.all()), "a class that does not fit its label", "0 (normal), or 1 or 2 (pneumonia)"
            )
        shares = [(column, 0.0, 1.0) for column in CLASS_COLUMNS[1:] if column in table]
        for column, low, high in (("probability", 0.0, 1.0), ("logit", -np.inf, np.inf), *shares):
            values = pd.to_numeric(table[column], errors="coerce")
            right = np.isfinite(values) & values.between(low, high)
            _require(
                path,
                bool(right.all()),
                f"a {column} that is not one",
                "finite numbers, probability in [0, 1]",
            )
            table[column] = values.astype(np.float64)
        return table

    def attention(self, record: JobRecord) -> pd.DataFrame:
        """Read the lung attention of a job, empty when it has none; `lar` is NaN for a degenerate map.

        Raises:
            RecordError: the file is missing or changed, or a column is wrong.
        """
        if "attention" not in record.hashes:
            return pd.DataFrame(columns=list(ATTENTION_COLUMNS))
        path = self.attention_path(record.architecture, record.fold)
        table = read_table(path, ATTENTION_COLUMNS, record.hashes["attention"])
        _require(path, bool((table["fold"] == record.fold).all()), "rows of another fold", f"fold {record.fold}")
        _require_unique(path, table["image_id"] + " " + table["method"])
        for column, low in (("lung_area", 0.0), ("lar", 0.0), ("lar_adjusted", -np.inf)):
            given = table[column].astype(str) != ""
            values = pd.to_numeric(table[column].where(given), errors="coerce").astype(np.float64)
            # the lung mask's tolerance: float32 sums may pass 1 by a rounding error
            right = (~given) | (np.isfinite(values) & values.between(low, 1 + 1e-6))
            _require(path, bool(right.all()), f"a {column} that is not one", "numbers up to 1, or an empty cell")
            table[column] = values
        return table


def write_predictions(path: Path, predictions: pd.DataFrame) -> str:
    """Write a job's predictions, whole or not at all, and return the SHA-256 for its record."""
    further = CLASS_COLUMNS if "class_label" in predictions else ()
    return write_table(path, predictions, (*PREDICTION_COLUMNS, *further))


def write_attention(path: Path, attention: pd.DataFrame) -> str:
    """Write a job's lung attention, whole or not at all, and return the SHA-256 for its record."""
    return write_table(path, attention, ATTENTION_COLUMNS)


def write_table(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> str:
    """Write a table, whole or not at all, and return its SHA-256."""
    assert set(table.columns) == set(columns), f"{path.name}: columns {sorted(table.columns)}"
    buffer = io.StringIO()
    table[list(columns)].to_csv(buffer, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    write_text(path, buffer.getvalue())
    return sha256_of_file(path)


def read_table(
    path: Path, columns: tuple[str, ...], sha256: str | None, *, or_columns: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Read a table after comparing its SHA-256 and its columns (or those); empty cells stay empty strings.

    Raises:
        RecordError: the file is missing or changed, or has other columns.
    """
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise RecordError(
            f"{path}: found no readable file ({error.strerror}), expected the table that the record beside "
            "it names. Bring it back or delete the job's folder and run the suite again."
        ) from error
    if found != sha256:
        raise RecordError(
            f"{path}: found SHA-256 {found}, expected {sha256} (record.json beside it): the table was "
            "changed after the job. Bring it back or delete the job's folder and run the suite again."
        )
    texts: dict[str, type[str]] = dict.fromkeys(("image_id", "split", "method", "mask_tier", "blanking"), str)
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_filter=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise RecordError(f"{path}: found no table ({error}), expected the columns {', '.join(columns)}.") from error
    _require(
        path,
        tuple(table.columns) in (columns, or_columns),
        f"the columns {', '.join(map(str, table.columns))}",
        f"exactly {', '.join(columns)}",
    )
    return table


def _require(path: Path, right: bool, found: str, expected: str) -> None:
    if not right:
        raise RecordError(
            f"{path}: found {found}, expected {expected}. Delete the job's folder and run the suite again."
        )


def _require_unique(path: Path, names: pd.Series[str]) -> None:
    twice = names[names.duplicated()]
    if len(twice):
        _require(path, False, f"{twice.iloc[0]!r} twice ({len(twice)} repeated rows)", "every image once")
