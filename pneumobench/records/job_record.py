"""The record of one job: what was trained, on what, and how it ended. Strict JSON, written last."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias

from pneumobench.errors import RecordError, suggestion
from pneumobench.files import canonical_json, write_text
from pneumobench.suite.names import NAME_RULE, is_name

RECORD_FORMAT: Final = 1
RECORD_BYTES_MAX: Final = 1_000_000  # a record is about 3 kB; a larger file is not one, and is not parsed
HASH_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
STATUSES: Final = ("completed", "failed", "diverged")
HASH_KEYS: Final = ("suite", "index", "folds", "initial_weights", "weights", "predictions", "attention")
SHARED_HASH_KEYS: Final = ("suite", "index", "folds")  # equal in every record of one leaderboard

# keys of `inputs`; the first two stand before the name of a file or an architecture
PLUGIN, WEIGHTS, LUNG_MASKS, SEGMENTER, ORIGINAL_SIZES = (
    "plugin ", "initial weights ", "lung masks", "lung segmenter", "original sizes",
)  # fmt: skip
ADDED_LATER: Final = ("inputs", "accepted", "images_hashed", "step_seconds")  # keys that older records do not have

COST_KINDS: Final = {"parameters": (int,), "trainable_parameters": (int,), "flops_per_image": (int, type(None))}
CONTROL_ORIGIN: Final = "control"  # weights_origin of a model that does not read lungs

Status: TypeAlias = Literal["completed", "failed", "diverged"]
Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """What a job cost on the hardware of its record; None = not measured. `step_seconds` is a median, with loading."""

    parameters: int
    trainable_parameters: int
    flops_per_image: int | None = None
    training_seconds: float | None = None
    step_seconds: float | None = None
    inference_images_per_second: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobExplanation:
    """How the heat maps of one job were made. `grid` is rows x columns of the layer's map."""

    method: str
    layer: str
    layout: str
    grid: tuple[int, int]
    mask_tier: str
    images: int
    degenerate: int
    seconds_per_image: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job = (architecture, fold, seed), completed or not.

    `hashes` are SHA-256 in hexadecimal: `suite`, `index` and `folds`
    (`Suite.training_hash()`, `Index.hash()`, `Folds.hash()`), `initial_weights` (of the tensors, a new head
    included; older records do not have it), `weights`, `predictions` and `attention`
    (bytes of the job's files, of a compressed table those of its text; absent where the job did not come that far).
    `inputs` are SHA-256 of further files that shaped the job: `plugin FILE`, `initial weights ARCHITECTURE`,
    `lung masks`, `lung segmenter`, `original sizes`. `accepted` says in words what of code, versions and inputs had
    changed since the run began; empty = nothing. `images_hashed` is when the oldest hash of an image was read from its
    file, in UTC; empty = not known.
    `reason` is one line, and present exactly when the job did not complete.
    """

    status: Status
    suite: str
    architecture: str
    fold: int
    seed: int
    weights_origin: str
    hashes: dict[str, str]
    software: dict[str, str]
    hardware: dict[str, str | int | float]
    training: dict[str, Scalar] = field(default_factory=dict)
    cost: JobCost | None = None
    explanation: JobExplanation | None = None
    reason: str | None = None
    plugin: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    accepted: str = ""
    images_hashed: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    format: int = RECORD_FORMAT

    @property
    def is_control(self) -> bool:
        """Whether this is a control, not a network."""
        return self.weights_origin == CONTROL_ORIGIN

    @property
    def completed(self) -> bool:
        """Whether the job has predictions to count."""
        return self.status == "completed"


def write_record(path: Path, record: JobRecord) -> None:
    """Write `record` as strict canonical JSON, whole or not at all.

    Raises:
        RecordError: the record could not be read back.
    """
    write_text(path, record_text(record, path))


def record_text(record: JobRecord, path: Path) -> str:
    """Return a record as strict canonical JSON.

    Raises:
        RecordError: the record could not be read back from `path`: a bad name, a number that is not finite, ...
    """
    plain = dataclasses.asdict(record)
    if record.explanation is not None:
        plain["explanation"]["grid"] = list(record.explanation.grid)
    _refuse_not_finite(plain, path, "record")
    _checked(plain, path)
    return canonical_json(plain)


def read_record(path: Path) -> JobRecord:
    """Read a record, refusing everything that a writer of records would not have written.

    Raises:
        RecordError: the file is missing, over 1 MB or not strict JSON (NaN, duplicate keys), or a key is
            unknown, missing or of the wrong type, or a name is not `[a-z0-9_.-]{1,64}`.
    """
    try:
        size = path.stat().st_size
        if size > RECORD_BYTES_MAX:
            _refuse(path, f"a file of {size:,} bytes", f"a record of at most {RECORD_BYTES_MAX:,} bytes")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        _refuse(path, f"no readable file ({error.strerror})", "a job's record")
    except UnicodeDecodeError:
        _refuse(path, "bytes that are not UTF-8", "JSON in UTF-8")

    def pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                _refuse(path, f"the key {key!r} twice", "every key once")
            seen[key] = value
        return seen

    def no_constant(name: str) -> NoReturn:
        _refuse(path, f"the number {name}", "finite numbers only")

    try:
        plain = json.loads(text, object_pairs_hook=pairs_once, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"text that is not JSON ({error})", "strict JSON")
    _refuse_not_finite(plain, path, "record")
    return _checked(plain, path)


def _refuse(path: Path, found: str, expected: str) -> NoReturn:
    raise RecordError(
        f"{path}: found {found}, expected {expected}. Delete the job's folder and run the suite again: "
        "only that job is trained again."
    )


def _refuse_not_finite(value: Any, path: Path, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(path, f"{where} = {value}", "finite numbers only (null for a number that does not exist)")
    if isinstance(value, dict):
        for key, part in value.items():
            _refuse_not_finite(part, path, f"{where}.{key}")
    if isinstance(value, list | tuple):
        for part in value:
            _refuse_not_finite(part, path, where)


def _fields_of(kind: type[Any], plain: Any, path: Path, where: str) -> dict[str, Any]:
    """Return `plain` if it is an object with exactly the fields of the dataclass `kind`."""
    if not isinstance(plain, dict):
        _refuse(path, f"{where} of type {type(plain).__name__}", "an object")
    known = [entry.name for entry in dataclasses.fields(kind)]
    for key in plain:
        if key not in known:
            _refuse(path, f"the unknown key {where}.{key}", suggestion(key, known) or f"one of {', '.join(known)}")
    for key in known:
        if key not in plain and key not in ADDED_LATER:
            _refuse(path, f"no key {where}.{key}", "every field of a record (null where it has no value)")
    return plain


def _typed(plain: Mapping[str, Any], key: str, kinds: tuple[type, ...], path: Path, where: str) -> Any:
    value = plain[key]
    # bool is an int in Python and never a count here
    right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not right:
        expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        _refuse(path, f"{where}.{key} = {value!r}", expected)
    return value


def _amount(plain: Mapping[str, Any], key: str, kinds: tuple[type, ...], path: Path, where: str) -> None:
    value = _typed(plain, key, kinds, path, where)
    if value is not None and value < 0:
        _refuse(path, f"{where}.{key} = {value!r}", "a number that is not negative")


def _scalars(plain: Mapping[str, Any], key: str, kinds: tuple[type, ...], path: Path) -> dict[str, Any]:
    table = _typed(plain, key, (dict,), path, "record")
    return {name: _typed(table, name, kinds, path, f"record.{key}") for name in table}


def _checked(plain: Any, path: Path) -> JobRecord:
    """Turn plain JSON into a record, or raise RecordError with the first fault."""
    plain = {"inputs": {}, "accepted": "", "images_hashed": "", **_fields_of(JobRecord, plain, path, "record")}
    if plain["format"] != RECORD_FORMAT or isinstance(plain["format"], bool):
        _refuse(path, f"record.format = {plain['format']!r}", f"format {RECORD_FORMAT}")
    if plain["status"] not in STATUSES:
        _refuse(path, f"record.status = {plain['status']!r}", f"one of {', '.join(STATUSES)}")
    for key in ("suite", "architecture"):
        if not is_name(_typed(plain, key, (str,), path, "record")):
            _refuse(path, f"record.{key} = {plain[key]!r}", f"a name: {NAME_RULE}")
    for key in ("fold", "seed"):
        _amount(plain, key, (int,), path, "record")
    for key in ("weights_origin", "created", "accepted", "images_hashed"):
        _typed(plain, key, (str,), path, "record")
    for key in ("reason", "plugin"):
        _typed(plain, key, (str, type(None)), path, "record")
    if (plain["status"] == "completed") != (plain["reason"] is None):
        _refuse(
            path,
            f"status {plain['status']} with reason {plain['reason']!r}",
            "a reason exactly when the job did not complete",
        )
    try:
        written = datetime.fromisoformat(plain["created"])
    except ValueError:
        written = None
    if written is None or written.utcoffset() is None or written.utcoffset() != UTC.utcoffset(None):
        _refuse(path, f"record.created = {plain['created']!r}", "a time in UTC such as 2026-01-31T09:30:00+00:00")
    hashes = _scalars(plain, "hashes", (str,), path)
    for key, value in hashes.items():
        if key not in HASH_KEYS:
            _refuse(path, f"the unknown key record.hashes.{key}", f"one of {', '.join(HASH_KEYS)}")
        if HASH_PATTERN.fullmatch(value) is None:
            _refuse(path, f"record.hashes.{key} = {value!r}", "a SHA-256 of 64 hexadecimal digits")
    needed: tuple[str, ...] = SHARED_HASH_KEYS
    if plain["status"] == "completed":  # a control is fitted again in seconds and keeps no weights
        kept = ("predictions",) if plain["weights_origin"] == CONTROL_ORIGIN else ("weights", "predictions")
        needed = (*SHARED_HASH_KEYS, *kept)
    for key in needed:
        if key not in hashes:
            _refuse(path, f"no key record.hashes.{key}", f"the hash of the job's {key}")
    scalar_kinds = (str, int, float, bool, type(None))
    return JobRecord(
        **{
            **plain,
            "hashes": hashes,
            "inputs": _scalars(plain, "inputs", (str,), path),
            "software": _scalars(plain, "software", (str,), path),
            "hardware": _scalars(plain, "hardware", (str, int, float), path),
            "training": _scalars(plain, "training", scalar_kinds, path),
            "cost": None if plain["cost"] is None else _cost(plain["cost"], path),
            "explanation": None if plain["explanation"] is None else _explanation(plain["explanation"], path),
        }
    )


def _cost(plain: Any, path: Path) -> JobCost:
    where = "record.cost"
    plain = {"step_seconds": None, **_fields_of(JobCost, plain, path, where)}
    for key in plain:
        _amount(plain, key, COST_KINDS.get(key, (int, float, type(None))), path, where)
    return JobCost(**plain)


def _explanation(plain: Any, path: Path) -> JobExplanation:
    where = "record.explanation"
    plain = _fields_of(JobExplanation, plain, path, where)
    for key in ("method", "layer", "layout", "mask_tier"):
        _typed(plain, key, (str,), path, where)
    for key in ("images", "degenerate"):
        _amount(plain, key, (int,), path, where)
    _amount(plain, "seconds_per_image", (int, float, type(None)), path, where)
    grid = plain["grid"]
    if not (isinstance(grid, list | tuple) and len(grid) == 2 and all(type(side) is int for side in grid)):
        _refuse(path, f"{where}.grid = {grid!r}", "[rows, columns]")
    return JobExplanation(**{**plain, "grid": (grid[0], grid[1])})
