from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from pneumobench.errors import RecordError
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.figures import attention_plot, fold_plot, roc_panels
from pneumobench.reporting.overlays import read_overlays
from pneumobench.reporting.page import leaderboard_page

HOSTILE = "<script>alert(1)</script>\"'><img src=https://example.org/x>"


@pytest.fixture(scope="module")
def board(fake_run_template: Path) -> Leaderboard:
    return rank_run(fake_run_template)


@pytest.fixture(scope="module")
def page(board: Leaderboard, fake_run_template: Path) -> str:
    return leaderboard_page(board, read_overlays(RunFolder(fake_run_template), board), command="pneumobench run x")


class _Tags(HTMLParser):
    """Collects tags with their attributes, the text of script and style, and checks nesting."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data


def _parse(page: str) -> _Tags:
    parser = _Tags()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    found = _parse(page)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in found.text["style"]
    assert "url(" not in found.text["style"]
    loads = [value for _, a in found.tags for key in ("src", "href") if (value := a.get(key)) is not None]
    assert loads
    assert all(value.startswith(("data:", "#")) for value in loads)
    assert not any(key.startswith("on") or key == "style" for _, attributes in found.tags for key in attributes)


def test_policy_allows_the_style_and_script_of_the_page_and_nothing_else(page: str) -> None:
    found = _parse(page)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        assert sum(name == tag for name, _ in found.tags) == 1
        digest = base64.b64encode(hashlib.sha256(found.text[tag].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy


def test_hostile_words_stay_words(board: Leaderboard) -> None:
    rows = tuple(dataclasses.replace(row, architecture=HOSTILE, plugin=HOSTILE, layer=HOSTILE) for row in board.rows)
    failures = tuple(dataclasses.replace(job, reason=HOSTILE) for job in board.failures)
    hostile = dataclasses.replace(board, suite=HOSTILE, rows=rows, failures=failures)
    page = leaderboard_page(hostile, (), command=HOSTILE)
    found = _parse(page)
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert not any(tag == "img" for tag, _ in found.tags)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 10


def test_the_failed_job_is_listed_with_its_reason(page: str) -> None:
    assert "out of memory, batch 32 &lt;script&gt;" in page
    assert '<span class="badge warn">4 of 5 folds, failed</span>' in page


def test_every_column_can_be_sorted_by_its_whole_number(page: str, board: Leaderboard) -> None:
    scores = board.rows[0].out_of_fold
    assert scores is not None
    assert f'data-value="{scores.auc:.6g}"' in page
    table = page[page.index('<table class="sortable chosen out_of_fold">') :].partition("</table>")[0]
    assert len(re.findall(r"<th scope=\"col\"[^>]*><button type=\"button\"", table)) == 13
    for line in re.findall(r"<tr class.*?</tr>", table, flags=re.DOTALL):
        assert line.count("<td") + line.count("<th ") == 13


def test_overlays_show_errors_first_and_no_name_of_an_image(page: str, board: Leaderboard) -> None:
    assert page.count('src="data:image/png;base64,') >= 12
    outcomes = re.findall(r'class="image (\w\w)"', page)
    first = outcomes[: outcomes.index("tn")]
    assert first == sorted(first, key=["fn", "fp", "tp"].index)
    assert not any(name in page for name in board.rows[0].predictions["image_id"])


def test_without_overlays_one_sentence_says_where_they_are(board: Leaderboard) -> None:
    page = leaderboard_page(board, (), command="x")
    assert "Heat maps over real images stay on the machine that made them." in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("00-", "../00-", "found no list of overlays"),
        (".png", ".svg", "found no list of overlays"),
        ('"lar"', '"LAR"', "found no list of overlays"),
        ("00-", "77-", r"77-\w\w\.png: found no PNG image"),
    ],
)
def test_overlays_that_are_not_there_are_refused(
    run: RunFolder, board: Leaderboard, old: str, new: str, message: str
) -> None:
    path = run.attributions_folder("resnet18", 0) / "overlays.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RecordError, match=message):
        read_overlays(run, board)


def test_a_file_that_is_no_png_is_refused(run: RunFolder, board: Leaderboard) -> None:
    for path in run.attributions_folder("resnet18", 0).glob("*.png"):
        path.write_text("<svg/>")
    with pytest.raises(RecordError, match="found no PNG image of at most 1,000,000 bytes"):
        read_overlays(run, board)


def test_roc_curves_go_from_corner_to_corner(board: Leaderboard) -> None:
    whole, corner = roc_panels(board.networks, official=False)
    assert [curve.name for curve in whole.lines] == ["resnet18", "vit_base_patch16_224"]
    for curve in whole.lines:
        points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
        assert points[0] == (0, 300)
        assert points[-1] == (300, 0)
        assert points == sorted(points, key=lambda point: (point[0], -point[1]))
        area = sum((b[0] - a[0]) * (600 - a[1] - b[1]) / 2 for a, b in pairwise(points))
        assert area / 300**2 == pytest.approx(float(curve.value), abs=2e-3)
    assert corner.x_ticks[-1].text == "0.2"
    assert corner.y_ticks[0].text == "0.8"


def test_fold_plot_has_a_dot_for_every_completed_fold(board: Leaderboard) -> None:
    plot = fold_plot(board)
    assert plot is not None
    assert [len(lane.marks) for lane in plot.lanes] == [5, 5, 4]
    for lane in plot.lanes:
        assert all(0 <= mark.at <= 560 for mark in lane.marks)
        assert lane.low is not None
        assert lane.high is not None
        assert lane.main is not None
        assert 0 <= lane.low <= lane.main <= lane.high <= 560
    assert plot.ticks[-1].at == 560


def test_attention_plot_stands_beside_chance(board: Leaderboard) -> None:
    plot = attention_plot(board)
    assert plot is not None
    lar = board.networks[0].attention[0].pneumonia.lar
    assert plot.lanes[0].main == pytest.approx(lar * 560, abs=0.1)
    assert plot.lanes[0].reference == pytest.approx(0.45 * 560, abs=0.1)


def test_a_run_in_which_everything_failed_still_has_a_page(board: Leaderboard) -> None:
    empty = board.rows[0].predictions.iloc[:0]
    row = dataclasses.replace(
        board.rows[0], rank=None, state="failed", status="0 of 5 folds, failed", in_top_group=False,
        out_of_fold=None, folds={}, fold_spread={}, official=None, official_fold_spread={}, thresholds={},
        attention=(), cost=None, predictions=empty, official_predictions=empty,
    )  # fmt: skip
    page = leaderboard_page(dataclasses.replace(board, rows=(row,), differences=()), (), command="x")
    _parse(page)
    assert "0 of 5 folds, failed" in page
    assert "<svg" not in page
