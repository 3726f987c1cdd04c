"""What all commands show alike: a console for foreign text, answers as JSON, and the next command at the end."""

from __future__ import annotations

import dataclasses
import math
import shlex
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TextIO

from pneumobench.files import canonical_json

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

TYPED: Final[ContextVar[tuple[str, ...]]] = ContextVar("TYPED", default=())  # the words of this command line

ANSWERS: Final[ContextVar[TextIO | None]] = ContextVar("ANSWERS", default=None)  # where an answer for a program goes


def console_for(*, json: bool = False) -> Console:
    """Return where a command tells what it does: the terminal; stderr where a program reads the answer."""
    from pneumobench.reporting.console import safe_console

    return safe_console(stderr=json)


def next_step(console: Console, *words: object) -> None:
    """End a command with the literal one that goes on from here."""
    console.print(
        f"next: {shlex.join(['pneumobench', *map(str, words)])}", highlight=False, soft_wrap=True, markup=False
    )


def data_words(data: str | None) -> list[str]:
    """Return the option that names the folder of the data again; none where nothing was named."""
    return [] if not data else ["--data", path_word(data)]


def path_word(path: object) -> str:
    """Return a path as a word of a command line, never to be taken for an option."""
    word = str(path)
    return f"./{word}" if word.startswith("-") else word


def same_again(console: Console, *more: str, without: str = "") -> None:
    """End a command with itself and further options, or without one that has no value."""
    words = tuple(word for word in TYPED.get() if word != without)
    next_step(console, *words, *(word for word in more if word not in words))


def tell(console: Console, what: str, path: object) -> None:
    """Tell where something was written, on one line that can be copied."""
    console.print(f"{what}: {path}", highlight=False, soft_wrap=True, markup=False)


def print_json(value: Any) -> None:
    """Print an answer for a program, alone on stdout."""
    answer(canonical_json(value))


def answer(text: str) -> None:
    """Print an answer for a program as it is, alone on stdout."""
    print(text, end="", file=ANSWERS.get() or sys.stdout, flush=True)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON has them, in all that it holds: what does not exist is null."""
    return {name: _as_json(field) for name, field in dataclasses.asdict(value).items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(field) for key, field in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(field) for field in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON has them: what does not exist is null."""
    import json

    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=10))
    return rows
