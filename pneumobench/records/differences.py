"""What differs between a file as it lies there and as it is computed again, by file and field, with both values."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

from pneumobench.errors import PneumobenchError

Fields: TypeAlias = dict[str, Any]  # values by place

SHOWN_LETTERS: Final = 60  # of a value
ROW_WORDS: Final = 2  # that name a row of a table: architecture and value, or architecture and part
NOTHING: Final = "nothing"
SAID: Final = re.compile(r"found (.+?), expected (.+?)(?:[.:;] [A-Za-z`].*|\.)?")  # what stands behind is a remedy
FOLDS: Final = re.compile(r"\((folds\.json)\)")  # of leaks


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where a file is not what it has to be.

    Args:
        file: relative to the folder that was checked.
        field: dotted path in JSON, row and column of a table, a line, `SHA-256`; empty = the file as a whole.
        found: what is there.
        expected: what had to be there; empty where `found` says it all.
    """

    file: str
    field: str = ""
    found: str
    expected: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, {self.field}" if self.field else self.file
        return f"{where}: found {self.found}, expected {self.expected}" if self.expected else f"{where}: {self.found}"


def text_differences(file: str, found: bytes, expected: str) -> list[Difference]:
    """Compare a file with its text as it is computed again, byte for byte.

    Args:
        file: its name, whose suffix says what it is: of .json every leaf is named that differs, of .csv every cell, of
            others the first line.
        found: its bytes.
        expected: the text.

    >>> for one in text_differences("a.json", b'{"rows": [{"auc": 0.9}]}', '{"rows": [{"auc": 0.8}]}'):
    ...     print(one)
    a.json, rows.0.auc: found 0.9, expected 0.8
    """
    if found == expected.encode():
        return []
    try:
        text = found.decode()
    except UnicodeDecodeError as error:
        return [Difference(file=file, found=f"bytes that are not UTF-8 (at {error.start:,})", expected="text")]
    parts: dict[str, Callable[[str], Fields]] = {".json": _json_fields, ".csv": _csv_fields}
    if (fields := parts.get(PurePosixPath(file).suffix)) is not None:
        try:
            there, wanted = fields(text), fields(expected)
        except (ValueError, RecursionError) as error:
            what = PurePosixPath(file).suffix[1:].upper()
            return [Difference(file=file, found=f"text that is not {what} ({error})", expected=what)]
        named = [
            Difference(file=file, field=name, found=_shown(there, name), expected=_shown(wanted, name))
            for name in {**wanted, **there}
            if _other(there, wanted, name)
        ]
        if named:
            return named
    return [_first_line(file, text, expected)]


def difference_of(error: Exception, folder: Path, *, file: str = ".") -> Difference:
    """Return an error of reading a folder as a difference: our own messages say what was found and expected.

    Args:
        error: what was raised.
        folder: what was read.
        file: named where the message names none.

    >>> from pneumobench.errors import RecordError
    >>> print(difference_of(RecordError("run/folds.json: found text, expected JSON. Bring it back."), Path("run")))
    folds.json: found text, expected JSON
    """
    text = " ".join(str(error).split())
    if not isinstance(error, PneumobenchError):
        what = f"content that cannot be read ({type(error).__name__}: {text})"
        return Difference(file=file, found=what, expected="what a run has")
    if (inside := FOLDS.search(text)) is not None:
        return Difference(file=inside[1], found=text[: inside.end()])
    place, _, rest = text.partition(": ")
    if place == str(folder) or Path(place).is_relative_to(folder):
        file, text = Path(place).relative_to(folder).as_posix(), rest
    if (told := SAID.fullmatch(text)) is None:
        return Difference(file=file, found=text)
    key, _, value = told[1].partition(" ")
    if value and (place := _place_in_json(folder / file, key)):
        return Difference(file=file, field=place, found=value, expected=told[2])
    return Difference(file=file, found=told[1], expected=told[2])


def _place_in_json(path: Path, key: str) -> str:
    """Return the dotted path of the only leaf of this name, else nothing."""
    try:
        places = [place for place, _ in leaves(json.loads(path.read_bytes())) if place.rpartition(".")[2] == key]
    except (OSError, ValueError, RecursionError):
        return ""
    return places[0] if len(places) == 1 else ""


def numbers_in(file: str, text: str) -> int:
    """Return how many numbers a JSON or CSV text has; 0 for other kinds.

    >>> numbers_in("a.csv", "name,auc,images\\nresnet18,0.9,12\\n")
    2
    """
    if file.endswith(".json"):
        return sum(type(value) in (int, float) for value in _json_fields(text).values())
    return sum(map(_is_number, _csv_fields(text).values())) if file.endswith(".csv") else 0


def _shown(fields: Fields, name: str) -> str:
    """Return a value for a message."""
    if name not in fields:
        return NOTHING
    value = fields[name]
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return short(text)


def short(text: str) -> str:
    """Return text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_LETTERS else f"{line[: SHOWN_LETTERS - 1]}…"


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of plain JSON with its dotted path; empty lists and objects are leaves.

    >>> dict(leaves({"a": {"b": 1}, "c": [2, {"d": None}]}))
    {'a.b': 1, 'c.0': 2, 'c.1.d': None}
    """
    inside = value.items() if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else ()
    if not inside:
        yield place, value
    for key, part in inside:
        yield from leaves(part, f"{place}.{key}" if place else str(key))


def _json_fields(text: str) -> Fields:
    return dict(leaves(json.loads(text)))


def _csv_fields(text: str) -> Fields:
    """Return every cell by row and column; a row is counted, and named by its first words behind a rank."""
    rows = list(csv.reader(io.StringIO(text), strict=True))
    head, *body = rows or [[]]
    cells = {f"heading {number}": name for number, name in enumerate(head, start=1)}
    for line, row in enumerate(body, start=2):
        behind = itertools.dropwhile(lambda cell: not cell or _is_number(cell), row)
        words = list(itertools.takewhile(lambda cell: cell and not _is_number(cell), behind))[:ROW_WORDS]
        name = f"line {line} ({' '.join(words)})" if words else f"line {line}"
        columns = [*head, *(f"column {number}" for number in range(len(head) + 1, len(row) + 1))]
        cells |= {f"{name}.{column}": cell for column, cell in zip(columns, row, strict=False)}
    return cells


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _other(found: Fields, expected: Fields, name: str) -> bool:
    if name not in found or name not in expected:
        return True
    return bool(type(found[name]) is not type(expected[name]) or found[name] != expected[name])


def _first_line(file: str, found: str, expected: str) -> Difference:
    pairs = itertools.zip_longest(found.splitlines(keepends=True), expected.splitlines(keepends=True))
    for number, (there, wanted) in enumerate(pairs, start=1):
        if there != wanted:
            told = [NOTHING if line is None else _from_first_letter(line, there, wanted) for line in (there, wanted)]
            return Difference(file=file, field=f"line {number}", found=told[0], expected=told[1])
    raise AssertionError("equal texts")


def _from_first_letter(line: str, there: str | None, wanted: str | None) -> str:
    """Return a line, from a little before the first letter that differs where it is long; ends of lines are written."""
    pairs = zip(there or "", wanted or "", strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(0, same - SHOWN_LETTERS // 3) if len(line) > SHOWN_LETTERS else 0
    part = line[start : start + SHOWN_LETTERS]
    return ("…" if start else "") + repr(part)[1:-1] + ("…" if start + SHOWN_LETTERS < len(line) else "")
