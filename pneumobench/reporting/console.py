"""A console that shows foreign text and obeys none of it, its tables, and names that break between their words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.markup import escape
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pneumobench.texts import safe_text


class _Safe:
    """Anything, with what steers a terminal in its text written out; its own colours stay."""

    def __init__(self, shown: ConsoleRenderable) -> None:
        self.shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.shown, options):
            yield segment if segment.control else Segment(safe_text(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.shown)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [shown if isinstance(shown, Control) else _Safe(shown) for shown in renderables]


def safe_console(*, stderr: bool = False) -> Console:
    """Return a console on which names of files, patients and networks are only text."""
    console = Console(stderr=stderr)
    console.push_render_hook(_Hook())
    return console


def console_table(title: str = "", caption: str = "") -> Table:
    """Return an empty table as all tables look in a terminal.

    Args:
        title: above it, as plain text; empty = none.
        caption: below it, as plain text; empty = none.
    """
    return Table(
        title=escape(title) or None,
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


class Name:
    """A name in a table that breaks behind `_`, `-`, `.`, `/` or a space, never inside a word.

    Args:
        text: the name, and marks behind it.
    """

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            yield from (Text(part) for part in wrapped(line, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(len(line) for line in self.lines)
        shortest = max(len(word) for line in self.lines for word in _words(line))
        return Measurement(min(shortest, options.max_width), min(longest, options.max_width))


def wrapped(name: str, width: int) -> list[str]:
    """Return the lines of a name; a word that is longer than a line alone is cut.

    >>> wrapped("vit_tiny_patch16_224.augreg", 14)
    ['vit_tiny_', 'patch16_224.', 'augreg']
    """
    lines = [""]
    for word in _words(name):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return [part for line in lines for part in _cut(line.rstrip(), width)]


def _words(name: str) -> list[str]:
    return re.findall(r"[^_\-./ ]*[_\-./ ]+|[^_\-./ ]+", name) or [""]


def _cut(line: str, width: int) -> Iterable[str]:
    return [line[start : start + width] for start in range(0, len(line), max(width, 1))] or [""]
