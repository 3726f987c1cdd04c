"""Everything a leaderboard is computed from, read once and checked to belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.classes import three_classes
from pneumobench.datasets.folds import Folds
from pneumobench.errors import RecordError, SettingsError
from pneumobench.records.belonging import refuse_foreign, require_same_logits
from pneumobench.records.claims_of_job import refuse_false_claims
from pneumobench.records.cost_table import CostTable, cost_of
from pneumobench.records.explanation_record import Explanations, read_explanations
from pneumobench.records.job_record import SHARED_HASH_KEYS, JobRecord
from pneumobench.records.jobs_together import (
    missing_parts,
    refuse_mixed_jobs,
    refuse_twins,
    require_audit,
    require_environment,
)
from pneumobench.records.lung_attention_tables import require_attention, require_explanations, require_same_images
from pneumobench.records.manifest import check_manifest
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

SHOWN_IMAGES: Final = 3  # examples in a message; the counts are complete


@dataclass(frozen=True, kw_only=True)
class GatheredRun:
    """The checked content of one run folder.

    Args:
        folder: where it lies.
        suite: the resolved suite.
        index: one row an image, `image_id` as the index.
        folds: the frozen split.
        records: all records, sorted by architecture and fold.
        predictions: one table for every completed job, by (architecture, fold).
        attention: the same for lung attention; empty tables where nothing was explained.
        explanations: what was asked of trained networks; absent where nothing was.
        cost: what each architecture takes, measured in a pass of its own; None where it was not.
        notes: what could not be checked, and what is left out on purpose.
        missing: controls and explanations that the suite asks for and that are not there.
    """

    folder: RunFolder
    suite: Suite
    index: pd.DataFrame
    folds: Folds
    records: tuple[JobRecord, ...]
    predictions: dict[tuple[str, int], pd.DataFrame]
    attention: dict[tuple[str, int], pd.DataFrame]
    explanations: dict[tuple[str, int], Explanations]
    cost: CostTable | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def architectures(self) -> list[str]:
        """Names in the suite or in a record, sorted."""
        return sorted({*self.suite.architectures.names, *(record.architecture for record in self.records)})

    def records_of(self, architecture: str) -> list[JobRecord]:
        """The records of one architecture, by fold."""
        return [record for record in self.records if record.architecture == architecture]


def open_suite(path: Path) -> tuple[RunFolder, Suite]:
    """Return the folder of a run and its settings.

    Raises:
        SettingsError: the folder is not a run.
    """
    folder = RunFolder(path)
    if not folder.suite_yaml.is_file():
        raise SettingsError(f"{path}: found no suite.yaml; expected the folder of a run, e.g. runs/quickstart.")
    return folder, load_suite(folder.suite_yaml, of_run=True)


def gather(path: Path, *, check_weights: bool = False) -> GatheredRun:
    """Read a run folder and check that all of it is of one suite, one index and one split.

    Args:
        path: the run.
        check_weights: compare the SHA-256 of weights too, which takes a second for every gigabyte.

    Raises:
        RecordError: there is no record, a file is not that of the manifest, records of several suites are mixed, a
            table was changed, or the predictions of a job are not exactly the images of its fold.
        LeakError: a patient is on two sides of a fold.
    """
    folder = RunFolder(path)
    index, folds = folder.index_and_folds()
    if not folder.suite_yaml.is_file():
        raise RecordError(f"{path}: found no suite.yaml, expected the resolved suite. Bring it back.")
    suite = load_suite(folder.suite_yaml, of_run=True)
    records = folder.records()
    if not records:
        raise RecordError(
            f"{path}: found no record of a job, expected ARCHITECTURE/fold-K/record.json. "
            "Run the suite first: `pneumobench run SUITE`."
        )
    notes = check_manifest(folder, records, weights=check_weights)
    _refuse_mixture(path, records)
    for key, here in (("index", index.hash()), ("folds", folds.hash())):
        if records[0].hashes[key] != here:
            raise RecordError(
                f"{path}: found records of {key} {records[0].hashes[key][:12]}, expected {here[:12]} "
                f"({key} in this folder). Bring back the {key} file that the jobs were run with."
            )
    refuse_foreign(folder, suite, folds, records)
    refuse_mixed_jobs(folder, records)
    require_environment(folder, records)
    require_audit(folder, index, folds, records)
    table = index.table.assign(image_id=index.table["image_id"].astype(str)).set_index("image_id")
    classes = None
    if suite.task == "three_class":
        classes = pd.Series(three_classes(index.table), index=table.index)
    predictions, attention, explanations = {}, {}, {}
    for record in records:
        if record.fold >= folds.count:
            raise RecordError(
                f"{folder.record_path(record.architecture, record.fold)}: found fold {record.fold}, expected "
                f"0 to {folds.count - 1} (folds.json). Delete the job's folder."
            )
        if record.completed:
            key_of_job = (record.architecture, record.fold)
            predictions[key_of_job] = folder.predictions(record)
            _require_classes(folder, record, predictions[key_of_job], classes)
            _require_images_of_fold(folder, record, predictions[key_of_job], table, folds)
            attention[key_of_job] = folder.attention(record)
            require_attention(folder, suite, record, attention[key_of_job], predictions[key_of_job], table)
            if (found := read_explanations(folder, record)) is not None:
                explanations[key_of_job] = found
                require_explanations(folder, record, found, attention[key_of_job], predictions[key_of_job], table)
                require_same_logits(folder, record, found.ablation, predictions[key_of_job])
    cost, cost_notes = cost_of(folder, suite)
    refuse_false_claims(folder, suite, index, folds, records)
    require_same_images(folder, records, attention)
    refuse_twins(folder, records, predictions)
    return GatheredRun(
        folder=folder,
        suite=suite,
        index=table,
        folds=folds,
        records=tuple(records),
        predictions=predictions,
        attention=attention,
        explanations=explanations,
        cost=cost,
        notes=(*notes, *cost_notes),
        missing=missing_parts(suite, records, explanations),
    )


def _identity(record: JobRecord) -> dict[str, str]:
    """What must be equal in all records of one leaderboard."""
    shared = {key: record.hashes[key][:12] for key in SHARED_HASH_KEYS}
    return {"suite name": record.suite, "seed": str(record.seed), **shared}


def _refuse_mixture(path: Path, records: list[JobRecord]) -> None:
    common = {key: Counter(_identity(r)[key] for r in records).most_common(1)[0][0] for key in _identity(records[0])}
    lines = [
        f"  {record.architecture} fold {record.fold}: {key} {value}, the others {common[key]}"
        for record in records
        for key, value in _identity(record).items()
        if value != common[key]
    ]
    if lines:
        raise RecordError(
            f"{path}: found records of different suites, images or folds, expected one of each:\n"
            + "\n".join(lines)
            + "\nKeep every suite in its own folder, or delete these jobs and run the suite again."
        )
    for architecture in sorted({record.architecture for record in records if record.completed}):
        origins = {(r.weights_origin, r.plugin) for r in records if r.architecture == architecture and r.completed}
        if len(origins) > 1:
            listed = ", ".join(sorted(f"{weights} ({plugin or 'timm'})" for weights, plugin in origins))
            raise RecordError(
                f"{path}: found folds of {architecture} that started from different weights or plugins "
                f"({listed}), expected one. Delete the folder of the architecture and run the suite again."
            )


def _require_images_of_fold(
    folder: RunFolder, record: JobRecord, predictions: pd.DataFrame, index: pd.DataFrame, folds: Folds
) -> None:
    path = folder.predictions_path(record.architecture, record.fold)
    expected = {
        "tune": set(folds.tune[record.fold]),
        "test": {image for image, fold in folds.test_fold.items() if fold == record.fold},
        "official_test": set(folds.official_test),
    }
    for split, images in expected.items():
        found = set(predictions.loc[predictions["split"] == split, "image_id"].tolist())
        if found != images:
            example = ", ".join(sorted(found ^ images)[:SHOWN_IMAGES])
            raise RecordError(
                f"{path}: found {len(images - found)} images missing and {len(found - images)} foreign in "
                f"split {split} (e.g. {example}), expected the {len(images)} of fold {record.fold} "
                "(folds.json). Delete the job's folder and run the suite again."
            )
    label = index["label"].reindex(predictions["image_id"]).to_numpy()
    wrong = predictions.loc[predictions["label"].to_numpy() != label, "image_id"]
    if len(wrong):
        raise RecordError(
            f"{path}: found {len(wrong)} labels (e.g. of {wrong.iloc[0]}) that differ from index.csv, "
            "expected the same. Delete the job's folder and run the suite again."
        )


def _require_classes(
    folder: RunFolder, record: JobRecord, predictions: pd.DataFrame, classes: pd.Series[int] | None
) -> None:
    """Refuse predictions of another task, and classes that are not those of the index."""
    path, found = folder.predictions_path(record.architecture, record.fold), ""
    if ("class_label" in predictions) != (classes is not None):
        found = "three classes" if classes is None else "two classes"
    elif classes is not None:
        known = classes.reindex(predictions["image_id"]).to_numpy()
        found = "classes that differ from index.csv" if (known != predictions["class_label"]).any() else ""
    if found:
        raise RecordError(
            f"{path}: found {found}, expected those of the suite's task and of the index. Delete the job's folder and "
            "run the suite again."
        )
