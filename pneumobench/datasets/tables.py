"""Tables of text as people have them: any usual separator, encoding and suffix, and what spreadsheets leave behind."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.errors import DataError

TABLE_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt"})
SEPARATORS: Final = (",", ";", "\t", "|")
_NO_TABLES: Final = {
    b"PK\x03\x04": "a spreadsheet workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet workbook",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer (fetch it with `git lfs pull`)",
}
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_BLANK: Final = " \t\u00a0\u200b\ufeff"
_UNNAMED: Final = re.compile(r"(unnamed: ?\d+(_level_\d+)?)?", flags=re.IGNORECASE)  # what pandas calls its row numbers


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table as text.

    Args:
        headings: the names in its first line, blanks around them left out.
        rows: its cells, blanks around them left out, as many as there are headings; empty rows are left out.
        lines: the line of the file that each row ends in.
        encoding: how its bytes were read.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    encoding: str

    def column(self, position: int) -> pd.Series[str]:
        """Return the cells of a column, by line of the file."""
        return pd.Series([row[position] for row in self.rows], index=pd.Index(self.lines), dtype=object)

    def named(self) -> list[int]:
        """Return the positions of the columns that have a name, not what a program wrote for none."""
        return [at for at, heading in enumerate(self.headings) if is_named(heading)]


def is_named(heading: str) -> bool:
    """Tell whether a heading is a name, not what spreadsheets and pandas write where there is none.

    >>> [heading for heading in ("", "Unnamed: 0", "image") if is_named(heading)]
    ['image']
    """
    return _UNNAMED.fullmatch(heading) is None


def read_text_table(path: Path) -> TextTable:
    """Read a table whose first line that is not empty holds the headings.

    Cells are separated by a comma, semicolon, tab or bar, whichever divides the first line into most; bytes are UTF-8,
    UTF-16 or, where they are neither, Windows-1252.

    Raises:
        DataError: the file cannot be read, is no table of text, is empty, or a row has more cells than there are
            headings.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    for start, what in _NO_TABLES.items():
        if content.startswith(start):
            raise DataError(f"{path}: not a readable CSV table but {what}; save it as CSV (UTF-8).")
    text, encoding = _decoded(path, content)
    started = text.lstrip(" \ufeff\r\n")
    skipped = text[: len(text) - len(started)].count("\n")
    while started.startswith("#") and not any(mark in started.partition("\n")[0] for mark in SEPARATORS):
        started, skipped = started.partition("\n")[2], skipped + 1  # a comment above the headings
    text = started.rstrip("\x1a")
    if stated := re.match(r"\"?sep=(.)\"?\r?\n", text):  # the line that spreadsheets ask for
        text, skipped = text[stated.end() :], skipped + 1
    separator = stated[1] if stated else _separator(text)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for written in reader:
            cells = tuple(cell.strip(_BLANK) for cell in written)
            if any(cells):
                rows.append(cells)
                lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise DataError(
            f"{path} line {reader.line_num + skipped}: not a readable CSV table: {error}; a quotation mark is not "
            "closed, or stands beside other text of its cell."
        ) from error
    if not rows:
        raise DataError(
            f"{path}: not a readable CSV table: it is empty; expected a line of headings and a line an image."
        )
    width = len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if any(row[width:]):
            raise DataError(
                f"{path} line {line}: {len(row)} cells, and {width} headings; put a cell that holds {separator!r} into "
                "quotation marks."
            )
    filled = tuple((*row[:width], *[""] * (width - len(row))) for row in rows[1:])
    return TextTable(headings=rows[0], rows=filled, lines=tuple(lines[1:]), encoding=encoding)


def has_headings(path: Path, *names: str) -> bool:
    """Tell whether a file is a table with these headings; only its beginning is read."""
    try:
        with path.open("rb") as file:
            text, _ = _decoded(path, file.read(1 << 16))
    except (OSError, DataError):
        return False
    first = _first_line(text.lstrip(" \ufeff\r\n"))
    return set(names) <= {cell.strip(_BLANK) for cell in next(csv.reader([first], delimiter=_separator(first)), [])}


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text of a table and the name of its encoding."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    beginning = content[:200]
    if marked is None and beginning.count(0) * 3 > len(beginning):  # every other byte of UTF-16 without a mark
        marked = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: not a readable CSV table: neither UTF-8, UTF-16 nor Windows-1252; save it as UTF-8.")


def _first_line(text: str) -> str:
    return re.split(r"\r|\n", text, maxsplit=1)[0]


def _separator(text: str) -> str:
    """Return the separator that divides the first line into most cells; the first of them where several do."""
    first = _first_line(text)

    def cells(separator: str) -> int:
        return len(next(csv.reader([first], delimiter=separator), []))

    return max(SEPARATORS, key=cells)
