"""Reads the files that Weights & Biases writes offline: what `wandb sync` would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

BLOCK = 32768  # records are framed as in LevelDB's log: checksum, length, kind; a long one goes on in the next block
FRAME = 7
START, MIDDLE = 2, 3


@dataclass
class OfflineRun:
    """What one run would send."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)


def offline_runs(files: Path) -> dict[str, OfflineRun]:
    """Return the runs below a folder `wandb`, by name; two runs of one name are refused."""
    wandb.teardown()  # its service may still be writing the last run
    found: dict[str, OfflineRun] = {}
    for path in sorted(files.glob("offline-run-*/run-*.wandb")):
        run = _read(path)
        assert run.name not in found, run.name
        found[run.name] = run
    return found


def _read(path: Path) -> OfflineRun:
    run = OfflineRun()
    for content in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)  # type: ignore[attr-defined]
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.name, run.group = record.run.run_id, record.run.display_name, record.run.run_group
            run.job_type, run.tags = record.run.job_type, list(record.run.tags)
            run.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = record.history.step.num
            assert step not in run.history, (run.name, step)
            run.history[step] = row
        elif kind == "summary":
            run.summary |= {
                item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update
            }
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact" or record.request.HasField("log_artifact"):
            artifact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
            run.artifacts[artifact.name] = {"type": artifact.type, **json.loads(artifact.metadata or "{}")}
    return run


def _records(content: bytes) -> Iterator[bytes]:
    at, whole = FRAME, b""  # the file begins with a mark as long as a frame
    while at + FRAME <= len(content):
        if BLOCK - at % BLOCK < FRAME:  # too little room for a frame: the block is filled up
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + FRAME : at + FRAME + length]
        at += FRAME + length
        if kind not in (START, MIDDLE):
            yield whole
            whole = b""
