"""The committed table of timm's families: it names every family, and what it says is what is seen."""

from __future__ import annotations

import sys

import pytest

from pneumobench.suite.shipped import declared_folder

sys.path.append(str(declared_folder() / "architectures"))  # a script, run by its path
from timm_families import KEPT, TABLE, FamilyResult, as_csv, as_markdown, examine, families, from_csv, read_table

ROWS = read_table()
TRIED = [row for row in ROWS if row.side_px != "-"]


def test_the_table_has_every_family_and_the_page_is_that_of_the_table() -> None:
    assert [row.family for row in ROWS] == sorted(families())
    page = TABLE.with_suffix(".md").read_text(encoding="utf-8")
    assert page.partition("| family |")[2] == as_markdown(ROWS).partition("| family |")[2]
    assert from_csv(as_csv(ROWS).splitlines()[1:]) == ROWS


def test_every_family_keeps_the_contract_or_is_too_large_to_be_tried() -> None:
    assert [row for row in TRIED if not row.contract.startswith(KEPT)] == []
    assert all("more than 130 million parameters" in row.contract for row in ROWS if row not in TRIED)


@pytest.mark.long
@pytest.mark.parametrize("row", TRIED, ids=lambda row: row.family)
def test_a_family_gives_what_the_table_says(row: FamilyResult) -> None:
    found = examine(row.family, row.network, int(float(row.parameters) * 1e6))
    assert (found.side_px, found.contract, found.heat_map) == (row.side_px, row.contract, row.heat_map)
