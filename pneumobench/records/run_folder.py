"""Where everything of one run lies on disk, and the readers that check what they read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from pneumobench.datasets.folds import Folds, check_folds, read_folds
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.datasets.table_files import table_path
from pneumobench.errors import RecordError
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.tables import read_table, require, require_unique, write_table
from pneumobench.suite.names import is_name
from pneumobench.suite.spec import CLASSES

PREDICTION_COLUMNS: Final = ("image_id", "split", "fold", "seed", "label", "logit", "probability")
# of the task `three_class`, behind the others: 0 = normal, 1 = bacterial, 2 = viral, and the softmax over them
CLASS_COLUMNS: Final = ("class_label", *(f"probability_{name}" for name in CLASSES))
ATTENTION_COLUMNS: Final = ("image_id", "fold", "label", "method", "mask_tier", "lung_area", "lar", "lar_adjusted")
SPLITS: Final = ("tune", "test", "official_test")
PROBABILITY_ERROR: Final = 1e-6  # logits and probabilities are written with nine digits
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
        """One row an image; compressed in a published run."""
        return table_path(self.path / "index.csv")

    @property
    def folds_json(self) -> Path:
        """The frozen split; compressed in a published run."""
        return table_path(self.path / "folds.json")

    @property
    def audit_json(self) -> Path:
        """What was found in the data before training."""
        return self.path / "audit.json"

    @property
    def environment_json(self) -> Path:
        """Versions and machine of the run."""
        return self.path / "environment.json"

    @property
    def manifest_json(self) -> Path:
        """SHA-256 of every file of the run that a leaderboard rests on."""
        return self.path / "manifest.json"

    @property
    def leaderboard(self) -> Path:
        """The folder of the generated tables and page."""
        return self.path / "leaderboard"

    @property
    def external(self) -> Path:
        """One folder for each other source of data that the networks were scored on."""
        return self.path / "external"

    @property
    def cost(self) -> Path:
        """What each architecture takes, measured in a pass of its own."""
        return self.path / "cost"

    @property
    def gallery(self) -> Path:
        """Pictures over images: mean maps, every error of each network, and single images; never published."""
        return self.path / "gallery"

    @property
    def figures(self) -> Path:
        """Figures and tables for papers; never published, as they are drawn again from what is."""
        return self.path / "figures"

    @property
    def bundle(self) -> Path:
        """The bundle of its best network, made when the run is first asked about new images; never published."""
        return self.path / "bundle"

    @property
    def confounds(self) -> Path:
        """What is left of the scores among images alike in facts of their acquisition."""
        return self.path / "confounds"

    @property
    def labels(self) -> Path:
        """Images whose label the predictions doubt."""
        return self.path / "labels"

    @property
    def reader_study(self) -> Path:
        """A page for readers, and its key: pictures over images; never published."""
        return self.path / "reader-study"

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
        """One row an image; as every table of images compressed where it lies so, in a published run."""
        return table_path(self.job_folder(architecture, fold) / "predictions.csv")

    def attention_path(self, architecture: str, fold: int) -> Path:
        """Lung attention, one row an image and method."""
        return table_path(self.job_folder(architecture, fold) / "attention.csv")

    def history_path(self, architecture: str, fold: int) -> Path:
        """Training curves, one row an epoch."""
        return self.job_folder(architecture, fold) / "history.csv"

    def weights_path(self, architecture: str, fold: int) -> Path:
        """The weights that made the predictions."""
        return self.job_folder(architecture, fold) / "weights.safetensors"

    def explanations_folder(self, architecture: str, fold: int) -> Path:
        """What was asked of a trained network: explanation.json, reliance.csv and a table for each method."""
        return self.job_folder(architecture, fold) / "explanations"

    def explanation_path(self, architecture: str, fold: int, name: str) -> Path:
        """A table of explanations: `reliance`, or the name of a method.

        Raises:
            RecordError: the name cannot be a file's name.
        """
        if not is_name(name):
            raise RecordError(f"{self.path}: found explanations by {name!r}, expected the name of a method.")
        return table_path(self.explanations_folder(architecture, fold) / f"{name}.csv")

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
        require(path, bool(table["split"].isin(SPLITS).all()), "another split", f"one of {', '.join(SPLITS)}")
        require(path, bool(table["label"].isin((0, 1)).all()), "another label", "0 (normal) or 1 (pneumonia)")
        require(path, bool((table["fold"] == record.fold).all()), "rows of another fold", f"fold {record.fold}")
        require(path, bool((table["seed"] == record.seed).all()), "rows of another seed", f"seed {record.seed}")
        require_unique(path, table["image_id"])
        if "class_label" in table:
            right = table["class_label"].isin(range(len(CLASSES))) & (
                (table["class_label"] > 0) == (table["label"] == 1)
            )
            require(path, bool(right.all()), "a class that does not fit its label", "0 (normal), or 1 or 2 (pneumonia)")
        shares = [(column, 0.0, 1.0) for column in CLASS_COLUMNS[1:] if column in table]
        for column, low, high in (("probability", 0.0, 1.0), ("logit", -np.inf, np.inf), *shares):
            values = pd.to_numeric(table[column], errors="coerce")
            right = np.isfinite(values) & values.between(low, high)
            require(
                path,
                bool(right.all()),
                f"a {column} that is not one",
                "finite numbers, probability in [0, 1]",
            )
            table[column] = values.astype(np.float64)
        _require_probabilities(path, table)
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
        require(path, bool((table["fold"] == record.fold).all()), "rows of another fold", f"fold {record.fold}")
        require_unique(path, table["image_id"] + " " + table["method"])
        for column, low in (("lung_area", 0.0), ("lar", 0.0), ("lar_adjusted", -np.inf)):
            given = table[column] != ""
            values = pd.to_numeric(table[column].where(given), errors="coerce").astype(np.float64)
            # the lung mask's tolerance: float32 sums may pass 1 by a rounding error
            right = (~given) | (np.isfinite(values) & values.between(low, 1 + 1e-6))
            require(path, bool(right.all()), f"a {column} that is not one", "numbers up to 1, or an empty cell")
            table[column] = values
        return table


def _require_probabilities(path: Path, table: pd.DataFrame) -> None:
    """Refuse probabilities that are not the sigmoid of their logit, or the softmax that it stands for."""
    probability = table["probability"].to_numpy()
    wrong = np.abs(expit(table["logit"].to_numpy()) - probability) > PROBABILITY_ERROR
    if "class_label" in table:
        normal, *ill = (table[column].to_numpy() for column in CLASS_COLUMNS[1:])
        wrong |= np.abs(sum(ill) - probability) > PROBABILITY_ERROR
        wrong |= np.abs(normal + probability - 1) > PROBABILITY_ERROR
    if wrong.any():
        row = table.loc[wrong].iloc[0]
        found = f"probability {row['probability']:.6g} beside logit {row['logit']:.6g} ({int(wrong.sum())} such rows)"
        require(path, False, found, f"its sigmoid, {expit(row['logit']):.6g}, and classes that sum to 1")


def write_predictions(path: Path, predictions: pd.DataFrame) -> str:
    """Write a job's predictions, whole or not at all, and return the SHA-256 for its record."""
    further = CLASS_COLUMNS if "class_label" in predictions else ()
    return write_table(path, predictions, (*PREDICTION_COLUMNS, *further))


def write_attention(path: Path, attention: pd.DataFrame) -> str:
    """Write a job's lung attention, whole or not at all, and return the SHA-256 for its record."""
    return write_table(path, attention, ATTENTION_COLUMNS)
