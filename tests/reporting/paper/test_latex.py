"""Tables in LaTeX: nothing in a cell is taken for a command, and the columns of every row are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumobench.reporting.main_tables import cells
from pneumobench.reporting.paper.folder import PaperFiles
from pneumobench.reporting.paper.latex import LONG_TABLE, SIGNS, latex_table, latex_text
from pneumobench.texts import safe_text

SPECIAL = re.compile(r"(?<!\\)[#$%&_^~{}]")
RULES = (r"\toprule", r"\midrule", r"\bottomrule")
BACK = {sign: character for character, sign in SIGNS.items()}
TOKEN = re.compile("|".join(map(re.escape, sorted(BACK, key=len, reverse=True))) + r"|\{\}-|.", flags=re.DOTALL)


def read_back(latex: str) -> str:
    """Return the text that a cell shows."""
    return "".join("-" if token == "{}-" else BACK.get(token, token) for token in TOKEN.findall(latex))


def check_table(text: str) -> list[list[str]]:
    """Return the cells of a table after checking what TeX stumbles over: braces, environments, columns, letters."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert code.isascii()
    assert len(re.findall(r"(?<!\\)\{", code)) == len(re.findall(r"(?<!\\)\}", code))
    assert re.findall(r"\\begin\{(\w+)\}", code) == re.findall(r"\\end\{(\w+)\}", code)
    columns = re.search(r"\\begin\{\w+\}\{([lr]+)\}", code)
    assert columns is not None
    assert [code.count(rule) >= 1 for rule in RULES] == [True] * 3
    lines = [line for line in code.splitlines() if line.endswith(r" \\") and "multicolumn" not in line]
    rows = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]
    assert {len(row) for row in rows} == {len(columns[1])}
    for row in rows:
        assert not row[0].startswith("["), "an argument of the line before"
        for cell in row:
            rest = re.sub(r"\$\\\w+\$|\$-\$|\\text\w+\{\}|\{\}-|^\{|\}$", "", cell)
            assert SPECIAL.search(rest) is None, cell
    return rows


@pytest.mark.parametrize("name", ["ranking", "decisions", "decisions-tuned", "pairs", "official"])
def test_tables_are_whole(name: str, made: PaperFiles) -> None:
    rows = check_table((made.folder / f"{name}.tex").read_text())
    markdown = [line for line in (made.folder / f"{name}.md").read_text().splitlines() if line.startswith("| ")]
    shown = [read_back(rows[place][0]) for place in range(len(rows))]
    assert shown == [line.split(" | ")[0].removeprefix("| ") for line in markdown if not line.startswith("| ---")]


def test_the_checks_find_a_wrong_table(made: PaperFiles) -> None:
    text = Path(made.folder / "ranking.tex").read_text()
    check_table(text)
    for wrong in (
        text.replace(r"\_", "_"),
        text.replace(" & ", " ", 1),
        text.replace(r"$\ast$", "†"),
        text.rstrip()[:-14],
    ):
        with pytest.raises(AssertionError):
            check_table(wrong)


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_text_is_shown_as_it_is(text: str) -> None:
    plain = safe_text(" ".join(text.split()))
    if "--" not in plain and "{}" not in plain:
        assert read_back(latex_text(text)) == plain


def test_hostile_cells_stay_cells() -> None:
    hostile = [r"\input{/etc/passwd}", "50 % & more_", "[x]", "a -- b", "$x^2$ ~ #1 † ‡ ≤ – −1 × ±"]
    rows = check_table(latex_table(cells(["a"], [[text] for text in hostile]), ["a comment\nwith two lines"]))
    assert rows[1] == [r"\textbackslash{}input\{/etc/passwd\}"]
    assert rows[4] == ["a -{}- b"]


def test_a_long_table_breaks_across_pages() -> None:
    text = latex_table(cells(["a", "b"], [["x", "1.0"]] * (LONG_TABLE + 1)), [])
    assert r"\begin{longtable}{lr}" in text
    assert r"\usepackage{longtable}" in text
    assert r"\begin{tabular}" in latex_table(cells(["a"], [["x"]]), [])
