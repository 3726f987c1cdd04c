"""The page as a reader uses it, in headless Chromium. Needs the group `browser` and an installed Chromium."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.leaderboard import write_leaderboard
from tests.reporting.hostile import INJECTIONS
from tests.reporting.test_injection import pages_of

pytestmark = pytest.mark.long
NAMES = (
    "table => [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.querySelector('.name').textContent)"
)
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def address(fake_run_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = Path(shutil.copytree(fake_run_template, tmp_path_factory.mktemp("page") / "run"))
    return write_leaderboard(run).page.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page, whose console must stay silent and which must ask for nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def shown(page: Any, section: str = "ranking") -> list[str]:
    names: list[str] = page.eval_on_selector(f"#{section} table.chosen", NAMES)
    return names


def test_rows_are_filtered_by_text_and_kind_and_the_address_keeps_the_view(page: Any, address: str) -> None:
    everything = shown(page)
    page.fill("input[name=q]", "resnet")
    only = shown(page)
    assert only
    assert all("resnet" in name for name in only)
    page.fill("input[name=q]", "")
    page.uncheck("input[name=kind][value=network]")
    without = shown(page)
    assert 0 < len(without) < len(everything)
    other = page.context.new_page()
    other.goto(page.url)
    assert shown(other) == without
    page.click("button[type=reset]")
    assert shown(page) == everything
    assert page.url == address


def test_a_column_sorts_both_ways_by_button_and_by_list(page: Any) -> None:
    ranked = shown(page)
    head = page.locator("#ranking table.chosen thead th[data-key=auc] button")
    head.focus()
    page.keyboard.press("Enter")
    falling = page.eval_on_selector_all(
        "#ranking table.chosen tbody td[data-label=AUC]", "cells => cells.map(cell => cell.dataset.value)"
    )
    numbers = [float(value) for value in falling if value]
    assert numbers == sorted(numbers, reverse=True)
    assert page.locator("#ranking table.chosen th[data-key=auc]").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert page.locator("#ranking table.chosen th[data-key=auc]").get_attribute("aria-sort") == "ascending"
    assert "sort=auc%2B" in page.url
    page.select_option("select[name=sort]", "architecture+")
    assert shown(page) == sorted(ranked)


def test_columns_can_be_put_away(page: Any) -> None:
    page.click(".choice summary")
    page.uncheck("input[name=column][value=accuracy]")
    assert page.locator("#ranking table.chosen td[data-label=Accuracy]:visible").count() == 0
    assert page.locator("#ranking table.chosen td[data-label=AUC]:visible").count() > 0


def test_what_is_shown_can_be_copied_in_three_forms(page: Any) -> None:
    page.fill("input[name=q]", "resnet18")
    page.click("button[value=CSV]")
    first, _, _ = page.input_value(".copied textarea").partition("\n\n")
    rows = list(csv.DictReader(io.StringIO(first)))
    assert [row["architecture"] for row in rows] == ["resnet18"]
    assert float(rows[0]["auc_low"]) < float(rows[0]["auc"]) < float(rows[0]["auc_high"])
    page.click("button[value=Markdown]")
    assert page.input_value(".copied textarea").startswith("| Architecture | AUC | ")
    page.click("button[value=LaTeX]")
    text = page.input_value(".copied textarea")
    assert text.startswith("\\begin{tabular}{lr")
    assert "resnet18 & 0." in text
    assert page.inner_text(".told").startswith("LaTeX, ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("name", ["index.html", "architectures/resnet18.html", "side-by-side.html"])
def test_no_accessibility_violation_and_no_sideways_scrolling(
    browser: Any, address: str, name: str, device: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    width, height = WIDTHS[device]
    # axe is put into the page, which its policy forbids to everybody else
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(address.replace("index.html", name))
    found = axe.Axe().run(opened)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_the_slider_of_an_architecture_shows_what_a_threshold_does(page: Any) -> None:
    page.click("#ranking table.chosen a >> nth=0")
    assert "/architectures/" in page.url
    counts = page.evaluate("JSON.parse(document.getElementById('counts').textContent)")
    cell = "[data-cell={}]".format

    def shown(name: str) -> str:
        text: str = page.inner_text(cell(name))
        return text.replace(",", "")

    at = counts["marks"]["0.5"]
    assert (int(shown("tp")), int(shown("fp"))) == (counts["tp"][at], counts["fp"][at])
    page.focus("input[name=step]")
    page.keyboard.press("Home")
    assert int(shown("tn")) == counts["negatives"] - counts["fp"][0]
    page.click("#slider .marks button >> nth=1")
    assert page.get_attribute("#slider .marks button >> nth=1", "aria-pressed") == "true"
    recall, specificity = float(shown("recall")), float(shown("specificity"))
    page.fill("input[name=prevalence]", "10")
    expected = recall * 0.1 / (recall * 0.1 + (1 - specificity) * 0.9)
    assert float(shown("ppv")) == pytest.approx(expected, abs=5e-3)


def test_the_answer_stands_on_the_first_screen(page: Any) -> None:
    for selector in ("h1", "table.forest tbody tr >> nth=0"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] < 900


def test_on_a_phone_a_number_is_on_the_first_screen(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.goto(address)
    box = opened.locator("table.forest td.numbers >> nth=0").bounding_box()
    assert box["y"] + box["height"] < 844
    context.close()


def test_two_rows_are_set_side_by_side_and_the_address_keeps_them(page: Any, address: str) -> None:
    page.goto(address.replace("index.html", "side-by-side.html"))
    facts = page.evaluate("JSON.parse(document.getElementById('facts').textContent)")
    names = [row["name"] for row in facts["rows"]]
    page.select_option("select[name=b]", names[2])
    page.select_option("select[name=a]", names[1])

    def cell(name: str) -> str:
        text: str = page.inner_text(f"[data-cell={name}]")
        return text.replace(",", "")

    total = sum(int(cell(f"{name}-all")) for name in ("both", "a", "b", "none"))
    assert total == len(facts["images"])
    apart = int(cell("a-all")) + int(cell("b-all"))
    assert cell("disagreed").startswith(f"{apart} images")
    difference = (int(cell("a-all")) - int(cell("b-all"))) / total
    assert float(cell("accuracy").split()[0].replace("−", "-")) == pytest.approx(difference, abs=6e-5)
    before, only_a = cell("auc").split()[0], cell("a-all")
    page.click("button[name=swap]")
    assert cell("b-all") == only_a
    assert cell("auc").split()[0] in (before.translate(str.maketrans("+−", "−+")), "+0.0000")
    other = page.context.new_page()
    other.goto(page.url)
    assert (other.input_value("select[name=a]"), other.input_value("select[name=b]")) == (names[2], names[1])
    page.select_option("select[name=a]", names[1])
    assert page.input_value("select[name=b]") != names[1], "a row is not set beside itself"


def test_no_injected_word_acts(browser: Any, fake_run_template: Path, tmp_path: Path) -> None:
    board = rank_run(fake_run_template)
    context = browser.new_context(bypass_csp=True)  # what the policy would stop must not be there to be stopped
    opened, acted = context.new_page(), []

    def answered(dialog: Any) -> None:
        acted.append(dialog.message)
        dialog.dismiss()

    opened.on("dialog", answered)
    opened.on("request", lambda request: acted.append(request.url) if "example.org" in request.url else None)
    for words in INJECTIONS:
        for name, text in pages_of(words, board, RunFolder(fake_run_template)).items():
            (tmp_path / name).write_text(text, encoding="utf-8")
            opened.goto((tmp_path / name).as_uri())
            opened.mouse.move(300, 300)
            opened.keyboard.press("Tab")
            assert acted == [], (name, words)
    context.close()
