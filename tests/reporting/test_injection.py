"""No text of a run becomes an element, an attribute or a script: pages are built as they are of harmless words."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, cast

import pytest

from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting import architecture_figures
from pneumobench.reporting.architecture_page import architecture_pages
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.page import leaderboard_page
from pneumobench.reporting.pair_page import pair_page
from tests.reporting.hostile import INJECTIONS, board_of, image_of
from tests.reporting.test_page import _parse

markdown = pytest.importorskip("markdown")
Shape = list[tuple[str, list[str]]]


class _Renamed:
    """A run whose images and etiologies have other names."""

    def __init__(self, folder: RunFolder, words: str) -> None:
        self.history_path = lambda *_: folder.path / "none.csv"  # a name like this can be none of a folder
        self._folder, self._words = folder, words

    def index_and_folds(self) -> Any:
        index, folds = self._folder.index_and_folds()
        table = index.table.assign(
            image_id=[image_of(self._words, image) for image in index.table["image_id"]],
            subtype=[f"{subtype}{self._words}" for subtype in index.table["subtype"]],
        )
        return dataclasses.replace(index, table=table), folds


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture_figures, "RESAMPLES", 2)  # of bands, whose shape does not matter here


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


def pages_of(words: str, board: Leaderboard, folder: RunFolder) -> dict[str, str]:
    hostile = board_of(words, board)
    run = cast(RunFolder, _Renamed(folder, words))
    links = {row.architecture: f"architectures/{number}.html" for number, row in enumerate(hostile.rows)}
    one = dataclasses.replace(hostile, rows=tuple(row for row in hostile.rows if row.rank in (None, 1)))
    pages = architecture_pages(one, run)
    pair = pair_page(hostile, run)
    assert pair is not None
    return {
        "index.html": leaderboard_page(hostile, (), command=words, pages=links, pair_page="side-by-side.html"),
        "architecture.html": pages[min(pages)],
        "side-by-side.html": pair,
    }


def _shape(page: str) -> Shape:
    # an address that holds a name is one address all the same
    return [(tag, sorted(attributes)) for tag, attributes in _parse(page).tags]


@pytest.mark.parametrize("words", INJECTIONS)
def test_pages_have_the_elements_that_harmless_words_give(
    words: str, board: Leaderboard, fake_run_template: Path
) -> None:
    folder = RunFolder(fake_run_template)
    harmless = pages_of("h" * len(words), board, folder)  # as long: names in figures stand where they have room
    for name, page in pages_of(words, board, folder).items():
        assert _shape(page) == _shape(harmless[name]), name
        values = [value for _, attributes in _parse(page).tags for value in attributes.values() if value]
        assert not any(re.match(r"\s*(javascript|vbscript):", value, re.IGNORECASE) for value in values)


@pytest.mark.parametrize("words", INJECTIONS)
def test_a_readme_has_no_element_of_foreign_words(words: str, board: Leaderboard) -> None:
    def tags(told: str) -> set[str]:
        text = leaderboard_markdown(board_of(told, board), command="pneumobench run x")
        return set(re.findall(r"<(\w+)", markdown.markdown(text, extensions=["tables", "fenced_code"])))

    assert tags(words) <= tags("harmless")
