"""What the numbers of a leaderboard rest on: hashes, versions, machines and initial weights of all records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pneumobench.leaderboard.board import Provenance
from pneumobench.records.job_record import JobRecord
from pneumobench.suite.weights import TRAINED_ON

WEIGHTS_KEY: Final = "initial weights of "  # before the name of an architecture


def provenance_of(records: tuple[JobRecord, ...]) -> Provenance:
    """Return hashes, and every version and fact of a machine that any record has."""

    def values(tables: Iterable[dict[str, str] | dict[str, str | int | float]]) -> dict[str, tuple[str, ...]]:
        seen: dict[str, set[str]] = {}
        for table in tables:
            for key, value in table.items():
                seen.setdefault(key, set()).add(str(value))
        return {key: tuple(sorted(found)) for key, found in sorted(seen.items())}

    return Provenance(
        hashes={key: records[0].hashes[key] for key in ("suite", "index", "folds")},
        software=values(_software(record) for record in records),
        hardware=values(record.hardware for record in records),
        first_record=min(record.created for record in records),
        last_record=max(record.created for record in records),
    )


def _software(record: JobRecord) -> dict[str, str]:
    """Return versions, SHA-256 of further inputs, and which changes since the run began were accepted."""
    inputs = {f"SHA-256 of {key}": sha256 for key, sha256 in record.inputs.items()}
    return {
        **record.software,
        **inputs,
        **_weights_facts(record),
        **({"changed since the run began": record.accepted} if record.accepted else {}),
    }


def _weights_facts(record: JobRecord) -> dict[str, str]:
    """Return where pretrained weights come from, under which licence, and their SHA-256."""
    if record.is_control or record.weights_origin in ("none", "random"):
        return {}
    named = (record.training.get("weights_source"), record.training.get("weights_licence"))
    known = [str(words) for words in named if words]
    if trained_on := record.training.get(TRAINED_ON):
        known.append(f"trained on {trained_on}")
    sha256 = record.hashes.get("initial_weights")
    words = [record.weights_origin, *known, *([f"SHA-256 of the tensors {sha256}"] if sha256 else [])]
    return {f"{WEIGHTS_KEY}{record.architecture}": ", ".join(words)}
