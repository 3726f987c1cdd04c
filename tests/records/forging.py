"""How somebody changes a run on disk: edits of its files, with their hashes and the manifest renewed or not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pneumobench.files import canonical_json, sha256_of_file, sha256_of_text, write_json
from pneumobench.records.explanation_record import ABLATION
from pneumobench.records.job_record import read_record, write_record
from pneumobench.records.manifest import read_manifest
from pneumobench.records.run_folder import RunFolder, write_attention, write_predictions

JOB = "resnet18/fold-0"
RECORD, PREDICTIONS, ATTENTION = f"{JOB}/record.json", f"{JOB}/predictions.csv", f"{JOB}/attention.csv"
EXPLANATION, RELIANCE = f"{JOB}/explanations/explanation.json", f"{JOB}/explanations/reliance.csv"
WEIGHTS, HISTORY = f"{JOB}/weights.safetensors", f"{JOB}/history.csv"
OTHER = sha256_of_text("other")


def edited(name: str, old: str, new: str, *, count: int = 1) -> Callable[[Path], None]:
    """Replace text in a file."""

    def edit(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text, f"{name} has no {old}"
        (run / name).write_text(text.replace(old, new, count))

    return edit


def with_json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change a JSON file."""

    def edit(run: Path) -> None:
        plain = json.loads((run / name).read_text())
        change(plain)
        (run / name).write_text(canonical_json(plain))

    return edit


def deleted(name: str) -> Callable[[Path], None]:
    return lambda run: shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()


def copied(name: str, target: str) -> Callable[[Path], None]:
    def copy(run: Path) -> None:
        shutil.rmtree(run / target, ignore_errors=True)
        shutil.copytree(run / name, run / target)

    return copy


def appended(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes() + data) and None


def emptied(name: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(b"") and None


def predictions(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], object]:
    """Forge the predictions of a job, and renew their hash in its record."""

    def forge(run: Path) -> None:
        folder = RunFolder(run)
        record = read_record(run / RECORD)
        written = write_predictions(run / PREDICTIONS, change(folder.predictions(record)))
        write_record(run / RECORD, dataclasses.replace(record, hashes={**record.hashes, "predictions": written}))

    return forge


def record(**changes: Any) -> Callable[[Path], None]:
    return lambda run: write_record(run / RECORD, dataclasses.replace(read_record(run / RECORD), **changes))


def hashes(**changes: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        found = read_record(run / RECORD)
        write_record(run / RECORD, dataclasses.replace(found, hashes={**found.hashes, **changes}))

    return change


def software(**changes: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        found = read_record(run / RECORD)
        write_record(run / RECORD, dataclasses.replace(found, software={**found.software, **changes}))

    return change


def explanation_table(run: Path) -> None:
    """Forge what a network scores on whole images, and renew its hash in explanation.json."""
    table = pd.read_csv(run / RELIANCE)
    table["logit_none"] += 1
    table.to_csv(run / RELIANCE, index=False)
    with_json(EXPLANATION, lambda plain: plain["hashes"].__setitem__(ABLATION, sha256_of_file(run / RELIANCE)))(run)


def resealed(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """Make a change and renew the manifest, as somebody does who knows it."""

    def change_and_seal(run: Path) -> None:
        change(run)
        folder = RunFolder(run)
        before = read_manifest(folder) or {}
        there = [path for path in run.rglob("*") if path.is_file() and path != folder.manifest_json]
        known = {path.relative_to(run).as_posix(): sha256_of_file(path) for path in there}
        assert known != before
        write_json(folder.manifest_json, {"format": 1, "files": known})

    return change_and_seal


def other_images(run: Path) -> None:
    copied(JOB, "resnet18/fold-1")(run)
    with_json("resnet18/fold-1/record.json", lambda plain: plain.__setitem__("fold", 1))(run)


@dataclass(frozen=True)
class Manipulation:
    """What somebody does, and the words that name it; no words = nothing that is shown comes from it."""

    name: str
    change: Callable[[Path], object]
    words: str | None


def attention(change: Callable[[pd.DataFrame], pd.DataFrame], **said: Any) -> Callable[[Path], None]:
    """Forge the lung attention of a job, with its hash and these facts of heat maps in the record."""

    def forge(run: Path) -> None:
        found = read_record(run / RECORD)
        assert found.explanation is not None
        written = write_attention(run / ATTENTION, change(RunFolder(run).attention(found)))
        explanation = dataclasses.replace(found.explanation, **said)
        changed = dataclasses.replace(found, hashes={**found.hashes, "attention": written}, explanation=explanation)
        write_record(run / RECORD, changed)

    return forge


def explained(change: Callable[[pd.DataFrame], pd.DataFrame], table: str = "gradcam") -> Callable[[Path], None]:
    """Forge a table of the explanations of a job, with its hash."""

    def forge(run: Path) -> None:
        path = run / JOB / f"explanations/{table}.csv"
        change(pd.read_csv(path, dtype={"image_id": str}, keep_default_na=False)).to_csv(path, index=False)
        with_json(EXPLANATION, lambda plain: plain["hashes"].__setitem__(table, sha256_of_file(path)))(run)

    return forge


def in_records(pattern: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the records of several jobs, such as `resnet18/fold-*`."""

    def edit(run: Path) -> None:
        for path in sorted(run.glob(f"{pattern}/record.json")):
            with_json(path.relative_to(run).as_posix(), change)(run)

    return edit


def together(*changes: Callable[[Path], object]) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        for change in changes:
            change(run)

    return edit
