"""The answers of readers as their page wrote them, checked against the study before anything is computed from them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import pandas as pd

from pneumobench.errors import DataError
from pneumobench.records.reader_study import READERS, SESSIONS, ReaderStudy
from pneumobench.texts import counted

ANSWER_COLUMNS: Final = (
    "study",
    "reader",
    "session",
    "place",
    "image",
    "help",
    "decision",
    "confidence",
    "map_rating",
    "seconds",
    "answered",
)
DECISIONS: Final = {"pneumonia": True, "normal": False}
HELP: Final = {"with": True, "without": False}
CONFIDENCE: Final = (0, 100)
MAP_RATING: Final = (1, 5)
MOST_BYTES: Final = 2**24
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


def read_answers(study: ReaderStudy, paths: Sequence[Path]) -> pd.DataFrame:
    """Read the files of readers, all of whom have finished both sessions.

    Args:
        study: what they were asked.
        paths: CSV files as the page of the study gives them; those of the two sessions may be two files.

    Returns:
        One row an answer, by reader, session and place: reader, session, place, image (code), help (bool), called
        (bool, true = pneumonia), confidence (0 to 100), map_rating (1 to 5, NaN without help), seconds, answered (UTC).

    Raises:
        DataError: a file is missing, of another study or changed, an answer stands twice, or answers are missing.
    """
    tables = [_read(study, path) for path in paths]
    answers = pd.concat([table.assign(file=str(path)) for table, path in zip(tables, paths, strict=True)])
    twice = answers[answers.duplicated(["reader", "session", "image"], keep=False)]
    if len(twice):
        row = twice.iloc[0]
        same = twice[(twice["reader"] == row["reader"]) & (twice["session"] == row["session"])]
        files = ", ".join(dict.fromkeys(same.loc[same["image"] == row["image"], "file"]))
        _refuse(
            files,
            f"image {row['image']} twice in session {row['session']} of reader {row['reader']} "
            f"({counted(int(twice.duplicated(['reader', 'session', 'image']).sum()), 'repeated answer')})",
            "every answer once; a later file of a reader holds the answers of an earlier one: give the last file "
            "alone, and two people two reader numbers",
        )
    for reader in sorted(answers["reader"].unique()):
        _require_whole(study, answers[answers["reader"] == reader], int(reader))
    return answers.drop(columns="file").sort_values(["reader", "session", "place"], ignore_index=True)


def _require_whole(study: ReaderStudy, answers: pd.DataFrame, reader: int) -> None:
    for session in SESSIONS:
        there = set(answers.loc[answers["session"] == session, "image"])
        missing = [reading.code for reading in study.order(reader, session) if reading.code not in there]
        if missing:
            files = ", ".join(dict.fromkeys(answers["file"]))
            listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            _refuse(
                files,
                f"{len(there)} of {counted(len(study.images), 'answer')} of reader {reader} in session {session} "
                f"(missing: images {listed})",
                "both sessions whole; let the reader go on in the same browser, give the file of the other session "
                "too, or leave this reader out",
            )


def _read(study: ReaderStudy, path: Path) -> pd.DataFrame:
    """Return the answers of one file, checked row by row."""
    try:
        content = path.read_bytes()
    except OSError as error:
        _refuse(str(path), f"no file that can be read ({error.strerror})", "a CSV file that the page of the study gave")
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"{len(content):,} bytes")
        table = pd.read_csv(
            io.BytesIO(content), dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig"
        )
    except (ValueError, pd.errors.ParserError) as error:
        _refuse(str(path), f"no table ({error})", f"the columns {', '.join(ANSWER_COLUMNS)}")
    if tuple(table.columns) != ANSWER_COLUMNS:
        _refuse(
            str(path),
            f"the columns {', '.join(map(str, table.columns))}",
            f"{', '.join(ANSWER_COLUMNS)}, separated by commas, as the page gives them; a spreadsheet may save others",
        )
    if not len(table):
        _refuse(str(path), "no answer", "answers to both sessions")
    rows = [_answer(study, path, line, row) for line, row in enumerate(table.to_dict("records"), start=2)]
    return pd.DataFrame(rows)


def _answer(study: ReaderStudy, path: Path, line: int, row: dict[Any, Any]) -> dict[str, object]:
    """Return one answer with its types, or refuse it naming file and line."""
    where = f"{path}, line {line}"
    if row["study"] != study.id:
        _refuse(where, f"study {row['study']!r}", f"{study.id}, the study of this folder; give its own files")
    reader = _whole(where, row, "reader", 1, READERS)
    session = _whole(where, row, "session", SESSIONS[0], SESSIONS[-1])
    place = _whole(where, row, "place", 1, len(study.images))
    expected = study.order(reader, session)[place - 1]
    if row["image"] not in {image.code for image in study.images}:
        _refuse(where, f"image {row['image']!r}", f"{study.images[0].code} to {study.images[-1].code}")
    for column, known in (("help", HELP), ("decision", DECISIONS)):
        if row[column] not in known:
            _refuse(where, f"{column} {row[column]!r}", " or ".join(known))
    if (row["image"], HELP[row["help"]]) != (expected.code, expected.help):
        words = {value: word for word, value in HELP.items()}
        _refuse(
            where,
            f"image {row['image']} {row['help']} help in place {place} of session {session} of reader {reader}",
            f"image {expected.code} {words[expected.help]} help, as the page shows it to that reader; the file was "
            "changed, or its reader number",
        )
    confidence = _whole(where, row, "confidence", *CONFIDENCE)
    rating = float("nan")
    if expected.help:
        rating = float(_whole(where, row, "map_rating", *MAP_RATING))
    elif row["map_rating"]:
        _refuse(where, f"map_rating {row['map_rating']!r} without help", "an empty cell")
    return {
        "reader": reader,
        "session": session,
        "place": place,
        "image": expected.code,
        "help": expected.help,
        "called": DECISIONS[row["decision"]],
        "confidence": confidence,
        "map_rating": rating,
        "seconds": _seconds(where, row["seconds"]),
        "answered": _time(where, row["answered"]),
    }


def _whole(where: str, row: dict[Any, Any], column: str, low: int, high: int) -> int:
    text = str(row[column])
    if not (text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high):
        _refuse(where, f"{column} {text!r}", f"a whole number from {low} to {high}")
    return int(text)


def _seconds(where: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        _refuse(where, f"seconds {text!r}", "the seconds that the image was looked at")
    return seconds


def _time(where: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, TIME_FORMAT)
    except ValueError:
        _refuse(where, f"answered {text!r}", "a time in UTC such as 2026-05-31T09:30:00Z")


def _refuse(where: str, found: str, expected: str) -> NoReturn:
    raise DataError(f"{where}: found {found}; expected {expected}.")
