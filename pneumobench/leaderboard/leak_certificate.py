"""What of a run's images lies on two sides of a split: patients, identical contents, pictures that look alike."""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import pandas as pd

from pneumobench.datasets.folds import Folds, Part
from pneumobench.datasets.index import Index, content_of
from pneumobench.datasets.patients import kermany_image
from pneumobench.errors import RecordError
from pneumobench.records.loaded_run import GatheredRun
from pneumobench.suite.spec import PatientRule

KERMANY: Final = "kermany"
NEAR: Final = "near_duplicate_counts"


@dataclass(frozen=True, kw_only=True)
class LeakCertificate:
    """Of all folds together: how much of what is tested was trained or chosen on too.

    Args:
        protocol: how images were split.
        patient_rule: which images count as one patient.
        patients: by rule, names on both sides of a fold; the run's own rule, and others that its file names allow.
        contents: identical pictures on both sides of a fold.
        official_patients: by rule, names of the official test folder that a fold has trained on; None without one.
        official_contents: identical pictures there and in a training part; None without one.
        near_duplicates: pairs that look alike, as the audit of the run counted them: in all, across patients, with two
            labels, across train and test, across folds.
    """

    protocol: str
    patient_rule: str
    patients: dict[str, int]
    contents: int
    official_patients: dict[str, int] | None
    official_contents: int | None
    near_duplicates: dict[str, int]


def leak_certificate(run: GatheredRun) -> LeakCertificate:
    """Compute the certificate from the index and the split of a run, and its audit.

    Raises:
        RecordError: the run has no audit that looked for near duplicates.
    """
    table = run.index.reset_index()
    index, folds = Index(root=run.folder.path, table=table), run.folds
    names = _names_by_rule(table, run.suite.data.source, run.suite.data.patient_rule)
    names["contents"] = content_of(table).set_axis(table.index)
    crossing = {rule: _crossing(column, index, folds, "test") for rule, column in names.items()}
    official = {rule: _crossing(column, index, folds, "official_test") for rule, column in names.items()}
    contents, official_contents = crossing.pop("contents"), official.pop("contents")
    there = bool(folds.official_test)
    return LeakCertificate(
        protocol=folds.protocol,
        patient_rule=run.suite.data.patient_rule,
        patients=crossing,
        contents=contents,
        official_patients=official if there else None,
        official_contents=official_contents if there else None,
        near_duplicates=_near_duplicates(run),
    )


def _names_by_rule(table: pd.DataFrame, source: str, own: str) -> dict[str, pd.Series[str]]:
    """Return the patient of every image, by rule; an image of an unknown patient is its own."""
    names = {own: table["patient"].where(table["patient"] != "", table["image_id"])}
    if source == KERMANY:
        for rule in typing.get_args(PatientRule):
            if rule not in (own, "image"):
                read = [
                    kermany_image(PurePosixPath(image).stem, side, rule)[0] or image
                    for image, side in zip(table["image_id"], table["split"], strict=True)
                ]
                names[rule] = pd.Series(read, index=table.index)
    return names


def _crossing(column: pd.Series[str], index: Index, folds: Folds, tested: Part) -> int:
    """Return how many values of a column are, in some fold, both tested and trained or chosen on."""
    found: set[str] = set()
    for fold in range(folds.count):
        parts = folds.positions(index, fold)
        learnt = set(column.iloc[parts["train"]]) | set(column.iloc[parts["tune"]])
        found |= learnt & set(column.iloc[parts[tested]])
    return len(found)


def _near_duplicates(run: GatheredRun) -> dict[str, int]:
    path = run.folder.audit_json
    try:
        counts: Any = json.loads(path.read_text(encoding="utf-8")).get(NEAR)
    except (OSError, ValueError, AttributeError) as error:
        raise RecordError(
            f"{path}: found no audit ({error}), expected that of the run: run the suite again."
        ) from error
    if not isinstance(counts, dict) or not all(type(value) is int for value in counts.values()):
        raise RecordError(
            f"{path}: found no {NEAR}, expected how many images look alike (audits of older versions do not say); "
            "run the suite again."
        )
    return {str(key): int(value) for key, value in counts.items()}
