"""Random changes of a published run: one byte, one field, or one number with every hash renewed after it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import random
import re
from pathlib import Path
from typing import Any

from pneumobench.datasets.table_files import COMPRESSED, compressed_bytes
from pneumobench.files import canonical_json, sha256_of_file, write_json, write_text
from pneumobench.records.checksums import CHECKSUMS, write_checksums
from pneumobench.records.differences import leaves
from pneumobench.records.job_record import write_record
from pneumobench.records.manifest import read_manifest
from pneumobench.records.run_folder import RunFolder, write_predictions


def contents(run: Path) -> dict[str, bytes]:
    """Return every file of a published run by name."""
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def changed(chance: random.Random, name: str, data: bytes, text: bytes) -> bytes:
    """Change one byte of a file, or one field where it has any; the file is another one afterwards.

    Args:
        chance: where the change is drawn from.
        name: of the file.
        data: its bytes.
        text: these, unfolded where they are compressed.
    """
    kind = Path(name.removesuffix(COMPRESSED)).suffix
    if kind in (".json", ".csv") and chance.random() < 0.5:
        change = _other_leaf if kind == ".json" else _other_cell
        new = change(chance, text.decode()).encode()
        return compressed_bytes(new) if name.endswith(COMPRESSED) else new
    place = chance.randrange(len(data))
    return data[:place] + bytes([(data[place] + chance.randrange(1, 256)) % 256]) + data[place + 1 :]


def forged_number(chance: random.Random, run: Path) -> str:
    """Change one number that is computed from predictions, or a prediction, and renew every hash; return the file."""
    folder = RunFolder(run)
    records = [record for record in folder.records() if record.completed]
    record = chance.choice(records)
    kind = chance.choice(["leaderboard.json", "leaderboard.csv", "README.md", "index.html", "history", "record", "row"])
    if kind == "history":
        record = chance.choice([record for record in records if not record.is_control])
        path = folder.history_path(record.architecture, record.fold)
        rows = list(csv.reader(io.StringIO(path.read_text())))
        best, column = record.training["best_epoch"], rows[0].index(chance.choice(["tune_auc", "tune_accuracy"]))
        assert isinstance(best, int)
        rows[best + 1][column] = _other_number(chance, rows[best + 1][column])
        write_text(path, _csv_text(rows))
    elif kind == "record":
        path = folder.record_path(record.architecture, record.fold)
        plain = json.loads(path.read_text())
        counts = [key for key in ("train_images", "tune_images", "epochs_run") if key in plain["training"]]
        plain["training"][chance.choice(counts)] += chance.choice([-1, 1, 7])
        write_json(path, plain)
    elif kind == "row":
        path = folder.predictions_path(record.architecture, record.fold)
        table = folder.predictions(record)
        row = chance.choice(table.index[table["split"] == "test"].tolist())
        table.loc[row, "logit"] = logit = -float(table.loc[row, "logit"]) + chance.choice([-2, 2])
        table.loc[row, "probability"] = 1 / (1 + math.exp(-logit))
        hashes = {**record.hashes, "predictions": write_predictions(path, table)}
        write_record(folder.record_path(record.architecture, record.fold), dataclasses.replace(record, hashes=hashes))
    else:
        path = folder.leaderboard / kind
        change = {".json": _other_leaf, ".csv": _other_cell}.get(path.suffix, _other_digit)
        write_text(path, change(chance, path.read_text(), numbers=True))
    seal_again(run)
    return path.relative_to(run).as_posix()


def seal_again(run: Path) -> None:
    """Renew the manifest and SHA256SUMS, as somebody does who knows both."""
    folder = RunFolder(run)
    known = read_manifest(folder) or {}
    now = {name: sha256_of_file(run / name) if (run / name).is_file() else sha256 for name, sha256 in known.items()}
    write_json(folder.manifest_json, {"format": 1, "files": now})
    (run / CHECKSUMS).unlink(missing_ok=True)
    write_checksums(run)


def _other_leaf(chance: random.Random, text: str, *, numbers: bool = False) -> str:
    plain = json.loads(text)
    places = [place for place, value in leaves(plain) if not numbers or isinstance(value, float)]
    *way, last = _steps(plain, chance.choice(places))
    inside = plain
    for step in way:
        inside = inside[step]
    value = inside[last]
    inside[last] = value + 0.01 if isinstance(value, float) else f"{value}x"
    return canonical_json(plain)


def _steps(plain: Any, place: str) -> list[Any]:
    """Return the keys of a dotted path; a key may have dots in it."""
    if not place:
        return []
    keys = plain if isinstance(plain, dict) else map(str, range(len(plain)))
    key = max((key for key in keys if place == key or place.startswith(f"{key}.")), key=len)
    step = key if isinstance(plain, dict) else int(key)
    return [step, *_steps(plain[step], place[len(key) + 1 :])]


def _other_cell(chance: random.Random, text: str, *, numbers: bool = False) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    cells = [
        (row, column)
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
        if not numbers or re.fullmatch(r"-?\d+\.\d+", cell)
    ]
    row, column = chance.choice(cells)
    cell = rows[row][column]
    rows[row][column] = _other_number(chance, cell) if numbers else f"{cell}1"
    return _csv_text(rows)


def _other_number(chance: random.Random, cell: str) -> str:
    return f"{float(cell) + chance.choice([-1, 1]) * chance.uniform(0.001, 0.2):.6g}"


def _other_digit(chance: random.Random, text: str, *, numbers: bool = False) -> str:
    """Change a digit behind a decimal point."""
    place = chance.choice([found.end() - 1 for found in re.finditer(r"\d\.\d+", text)])
    return text[:place] + str((int(text[place]) + chance.randrange(1, 10)) % 10) + text[place + 1 :]


def _csv_text(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
