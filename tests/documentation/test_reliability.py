"""The page about faults promises nothing that no test shows: every row names tests, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pneumobench.cli import exit_codes
from tests.documentation.pages import REPOSITORY

PAGE = REPOSITORY / "docs/reliability.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CODES = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
BY_SHELL = 137  # what a shell makes of a killed process
FAULTS = (
    "kill -9", "Ctrl-C", "SIGTERM", "disk is full", "read-only", "out of memory", "not finite", "loader process dies",
    "plugin fails", "sys.exit", "plugin prints", "two runners", "settings or code", "data have changed", "has no key",
    "cannot be reached", "in the middle", "several devices dies", "`--jobs` dies",
)  # fmt: skip


def rows(page: str) -> list[list[str]]:
    """Return the cells of the rows of the first table of a page, without its heading."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def missing_tests(cells: str, root: Path) -> list[str]:
    """Return the tests named in a cell that do not exist, or `none named`."""
    named = TEST.findall(cells)
    return [f"{file}::{name}" for file, name in named if name not in defined_in(root / file)] or (
        [] if named else ["none named"]
    )


def defined_in(file: Path) -> set[str]:
    """Return the names of the tests that a file defines at its top level, as pytest collects them."""
    if not file.is_file():
        return set()
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", rows(PAGE.read_text()), ids=lambda row: row[0])
def test_every_row_names_tests_that_exist_and_known_exit_codes(row: list[str]) -> None:
    assert len(row) == 5
    assert missing_tests(row[4], REPOSITORY) == []
    codes = {int(code) for code in re.findall(r"\d+", row[2])}
    assert codes
    assert codes <= CODES | {BY_SHELL}


def test_every_fault_has_a_row() -> None:
    first = [row[0] for row in rows(PAGE.read_text())]
    assert [fault for fault in FAULTS if not any(fault in cell for cell in first)] == []


def test_all_exit_codes_are_explained() -> None:
    table = (REPOSITORY / "docs/reference/files.md").read_text().partition("## Exit codes")[2]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)} == CODES


def test_a_row_without_a_test_and_a_test_that_is_gone_are_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("def test_it() -> None: ...\nclass A:\n    def test_no(self): ...\n")
    assert missing_tests("`tests/test_a.py::test_it`", tmp_path) == []
    assert missing_tests("`tests/test_a.py::test_no`", tmp_path) == ["tests/test_a.py::test_no"]
    assert missing_tests("`tests/test_b.py::test_it`", tmp_path) == ["tests/test_b.py::test_it"]
    assert missing_tests("sure", tmp_path) == ["none named"]
