"""Do the jobs of a run go together: one version of everything, one network a name, and nothing left out?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.datasets.folds import Folds, fold_summary
from pneumobench.datasets.index import Index
from pneumobench.records.belonging import refuse
from pneumobench.records.environment import read_environment
from pneumobench.records.explanation_record import Explanations
from pneumobench.records.job_record import ORIGINAL_SIZES, PLUGIN, JobRecord
from pneumobench.records.manifest import EXPLANATION_FILE
from pneumobench.records.run_folder import PROBABILITY_ERROR, RunFolder
from pneumobench.suite.names import control_record_name
from pneumobench.suite.spec import Suite

MAY_DIFFER: Final = ("commit", "dirty")  # `code` says what ran; a commit may change documents alone
BY_START: Final = (PLUGIN, ORIGINAL_SIZES)  # inputs of a start, which need not be those of an earlier one


def refuse_mixed_jobs(folder: RunFolder, records: Sequence[JobRecord]) -> None:
    """Check versions and inputs of all networks, and that the folds of an architecture are of one network.

    Raises:
        RecordError: jobs differ in what nobody accepted.
    """
    networks = [record for record in records if not record.is_control]
    first: dict[tuple[str, str], tuple[JobRecord, str]] = {}
    for record in networks:
        path = folder.record_path(record.architecture, record.fold)
        for name, version in record.software.items():
            if name in MAY_DIFFER:
                continue
            other, known = first.setdefault((record.accepted, name), (record, version))
            if version != known:
                refuse(path, f"{name} {version}", f"{known} (as in {other.architecture} fold {other.fold})")
    for architecture in sorted({record.architecture for record in networks}):
        of_one = [record for record in networks if record.architecture == architecture]
        _require_one_network(folder, of_one)
        _require_same_inputs(folder, of_one)


def _require_one_network(folder: RunFolder, records: Sequence[JobRecord]) -> None:
    first: dict[str, tuple[int, object]] = {}
    for record in records:
        facts: dict[str, object] = {"plugin": record.plugin}
        if record.completed and record.cost is not None:
            facts["parameters"] = record.cost.parameters
        for key in ("pixel_mean", "pixel_std") if record.completed else ():
            facts[key] = record.training.get(key)
        if record.completed and (maps := record.explanation) is not None:
            facts |= {"layer of heat maps": maps.layer, "grid of heat maps": maps.grid, "method": maps.method}
        for key, value in facts.items():
            fold, known = first.setdefault(key, (record.fold, value))
            if value != known:
                path = folder.record_path(record.architecture, record.fold)
                refuse(path, f"{key} {value}", f"{known} (as in fold {fold})")


def _require_same_inputs(folder: RunFolder, records: Sequence[JobRecord]) -> None:
    known = [record for record in records if "code" in record.software and not record.accepted]
    named = {key for record in known for key in record.inputs if not key.startswith(BY_START)}
    for record in known:
        if missing := sorted(named - record.inputs.keys()):
            refuse(
                folder.record_path(record.architecture, record.fold),
                f"no SHA-256 of {missing[0]}",
                "one, as in the other folds",
            )


def require_environment(folder: RunFolder, records: Sequence[JobRecord]) -> None:
    """Compare environment.json with the records: versions, inputs, and which changes were accepted.

    Raises:
        RecordError: it says something else, or is missing or empty though the records were written with one.
    """
    path = folder.environment_json
    environment = read_environment(folder)
    networks = [record for record in records if not record.is_control]
    written = any("code" in record.software for record in records)  # older ones may lie beside an older file
    if written and not environment.get("software"):
        refuse(path, "no versions", "those that the run was begun with")
    try:
        lines = [line for part in environment.get("accepted", []) for line in part["changes"]]
        accepted = "; ".join(lines)
    except (TypeError, KeyError):
        refuse(path, "no list of accepted changes", "`on` and `changes` for each")
    for record in records:
        if not accepted.startswith(record.accepted):
            found = f"accepted changes {record.accepted[:80]!r}"
            refuse(folder.record_path(record.architecture, record.fold), found, f"{accepted[:80]!r} ({path.name})")
    if accepted:  # the file tells of the last start only
        return
    for record in networks:
        for name, version in environment.get("software", {}).items():
            if name not in MAY_DIFFER and record.software.get(name, version) != version:
                refuse(path, f"{name} {version}", f"{record.software[name]} (the records of the jobs)")
    for record in records if written else ():
        for key, sha256 in record.inputs.items():
            if (found := environment.get("inputs", {}).get(key)) != sha256:
                expected = f"{sha256[:12]} (record of {record.architecture} fold {record.fold})"
                refuse(path, f"SHA-256 {str(found)[:12]} of {key}", expected)


def require_audit(folder: RunFolder, index: Index, folds: Folds, records: Sequence[JobRecord]) -> None:
    """Compare the counts of audit.json with index and split.

    Raises:
        RecordError: it counts other images, or is missing or empty though the records were written with one.
    """
    path, table = folder.audit_json, index.table
    if not path.is_file() and not any("code" in record.software for record in records):
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = "no number of images" if not isinstance(found, dict) or "images" not in found else ""
    except (OSError, ValueError) as error:
        missing = str(error)
    if missing:
        refuse(path, missing, "the counts of index.csv")
    expected: dict[str, object] = {
        "images": len(table),
        "patients": int(table["patient"].nunique()),
        "groups": int(table["group"].nunique()),
        "folds": fold_summary(index, folds),
    }
    for key, value in expected.items():
        if key in found and found[key] != value:
            shown = (found[key], value) if key != "folds" else ("other counts", "those of the split")
            refuse(path, f"{key}: {shown[0]}", f"{shown[1]} (index.csv and folds.json)")
    parts = found.get("splits", {})
    for split, part in table.groupby("split") if parts else ():
        labels = part["label"].value_counts()
        for key, count in (("images", len(part)), ("normal", labels.get(0, 0)), ("pneumonia", labels.get(1, 0))):
            if (said := parts.get(split, {}).get(key)) != count:
                refuse(path, f"{said} {key} in {split}", f"{count} (index.csv)")


def refuse_twins(
    folder: RunFolder, records: Sequence[JobRecord], predictions: Mapping[tuple[str, int], pd.DataFrame]
) -> None:
    """Refuse two networks with the same weights or the same predictions: one job under two names.

    Predictions that are one number for all images may be equal: training can end there.

    Raises:
        RecordError: there are two.
    """
    weights: dict[str, JobRecord] = {}
    answers: dict[int, list[tuple[JobRecord, np.ndarray[tuple[int], np.dtype[np.float64]]]]] = defaultdict(list)
    for record in records:
        if not record.completed or record.is_control:
            continue
        other = weights.setdefault(record.hashes["weights"], record)
        if other.architecture != record.architecture:
            _refuse_twin(folder, record, other, "weights")
        table = predictions[record.architecture, record.fold].sort_values(["split", "image_id"])
        logit = table["logit"].to_numpy(np.float64)
        if len(logit) and np.ptp(logit) <= PROBABILITY_ERROR:
            continue
        for known, answer in answers[record.fold]:
            if np.allclose(logit, answer, rtol=PROBABILITY_ERROR, atol=PROBABILITY_ERROR):
                _refuse_twin(folder, record, known, "predictions")
        answers[record.fold].append((record, logit))


def _refuse_twin(folder: RunFolder, record: JobRecord, other: JobRecord, what: str) -> None:
    refuse(
        folder.job_folder(record.architecture, record.fold),
        f"the {what} of {other.architecture} fold {other.fold}",
        f"those of another network, {record.architecture}",
    )


def missing_controls(suite: Suite, records: Sequence[JobRecord]) -> dict[str, list[int]]:
    """Return the folds that networks, but not every control of the suite, were run on, by name of the control."""
    folds = {record.fold for record in records if record.completed and not record.is_control}
    done = {(record.architecture, record.fold) for record in records if record.completed}
    names = map(control_record_name, suite.controls.names)
    found = {name: sorted(fold for fold in folds if (name, fold) not in done) for name in names}
    return {name: without for name, without in found.items() if without}


def missing_parts(
    suite: Suite, records: Sequence[JobRecord], explanations: Mapping[tuple[str, int], Explanations]
) -> tuple[str, ...]:
    """Return in words which controls and explanations the suite asks for and are not there.

    Runs from before manifests had other explanations made by hand: nothing is said of theirs.
    """
    notes = [
        f"{name} of fold {_listed(folds)} is missing: whether a network clears the best baseline is not known"
        for name, folds in missing_controls(suite, records).items()
    ]
    asked = suite.explanation.methods if suite.explanation.checked_images_per_fold else ()
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        if not record.completed or record.is_control or "code" not in record.software:
            continue
        found = explanations.get((record.architecture, record.fold))
        if found is None:
            missing[record.architecture, f"{EXPLANATION_FILE} is missing: it was not checked"].append(record.fold)
            continue
        if not len(found.ablation) and record.explanation is None:  # no image of the fold has a lung mask
            continue
        if not len(found.ablation) and suite.masks_at_test_time:
            missing[record.architecture, "no scores of masked regions"].append(record.fold)
        for method in asked:
            if method not in found.methods:
                words = f"no maps by {method}, which the suite asks for: they were not checked"
                missing[record.architecture, words].append(record.fold)
    return (*notes, *(f"{name} fold {_listed(folds)}: {words}" for (name, words), folds in missing.items()))


def _listed(folds: Sequence[int]) -> str:
    return ", ".join(map(str, folds))
