"""Tables of a run on disk: written whole, and read only as they were written."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.datasets.table_files import table_bytes, write_table_text
from pneumobench.errors import RecordError

FLOAT_FORMAT: Final = "%.9g"  # nine digits bring a float32 back exactly


def write_table(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> str:
    """Write a table, whole or not at all, and return the SHA-256 of its text."""
    assert set(table.columns) == set(columns), f"{path.name}: columns {sorted(table.columns)}"
    buffer = io.StringIO()
    table[list(columns)].to_csv(buffer, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    return write_table_text(path, buffer.getvalue())


def read_table(
    path: Path,
    columns: tuple[str, ...],
    sha256: str | None,
    *,
    or_columns: tuple[str, ...] = (),
    may_lack: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a table, plain or compressed, after comparing its SHA-256 and its columns (or those).

    Empty cells stay empty strings.

    Args:
        path: the table.
        columns: what it has, in this order.
        sha256: of its text.
        or_columns: what it may have instead.
        may_lack: those of `columns` that it need not have.

    Raises:
        RecordError: the file is missing or changed, or has other columns.
    """
    try:
        text = table_bytes(path)
    except OSError as error:
        raise RecordError(
            f"{path}: found no readable file ({error.strerror}), expected the table that the record beside "
            "it names. Bring it back or delete the job's folder and run the suite again."
        ) from error
    if (found := hashlib.sha256(text).hexdigest()) != sha256:
        raise RecordError(
            f"{path}: found SHA-256 {found}, expected {sha256} (record.json beside it): the table was "
            "changed after the job. Bring it back or delete the job's folder and run the suite again."
        )
    texts: dict[str, type[str]] = dict.fromkeys(("image_id", "split", "method", "mask_tier", "blanking"), str)
    try:
        table = pd.read_csv(io.BytesIO(text), dtype=texts, keep_default_na=False, na_filter=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise RecordError(f"{path}: found no table ({error}), expected the columns {', '.join(columns)}.") from error
    there = tuple(name for name in columns if name not in may_lack or name in table.columns)
    require(
        path,
        tuple(table.columns) in (there, or_columns),
        f"the columns {', '.join(map(str, table.columns))}",
        f"exactly {', '.join(columns)}",
    )
    return table


def require(path: Path, right: bool, found: str, expected: str) -> None:
    """Refuse a table of a job that cannot be right.

    Raises:
        RecordError: it is not right.
    """
    if not right:
        raise RecordError(
            f"{path}: found {found}, expected {expected}. Delete the job's folder and run the suite again."
        )


def require_unique(path: Path, names: pd.Series[str]) -> None:
    """Refuse a table in which a name stands twice.

    Raises:
        RecordError: one does.
    """
    twice = names[names.duplicated()]
    if len(twice):
        require(path, False, f"{twice.iloc[0]!r} twice ({len(twice)} repeated rows)", "every image once")
