"""Heat maps over radiographs, read from the jobs' folders for the page."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pneumobench.errors import RecordError
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.columns import number

FILE_PATTERN: Final = re.compile(r"\d{2,4}-(tp|fn|fp|tn)\.png")
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PNG_BYTES_MAX: Final = 1_000_000  # a 224 px overlay is about 80 kB; the page has to stay light
SHOWN_OF_OUTCOME: Final = 3  # images of each outcome and architecture
OUTCOME_WORDS: Final = {
    "fn": "missed pneumonia",
    "fp": "false alarm",
    "tp": "pneumonia found",
    "tn": "normal, called normal",
}  # errors first: they teach more


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One heat map over one image. `source` is a data URI; captions carry no name of an image or patient."""

    outcome: str
    words: str
    fold: int
    probability: str
    lar: str
    source: str


@dataclass(frozen=True, kw_only=True)
class OverlayRow:
    """The heat maps of one architecture."""

    architecture: str
    overlays: tuple[Overlay, ...]


def read_overlays(folder: RunFolder, board: Leaderboard) -> tuple[OverlayRow, ...]:
    """Read a few overlays of every outcome of every architecture, from as many folds as possible.

    Raises:
        RecordError: overlays.json is damaged, or names a file that is not a PNG beside it.
    """
    rows = []
    for row in board.rows:
        entries = [(fold, entry) for fold in sorted(row.folds) for entry in _entries(folder, row.architecture, fold)]
        chosen: list[Overlay] = []
        for outcome, words in OUTCOME_WORDS.items():
            place_in_fold: dict[int, int] = {}
            ordered = []
            for fold, entry in entries:
                if entry["outcome"] == outcome:
                    place_in_fold[fold] = place_in_fold.get(fold, -1) + 1
                    ordered.append((place_in_fold[fold], fold, entry))
            ordered.sort(key=lambda item: item[:2])
            chosen += [
                _overlay(folder.attributions_folder(row.architecture, fold), fold, entry, words)
                for _, fold, entry in ordered[:SHOWN_OF_OUTCOME]
            ]
        if chosen:
            rows.append(OverlayRow(architecture=row.architecture, overlays=tuple(chosen)))
    return tuple(rows)


def _entries(folder: RunFolder, architecture: str, fold: int) -> list[dict[str, Any]]:
    path = folder.attributions_folder(architecture, fold) / "overlays.json"
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            outcome = FILE_PATTERN.fullmatch(entry["file"])
            lar_is_right = entry["lar"] is None or 0 <= float(entry["lar"]) <= 1 + 1e-6
            if outcome is None or outcome[1] != entry["outcome"] or not lar_is_right:
                raise ValueError(f"entry {entry!r}")
            float(entry["probability"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RecordError(
            f"{path}: found no list of overlays ({error}), expected file (NN-OUTCOME.png), outcome, "
            "probability and lar of each. Delete the folder attributions to leave these images out."
        ) from error
    return list(entries)


def _overlay(folder: Path, fold: int, entry: dict[str, Any], words: str) -> Overlay:
    path = folder / entry["file"]
    try:
        data = path.read_bytes() if path.stat().st_size <= PNG_BYTES_MAX else b""
    except OSError:
        data = b""
    if not data.startswith(PNG_SIGNATURE):
        raise RecordError(
            f"{path}: found no PNG image of at most {PNG_BYTES_MAX:,} bytes, expected the overlay that "
            "overlays.json names. Bring it back or explain the job again."
        )
    return Overlay(
        outcome=entry["outcome"],
        words=words,
        fold=fold,
        probability=number(float(entry["probability"]), 2),
        lar=number(None if entry["lar"] is None else float(entry["lar"]), 2),
        source="data:image/png;base64," + base64.b64encode(data).decode("ascii"),
    )
