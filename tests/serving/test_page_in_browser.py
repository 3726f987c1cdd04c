"""The page of a server as a reader uses it, in headless Chromium. Needs the group `browser` and a Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.serving.access import Access
from tests.reporting.hostile import INJECTIONS
from tests.serving.conftest import served
from tests.serving.test_access import TOKEN

pytestmark = pytest.mark.long
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
DROP = """([name, bytes]) => {
  const moved = new DataTransfer();
  moved.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
  const settings = { dataTransfer: moved, bubbles: true, cancelable: true };
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", settings));
}"""
PIXELS = """() => {
  const shown = document.getElementById("canvas");
  const copy = new OffscreenCanvas(shown.width, shown.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(shown, 0, 0);
  const { data } = copy.getImageData(0, 0, shown.width, shown.height);
  let colourful = 0;
  for (let place = 0; place < data.length; place += 4) {
    colourful += Math.abs(data[place] - data[place + 1]) + Math.abs(data[place] - data[place + 2]);
  }
  return colourful;
}"""


@pytest.fixture
def page(browser: Any, port: int) -> Iterator[Any]:
    """The open page, whose console must stay silent and which must ask nobody but its server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"http://127.0.0.1:{port}/")
    opened.wait_for_selector("#drop:visible")
    yield opened
    assert said == []
    assert {url.split("/")[2] for url in asked if not url.startswith(("data:", "blob:"))} == {f"127.0.0.1:{port}"}
    context.close()


def wait_for(page: Any, held: Callable[[], bool]) -> None:
    for _ in range(300):
        if held():
            return
        page.wait_for_timeout(100)
    raise AssertionError(page.inner_text("body"))


def explained(page: Any) -> bool:
    return bool(page.locator("#near").is_visible() and "The film as" in page.get_attribute("#canvas", "aria-label"))


def test_a_film_is_dropped_and_answered(page: Any, films: list[Path], predictor: AskedBundle) -> None:
    (expected,) = predictor.predict(films[0])
    page.evaluate(DROP, [films[0].name, list(films[0].read_bytes())])
    wait_for(page, lambda: explained(page))
    assert page.inner_text("#probability") == f"{expected.probability:.3f}"
    assert page.inner_text("#decision").lower() == ("pneumonia" if expected.pneumonia else "normal")
    assert page.inner_text("#look h3") == "A person should look at this film"
    assert page.locator("#look li").all_inner_texts() == list(expected.reasons.values())
    assert page.locator("#plot .fold").count() == len(expected.folds)
    assert page.locator("#nearest tr").count() == 2
    assert page.locator("#measures tr.given").count() == len(expected.reasons)
    assert page.inner_text("#said").startswith(f"{films[0].name}: ")
    assert FOR_RESEARCH in page.inner_text(".pinned")
    colourful = page.evaluate(PIXELS)
    page.fill("#opacity", "100")
    assert page.evaluate(PIXELS) > colourful
    page.fill("#opacity", "0")
    page.uncheck("#outline")
    assert page.evaluate(PIXELS) == 0, "the film alone is gray"


def test_the_threshold_is_moved_beside_the_declared_one(page: Any, films: list[Path]) -> None:
    page.set_input_files("#files", films[0])
    wait_for(page, lambda: explained(page))
    declared = page.inner_text("#declared")
    decision = page.inner_text("#decision")
    page.focus("#threshold")
    page.keyboard.press("Home")
    assert page.inner_text("#moved").startswith("0.000: pneumonia; 2 of 2 networks reach it")
    page.keyboard.press("End")
    assert page.inner_text("#moved").startswith("1.000: normal; 0 of 2 networks")
    differs = "moved" in page.inner_text("#films li")
    assert differs == (decision == "Pneumonia")
    assert (page.inner_text("#declared"), page.inner_text("#decision")) == (declared, decision)
    assert "1.000" in page.get_attribute("#threshold", "aria-valuetext")
    page.click("#marks button >> nth=1")
    assert page.get_attribute("#marks button >> nth=1", "aria-pressed") == "true"
    page.click("#marks button >> nth=0")
    assert page.inner_text("#moved") == "not moved"


def test_several_films_are_listed_and_each_can_go(page: Any, films: list[Path]) -> None:
    page.set_input_files("#files", films[:3])
    wait_for(page, lambda: page.locator("#films .film-told").all_inner_texts().count("") == 0 and explained(page))
    wait_for(page, lambda: all("." in text for text in page.locator("#films .film-told").all_inner_texts()))
    page.click("#films li:nth-child(2) .open")
    assert page.inner_text("#film-name") == films[1].name
    with page.expect_download() as saved:
        page.click("#save")
    rows = json.loads(saved.value.path().read_text())
    assert rows["notice"] == FOR_RESEARCH
    assert [row["image"] for row in rows["films"]] == [film.name for film in films[:3]]
    assert all(0 <= row["answer"]["probability"] <= 1 for row in rows["films"])
    page.keyboard.press("Tab")
    page.click("#films li:nth-child(2) .away")
    assert page.locator("#films li").count() == 2
    assert page.inner_text("#film-name") == films[2].name
    page.click("#clear")
    assert not page.locator("#desk").is_visible()


def test_what_is_no_film_is_said(browser: Any, port: int, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("hello")
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(f"http://127.0.0.1:{port}/")
    opened.set_input_files("#files", tmp_path / "notes.png")
    wait_for(opened, lambda: opened.locator("#problem").is_visible())
    assert opened.inner_text("#problem").startswith("neither JPEG, PNG nor DICOM")
    assert not opened.locator("#retry").is_visible(), "it would be refused again"
    context.close()


def test_the_token_is_asked_for(browser: Any, predictor: AskedBundle, films: list[Path]) -> None:
    with served(predictor, Access(token=TOKEN)) as number:
        context = browser.new_context()
        opened = context.new_page()
        opened.goto(f"http://127.0.0.1:{number}/")
        for given in ("another-token-0123", TOKEN):
            opened.wait_for_selector("#entry:visible")
            assert not opened.locator("#main").is_visible()
            opened.fill("[name=token]", given)
            opened.keyboard.press("Enter")
            if given != TOKEN:
                wait_for(opened, lambda: opened.inner_text("#entry-told") == "This is not its token.")
        opened.wait_for_selector("#drop:visible")
        opened.set_input_files("#files", films[0])
        wait_for(opened, lambda: explained(opened))
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_no_accessibility_violation_and_no_sideways_scrolling(
    browser: Any, port: int, films: list[Path], device: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    width, height = WIDTHS[device]
    # axe is put into the page, which its policy forbids to everybody else
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(f"http://127.0.0.1:{port}/")
    opened.wait_for_selector("#drop:visible")
    assert axe.Axe().run(opened)["violations"] == []
    opened.set_input_files("#files", films[:2])
    wait_for(opened, lambda: explained(opened))
    opened.fill("#threshold", "0.9")
    opened.click("summary")
    found = axe.Axe().run(opened)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_no_word_of_a_bundle_or_a_file_acts(browser: Any, port: int, films: list[Path]) -> None:
    context = browser.new_context(bypass_csp=True)  # what the policy would stop must not be there to be stopped
    opened, acted = context.new_page(), []

    def answered(dialog: Any) -> None:
        acted.append(dialog.message)
        dialog.dismiss()

    def hostile(route: Any) -> None:
        words = " ".join(INJECTIONS)
        said = route.fetch().json()

        def changed(value: Any, key: str = "") -> Any:
            if isinstance(value, dict):
                return {name: changed(one, name) for name, one in value.items()}
            if isinstance(value, list):
                return [changed(one, key) for one in value]
            return words if isinstance(value, str) and key not in ("image", "heat", "name", "rule") else value

        route.fulfill(json=changed(said))

    opened.on("dialog", answered)
    opened.on("request", lambda request: acted.append(request.url) if "example.org" in request.url else None)
    opened.route("**/api/*", hostile)
    opened.goto(f"http://127.0.0.1:{port}/")
    opened.wait_for_selector("#drop:visible")
    opened.evaluate(DROP, ['<img src=x onerror="alert(1)">.png', list(films[0].read_bytes())])
    wait_for(opened, lambda: explained(opened))
    opened.mouse.move(300, 300)
    opened.keyboard.press("Tab")
    assert acted == []
    assert opened.locator("main img, main iframe, main script:not([type])").count() == 0
    context.close()
