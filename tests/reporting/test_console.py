"""Foreign text steers no terminal, and names break between their words."""

from __future__ import annotations

import io

import pytest
import timm
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pneumobench.reporting.console import Name, safe_console, wrapped

ESCAPE = "film\x1b[31m\x1b]0;owned\x07\u202e.png"


@pytest.mark.parametrize("shown", [ESCAPE, Text(ESCAPE), Name(ESCAPE)], ids=["text", "rich", "name"])
@pytest.mark.parametrize("in_table", [False, True])
def test_no_escape_of_a_name_reaches_the_terminal(
    shown: str | Text | Name, in_table: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    console = safe_console()
    if in_table:
        table = Table(title=ESCAPE, caption=ESCAPE)
        table.add_column(ESCAPE)
        table.add_row(shown)
        console.print(table)
    else:
        console.print(shown, markup=False)
    written = capsys.readouterr().out
    assert "film" in written
    assert not {"\x1b", "\x07", "\u202e"} & set(written)


def test_colours_of_our_own_stay() -> None:
    console = safe_console()
    console.file, console._color_system, console._force_terminal = io.StringIO(), 1, True  # type: ignore[assignment]
    console.print("done", style="red")
    assert "\x1b[31mdone" in console.file.getvalue()


def test_names_of_networks_break_between_words() -> None:
    for name in timm.list_models():
        for width in (14, 24):
            lines = wrapped(name, width)
            assert "".join(lines) == name
            assert all(len(line) <= width for line in lines)
            for line in lines[:-1]:
                assert line[-1] in "_.-" or len(line) == width, f"{name}: {lines}"


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_name_leaves_the_numbers_whole(width: int) -> None:
    table = Table()
    table.add_column("architecture")
    table.add_column("AUC", no_wrap=True)
    table.add_row(Name("vit_large_patch14_reg4_dinov2.lvd142m *"), "0.988 [0.981, 0.992]")
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "0.988 [0.981, 0.992]" in text
    assert max(map(len, text.splitlines())) <= width
    assert all(word in text for word in ("vit_", "large_", "patch14_", "reg4_", "dinov2.", "lvd142m"))
