"""A run that was read and checked -> the text of every file that is computed from its predictions and records."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score

from pneumobench.datasets.index import read_index_table
from pneumobench.datasets.table_files import table_bytes, table_path
from pneumobench.errors import SettingsError
from pneumobench.leaderboard.external import external_score
from pneumobench.leaderboard.external_variants import variant_scores
from pneumobench.leaderboard.scores import fold_model
from pneumobench.records.claims_of_job import HISTORY_ERROR
from pneumobench.records.cost_table import read_cost
from pneumobench.records.external_record import (
    FACTS,
    VARIANT_PREDICTIONS,
    VARIANTS,
    external_facts,
    external_table,
    variant_predictions,
)
from pneumobench.records.job_record import JobRecord
from pneumobench.records.loaded_run import GatheredRun
from pneumobench.records.run_folder import CLASS_COLUMNS
from pneumobench.reporting.cost_table import cost_texts
from pneumobench.reporting.external_table import PAGE, external_texts
from pneumobench.reporting.external_variants_table import VARIANTS_TABLE, variants_csv
from pneumobench.reporting.label_table import label_texts
from pneumobench.reporting.leaderboard import leaderboard_texts
from pneumobench.runs.audited import predictions_of
from pneumobench.runs.labels import doubts_of

EXACT: Final = ("cpu", "32-true")  # device and precision whose metrics come out to the last digit of history.csv
ABOUT: Final = 5e-3  # of the others: sums of another order, numbers of fewer bits
COMMAND: Final = re.compile(r"^`(pneumobench [^`]+)`$", flags=re.MULTILINE)


def recomputed_files(run: GatheredRun, notes: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield where each file of a run lies that is computed from others, and its text.

    Args:
        run: its records and predictions.
        notes: what could not be computed is added, in words.
    """
    folder = run.folder
    if folder.leaderboard.is_dir():
        yield from _in(folder.leaderboard, leaderboard_texts(run)[1])
    if folder.labels.is_dir():
        try:
            parts = doubts_of(predictions_of(run))
            yield from _in(folder.labels, label_texts(parts, _command(folder.labels / PAGE)))
        except SettingsError as error:
            notes.append(f"labels/ was not computed again: {error}")
    if (cost := read_cost(folder)) is not None:
        yield from _in(folder.cost, cost_texts(cost))
    for facts in sorted(folder.external.glob(f"*/{FACTS}")):
        yield from _external(run, facts.parent)
    if folder.confounds.is_dir():
        notes.append("confounds/ was not computed again: it rests on the images, too; its SHA-256 was compared")


@dataclass(frozen=True, kw_only=True)
class HistoryNumber:
    """A number of history.csv that predictions give again.

    Args:
        path: the file.
        place: epoch and column.
        found: what the file says.
        expected: what the predictions give.
        tolerance: by how much the two may differ.
    """

    path: Path
    place: str
    found: float
    expected: float
    tolerance: float

    @property
    def is_right(self) -> bool:
        """Whether the file says what the predictions give."""
        return bool(np.isclose(self.found, self.expected, rtol=0, atol=self.tolerance, equal_nan=True))


def history_numbers(run: GatheredRun) -> Iterator[HistoryNumber]:
    """Yield AUC and accuracy of each best epoch: the predictions of the validation part are those of that epoch."""
    for record in run.records:
        path = run.folder.history_path(record.architecture, record.fold)
        if not (record.completed and path.is_file() and isinstance(best := record.training.get("best_epoch"), int)):
            continue
        history = pd.read_csv(path)
        table = run.predictions[record.architecture, record.fold]
        for name, value in _validation_metrics(table[table["split"] == "tune"]).items():
            if name in history and best < len(history):
                yield HistoryNumber(
                    path=path, place=f"epoch {best}.{name}", found=float(history[name][best]), expected=value,
                    tolerance=_tolerance(record),
                )  # fmt: skip


def _tolerance(record: JobRecord) -> float:
    return HISTORY_ERROR if (record.hardware.get("accelerator"), record.hardware.get("precision")) == EXACT else ABOUT


def _validation_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return AUC and accuracy of the validation part by their columns of history.csv; of three classes as trained."""
    if table["label"].nunique() < 2:
        return {}
    if CLASS_COLUMNS[0] not in table:
        positive, label = table["probability"].to_numpy(), table["label"].to_numpy()
        decided, auc = positive >= 0.5, float(roc_auc_score(label, positive))
        return {"tune_auc": auc, "tune_accuracy": float(accuracy_score(label, decided))}
    shares, label = table[list(CLASS_COLUMNS[1:])].to_numpy(), table[CLASS_COLUMNS[0]].to_numpy()
    if len(np.unique(label)) < shares.shape[1]:
        return {}
    areas = [roc_auc_score(label == number, share) for number, share in enumerate(shares.T)]
    accuracy = float(accuracy_score(label, shares.argmax(axis=1)))
    return {"tune_auc": float(np.mean(areas)), "tune_accuracy": accuracy}


def _external(run: GatheredRun, home: Path) -> Iterator[tuple[Path, str]]:
    """Yield the tables of one other source of images; what its page says of who asked is taken as it stands."""
    facts = external_facts(home)
    group = read_index_table(home / "index.csv").set_index("image_id")["group"]
    scores = []
    for name, sha256 in sorted(facts["predictions"].items()):
        table = pd.read_csv(io.BytesIO(external_table(home, name, sha256)[1]), dtype={"image_id": str})
        models = [
            fold_model(fold, predictions)
            for (architecture, fold), predictions in run.predictions.items()
            if architecture == name and (table["fold"] == fold).any()
        ]
        scores.append(external_score(name, models, table, group, run.index["group"]))
    scores.sort(key=lambda score: (-score.auc, score.architecture))
    lines = (_text(home / PAGE).split("\n") + [""] * 3)[:3]
    noted = [line[4:-2] for line in _text(home / PAGE).split("\n") if line.startswith("> **") and line.endswith("**")]
    texts = external_texts(str(facts.get("name", home.name)), lines[2], scores, _command(home / PAGE), noted)
    there = {name: text for name, text in texts.items() if (home / name).is_file()}
    yield from _in(home, there)
    variants = home / VARIANTS / VARIANTS_TABLE
    if (predictions := table_path(variants.with_name(VARIANT_PREDICTIONS))).is_file() and variants.is_file():
        order = list(pd.read_csv(variants)["variant"].unique())  # which was asked first, nothing else says
        read = variant_predictions(table_bytes(predictions), order)
        yield variants, variants_csv(variant_scores(read, group))


def _in(folder: Path, texts: dict[str, str]) -> Iterator[tuple[Path, str]]:
    yield from ((folder / name, text) for name, text in texts.items())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _command(page: Path) -> str:
    """Return the command line that a page says made it."""
    found = COMMAND.search(_text(page))
    return found[1] if found else "pneumobench"
