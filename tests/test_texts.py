"""Numbers with their nouns, and foreign text that steers neither a terminal nor a page."""

from __future__ import annotations

import pytest

from pneumobench.texts import counted, markdown_text, safe_text, verb


def test_one_is_singular_and_everything_else_plural() -> None:
    assert [counted(n, "patient") for n in (0, 1, 2, 1000)] == [
        "0 patients",
        "1 patient",
        "2 patients",
        "1,000 patients",
    ]
    assert counted(1, "copy", "copies") == "1 copy"
    assert [verb(1, "is"), verb(2, "is"), verb(2, "gives")] == ["is", "are", "give"]


@pytest.mark.parametrize(
    "steering", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\u202e", "\u2066", "\u200b", "\u2028", "\x00"]
)
def test_what_steers_a_terminal_is_written_out(steering: str) -> None:
    shown = safe_text(f"film{steering}.png")
    assert shown.isprintable()
    assert shown.startswith("film\\")
    assert safe_text("µm Ärzte 肺 é\tx\ny") == "µm Ärzte 肺 é\tx\ny"


@pytest.mark.parametrize(
    ("foreign", "never"),
    [
        ("![x](http://example.org/a.png)", ["![", "http://"]),
        ("[here](https://example.org)", ["[here]", "https://"]),
        ("![x][ref]", ["![", " [x]["]),
        ("<img src=x onerror=alert(1)>", ["<", ">"]),
        ("see https://example.org or www.example.org", ["https://", "www."]),
        ("me@example.org", ["@"]),
        ("a | b\n| c", ["a | b", "\n"]),
        ("`code`", ["`"]),
        ("&lt;b&gt;", ["&lt;b&gt;"]),
        ("[id]: http://example.org", ["http://"]),
    ],
)
def test_a_cell_of_a_page_is_only_text(foreign: str, never: list[str]) -> None:
    shown = f" {markdown_text(foreign)}"
    for part in never:
        assert part not in shown.replace("\\!\\[", "").replace("\\[", "")


def test_numbers_and_names_stay_as_they_are() -> None:
    for text in ("0.988 [0.981, 0.992]", "vit_tiny_patch16_224.augreg *", "−0.1 ± 0.2", "control-thumbnail †"):
        assert markdown_text(text) == text
