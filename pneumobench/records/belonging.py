"""Do suite, split, records and explanations of a run belong together? What a manifest that was renewed cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import pandas as pd

from pneumobench.datasets.folds import Folds
from pneumobench.errors import RecordError
from pneumobench.records.explanation_record import ABLATION, NOT_MASKED
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import PROBABILITY_ERROR, RunFolder
from pneumobench.suite.names import CONTROL_PREFIX, control_record_name
from pneumobench.suite.spec import Suite


def refuse_foreign(folder: RunFolder, suite: Suite, folds: Folds, records: Sequence[JobRecord]) -> None:
    """Check that the split and every record are those of the suite.

    Raises:
        RecordError: settings, split or a job are of another suite, or jobs with other inputs are mixed.
    """
    first = records[0]
    for key, found, expected in (
        ("SHA-256 of its settings", suite.training_hash(), first.hashes["suite"]),
        ("name", suite.name, first.suite),
        ("seed", suite.seed, first.seed),
    ):
        if found != expected:
            refuse(folder.suite_yaml, f"{key} {found}", f"{expected} (the records of the jobs)")
    for key, here, wanted in (
        ("folds", folds.count, suite.folds.count),
        ("seed", folds.seed, suite.seed),
        ("protocol", folds.protocol, suite.folds.protocol),
        ("tune_fraction", folds.tune_fraction, suite.folds.tune_fraction),
    ):
        if here != wanted:
            refuse(folder.folds_json, f"{key} {here}", f"{wanted} (suite.yaml)")
    for record in records:
        path = folder.record_path(record.architecture, record.fold)
        if record.architecture.startswith(CONTROL_PREFIX) != record.is_control and record.completed:
            refuse(path, f"weights of {record.weights_origin}", f"those of a job named {record.architecture}")
        if record.architecture.startswith(CONTROL_PREFIX) and not record.completed:
            refuse(path, f"status {record.status}", "completed: a control that fails ends the run and leaves no record")
        known_controls = map(control_record_name, suite.controls.names)
        if record.is_control and record.architecture not in known_controls:
            refuse(path, f"the control {record.architecture}", "one of suite.yaml")
        if not record.architecture.startswith(CONTROL_PREFIX) and record.architecture not in suite.architectures.names:
            refuse(path, f"the architecture {record.architecture}", "one of suite.yaml")
    for key in sorted({key for record in records for key in record.inputs}):
        # a change that was accepted is written into the later records
        known = {record.inputs[key] for record in records if key in record.inputs and not record.accepted}
        if len(known) > 1:
            shown = ", ".join(sorted(value[:12] for value in known))
            refuse(folder.path, f"jobs with different {key} (SHA-256 {shown})", "the same in all of them")


def require_same_logits(
    folder: RunFolder, record: JobRecord, ablation: pd.DataFrame, predictions: pd.DataFrame
) -> None:
    """Check that explanations begin with the logits that the job predicted.

    Raises:
        RecordError: an image that is not masked has another logit.
    """
    whole = ablation[ablation["blanking"] == NOT_MASKED]
    known = predictions.set_index("image_id")["logit"].loc[whole["image_id"]].to_numpy(np.float64)
    found = whole["logit"].to_numpy(np.float64)
    if wrong := int((np.abs(found - known) > PROBABILITY_ERROR * np.maximum(1, np.abs(known))).sum()):
        path = folder.explanation_path(record.architecture, record.fold, ABLATION)
        refuse(path, f"{wrong} logits of whole images that are not those of predictions.csv", "the same")


def refuse(path: object, found: str, expected: str) -> NoReturn:
    """Refuse a file of a run, saying what was found and what would have been right.

    Raises:
        RecordError: always.
    """
    raise RecordError(
        f"{path}: found {found}, expected {expected}. Bring the file back, or delete the job's folder and run the "
        "suite again."
    )
