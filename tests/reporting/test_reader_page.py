"""The page of a reader study: what stands in it, and, in headless Chromium, a reader who reads all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pneumobench.leaderboard.reader_results import reader_results
from pneumobench.records.reader_answers import read_answers
from pneumobench.records.reader_study import SESSIONS, ReaderStudy
from pneumobench.reporting.page import policy_hash
from pneumobench.reporting.reader_page import reader_page
from tests.records.simulated_reader import small_study

STUDY = small_study(4)
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}


def test_the_page_holds_the_orders_and_its_policy_its_hashes() -> None:
    page = reader_page(STUDY)
    facts = json.loads(page.partition('id="facts">')[2].partition("</script>")[0])
    for reader, orders in enumerate(facts["orders"], start=1):
        for session, order in zip(SESSIONS, orders, strict=True):
            read = [(facts["codes"][abs(one) - 1], one > 0) for one in order]
            assert read == [(one.code, one.help) for one in STUDY.order(reader, session)]
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    script = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)[-1]
    policy = page.partition('Content-Security-Policy" content="')[2].partition('">')[0]
    assert f"style-src {policy_hash(style)}; script-src {policy_hash(script)}" in policy
    assert policy.startswith("default-src 'none'")
    assert "synthetic phantoms" not in page
    assert "synthetic phantoms" in reader_page(STUDY, synthetic=True)
    assert "secret" not in page
    assert "resnet18" not in page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("readers")
    for name in ("images", "help"):
        (folder / name).mkdir()
        for i, image in enumerate(STUDY.images):
            picture = np.full((300, 400), 40 * i + 20, np.uint8)
            cv2.imwrite(str(folder / name / f"{image.code}.jpg"), picture)
    (folder / "index.html").write_text(reader_page(STUDY), encoding="utf-8")
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page, whose console must stay silent and which must ask for nothing but its pictures."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


def begin(page: Any, reader: int, session: int) -> None:
    page.select_option("select[name=reader]", str(reader))
    page.click(f"#sessions li >> nth={session - 1} >> button")
    page.click("button[name=go]")
    page.wait_for_selector("#film:visible")


def read_one(page: Any, study: ReaderStudy) -> str:
    """Answer the image that is shown, by keys alone; return its code."""
    code: str = page.evaluate("document.getElementById('film').src").rsplit("/", 1)[-1].removesuffix(".jpg")
    assert page.evaluate("document.activeElement.name") == "decision"
    page.keyboard.press("Space")
    if not study.image(code).label:
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("End" if study.image(code).label else "Home")
    if page.is_visible("#heat"):
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")  # 2
    page.keyboard.press("Enter")
    return code


def read_session(page: Any, study: ReaderStudy) -> list[str]:
    codes: list[str] = []
    while True:
        page.wait_for_selector("#film:visible, #between:visible")
        if page.is_visible("#between"):
            finished = "is finished" in page.inner_text("#between h1")
            page.click("button[name=go]")
            if finished:
                return codes
            continue
        codes.append(read_one(page, study))


@pytest.mark.long
@pytest.mark.long
def test_a_reader_reads_both_sessions_and_the_answers_are_scored(page: Any, tmp_path: Path) -> None:
    begin(page, 2, 1)
    assert read_session(page, STUDY) == [one.code for one in STUDY.order(2, 1)]
    assert "better wait until 28 days" in page.inner_text("#sessions")
    begin(page, 2, 2)
    assert read_session(page, STUDY) == [one.code for one in STUDY.order(2, 2)]
    with page.expect_download() as downloading:
        page.click("button[name=download]")
    assert downloading.value.suggested_filename == f"reader-study-{STUDY.id}-reader-2.csv"
    downloading.value.save_as(tmp_path / "answers.csv")
    answers = read_answers(STUDY, [tmp_path / "answers.csv"])
    assert len(answers) == 8
    assert set(answers["confidence"]) == {0, 100}
    assert (answers["seconds"] < 60).all()
    results = reader_results(STUDY, answers)
    assert [effect.without.value for effect in results.effects if effect.reader == "reader 2"] == [1, 1, 1]
    assert results.facts[0].map_rating == (2, 2)
    assert page.input_value("#sessions textarea") == (tmp_path / "answers.csv").read_text()


@pytest.mark.long
@pytest.mark.long
def test_nothing_is_lost_when_the_page_is_closed(page: Any, address: str) -> None:
    begin(page, 1, 1)
    first = read_one(page, STUDY)
    page.wait_for_selector("#film:visible")
    page.goto("about:blank")
    page.goto(address)
    page.select_option("select[name=reader]", "1")
    assert "Session 1: 1 of 4 images read" in page.inner_text("#sessions")
    begin(page, 1, 1)
    assert read_one(page, STUDY) != first
    page.click("button[name=go]")  # the second block
    page.click("button[name=pause]")
    page.select_option("select[name=reader]", "3")
    assert "Session 1: 0 of 4" in page.inner_text("#sessions")


@pytest.mark.long
@pytest.mark.long
def test_help_is_shown_where_it_is_due_and_an_answer_has_to_be_whole(page: Any) -> None:
    begin(page, 1, 1)  # without help first
    assert page.is_hidden("#heat")
    assert page.locator("[data-help]:visible").count() == 0
    assert page.inner_text("[data-cell=probability]") == ""
    page.click("#answer button")
    assert page.inner_text("#answer .told") == "Still to be said: your decision, how likely pneumonia is."
    read_one(page, STUDY)
    page.wait_for_selector("#film:visible")
    read_one(page, STUDY)
    assert page.inner_text("#between h1") == "Now 2 images with help"
    page.click("button[name=go]")
    page.wait_for_selector("#heat:visible")
    image = STUDY.image(STUDY.order(1, 1)[2].code)
    assert page.inner_text("[data-cell=probability]") == f"{round(100 * image.probability)} %"
    page.fill("input[name=brightness]", "150")
    assert "brightness(150%)" in page.evaluate("document.getElementById('film').style.filter")


@pytest.mark.long
@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_no_accessibility_violation_and_no_sideways_scrolling(
    browser: Any, address: str, device: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    width, height = WIDTHS[device]
    # axe is put into the page, which its policy forbids to everybody else
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(address)

    def check() -> None:
        found = axe.Axe().run(opened)
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= width

    check()
    begin(opened, 3, 1)  # with help first
    check()
    opened.click("button[name=pause]")
    check()
    context.close()
