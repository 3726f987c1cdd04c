"""Published systems: their recipes load, and papers are set against what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumobench.architectures.head import check_head
from pneumobench.architectures.registry import check_names
from pneumobench.claims.reader import read_claims
from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.reporting.paper_table import PaperResult, write_paper_table
from pneumobench.runs.papers import read_paper
from pneumobench.suite.reader import load_suite
from pneumobench.suite.types import known_keys
from tests.end_to_end.commands import REPOSITORY

PAPERS = sorted((REPOSITORY / "benchmark" / "papers").glob("*.yaml"))

MADE_UP = """
paper: "A made-up paper"
reported:
  - {system: Theirs, architecture: test_resnet, images: 10, pneumonia: 5, metrics: {accuracy: .90, recall: .80}}
  - {system: Never built, images: 10, metrics: {accuracy: .93}}
assumed: {training.epochs: not given}
suite:
  name: made-up
  data: {image_side_px: 32, phantoms: {patients: 30, official_test_patients: 10, side_px: 64}}
  folds: {protocol: official, count: 1, tune_fraction: 0.2}
  architectures: {names: [test_resnet], weights: imagenet}
  controls: {names: []}
  training: {epochs: 4, head: [dropout 0.3], optimizer: adam}
  explanation: {methods: [], overlays_per_fold: 0}
"""


def test_there_are_five_papers() -> None:
    assert [path.name[0] for path in PAPERS] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_recipe_is_whole_and_full_sized(path: Path) -> None:
    suite, metadata = load_suite(path, section="suite"), read_paper(path)
    assert suite.data.source == "kermany"
    assert suite.data.image_side_px == 224
    assert suite.architectures.weights == "imagenet"
    check_names(dict.fromkeys(suite.architectures.names, "none"))
    check_head(suite.training.head)
    known = set(known_keys())
    assert set(metadata["assumed"]) <= known, "what is assumed is a setting"
    reproduced = {claim.architecture for claim in read_claims(path)} - {""}
    assert reproduced <= set(suite.architectures.names)


def test_a_paper_is_set_against_its_reproduction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made-up.yaml").write_text(MADE_UP)
    assert main(["papers", "made-up.yaml", "--training.epochs", "1", "--architectures.weights", "none"]) == 0
    assert "A made-up paper" in capsys.readouterr().out
    page = Path("runs/papers.md").read_text()
    assert "| Theirs | accuracy | .90 | 0." in page
    assert "consistent" in page
    assert "| Never built | accuracy | .93 | – | contradiction |" in page
    assert "random weights, where the paper fine-tunes networks" in page
    assert "`training.epochs` is 1 instead of 4" in page
    assert "assumed: `training.epochs`: not given" in page
    assert "`pneumobench papers made-up.yaml --training.epochs 1 --architectures.weights none`" in page
    assert Path("runs/made-up-changed/leaderboard/index.html").is_file()


def test_a_paper_keeps_its_table_when_another_one_is_run(tmp_path: Path) -> None:
    def paper(run: str, title: str) -> PaperResult:
        return PaperResult(title=title, run=run, reproductions=(), assumed={"seed": "a | b"}, differences=("d",))

    write_paper_table(tmp_path, [paper("first", "One ![x](http://example.org)")], "pneumobench papers first.yaml")
    page = write_paper_table(tmp_path, [paper("second", "Two")], "pneumobench papers second.yaml")
    text = page.read_text()
    assert ["![" in text, "`pneumobench papers first.yaml`" in text, "## Two" in text] == [False, True, True]
    assert text.count("# Paper against reproduction") == 1
    again = write_paper_table(tmp_path, [paper("first", "Three")], "pneumobench papers first.yaml --seed 1").read_text()
    assert ["## One" in again, "## Three" in again, "## Two" in again] == [False, True, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [("a: 1", "is no file of a paper"), ("[", "is no YAML"), (MADE_UP + "more: 1\n", "unknown key 'more'")],
)
def test_what_is_no_paper_is_refused(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=words):
        read_paper(path)
