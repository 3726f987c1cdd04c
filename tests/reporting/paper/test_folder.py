"""Figures and tables of a run: which there are, what they say of their origin, and that they are always the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from PIL import Image

from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.files import write_json
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.columns import interval_text, number
from pneumobench.reporting.markdown import leaderboard_markdown
from pneumobench.reporting.paper.folder import PaperFiles, write_paper_files

FIGURES = ("forest", "roc", "precision-recall", "reliability", "confusion", "training-loss", "training-auc")
TABLES = ("ranking", "decisions", "decisions-tuned", "pairs", "official")
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
SVG_TEXT = "{http://www.w3.org/2000/svg}text"
# another order of hashing, and a look at what is loaded on the way
PROGRAM = (
    "import sys; from pneumobench.cli.main import COMMANDS, main; from pneumobench.cli.options import command_parser\n"
    "command_parser(COMMANDS); import pneumobench.reporting.paper.folder\n"
    "assert not {'matplotlib', 'torch'} & set(sys.modules), 'seconds of imports for a page of help'\n"
    "raise SystemExit(main(['figures', *sys.argv[1:]]))"
)


def texts(svg: Path) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.parse(svg).iter(SVG_TEXT)]


def test_every_figure_and_table_is_there(made: PaperFiles, trained: RunFolder) -> None:
    expected = {f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "svg", "png")}
    expected |= {f"{name}.{kind}" for name in TABLES for kind in ("tex", "md")} | {"captions.md"}
    assert {path.name for path in made.folder.iterdir()} == expected
    assert made.folder == trained.figures
    assert "figure.dpi" in mpl.rcParams
    assert mpl.rcParams["pdf.fonttype"] == mpl.rcParamsDefault["pdf.fonttype"], "the style ends with the drawing"


def test_another_process_gives_the_same_bytes(made: PaperFiles, trained: RunFolder, tmp_path: Path) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.size: 20\nlines.linewidth: 9\n")
    environment = os.environ | {"PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(settings), "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", PROGRAM, str(trained.path), "--to", str(tmp_path / "to"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["files"] == [path.name for path in made.files]
    for path in made.files:
        assert (tmp_path / "to" / path.name).read_bytes() == path.read_bytes(), path.name
    left_out = {part["what"]: part["why"] for part in answer["left_out"]}
    assert left_out["training curves of vit_base_patch16_224"] == "the run has no history.csv of it"
    assert left_out["curves, calibration and matrices of densenet121"] == "4 of 5 folds, failed"
    assert left_out["the line of the best baseline"] == "no shortcut baseline completed all folds"
    assert left_out["the confusion matrices of three classes"] == "the run has two classes (task: binary)"
    assert all(f"{what}: {why}" in made.captions.read_text() for what, why in left_out.items())


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_run(name: str, made: PaperFiles) -> None:
    facts = {"suite": "fake", "seed": "3", "command": "pneumobench run fake.yaml --data data", "commit": "0" * 40}
    facts |= {"SHA-256 of index": made.board.provenance.hashes["index"], "run": "without a manifest"}
    facts |= {"drawn by": "pneumobench figures", "pneumobench of the run": "0.1.0"}
    pdf = (made.folder / f"{name}.pdf").read_bytes()
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf, "TrueType, embedded"
    assert b"/Type3" not in pdf
    svg = ElementTree.parse(made.folder / f"{name}.svg")
    said = "".join(next(svg.iter(f"{DUBLIN_CORE}description")).itertext())
    assert next(svg.iter(f"{DUBLIN_CORE}date"), None) is None
    with Image.open(made.folder / f"{name}.png") as picture:
        chunks = dict(picture.info)
        width = picture.width / 300
    assert width in (pytest.approx(3.3, abs=0.01), pytest.approx(3.5, abs=0.01), pytest.approx(7, abs=0.01), 1.75)
    subject = re.search(rb"/Subject \((.*?[^\\])\)", pdf, flags=re.DOTALL)
    assert subject is not None
    for key, fact in facts.items():
        assert f"{key}: {fact}" in subject[1].decode("latin-1").replace("\\", "")
        assert f"{key}: {fact}" in said
        assert fact in chunks[f"pneumobench {key}"]
    assert chunks["Title"].endswith(", fake")


def test_the_manifest_stands_in_tables(run: RunFolder, made: PaperFiles) -> None:
    for name in TABLES:
        comments = [line for line in (made.folder / f"{name}.tex").read_text().splitlines() if line.startswith("%")]
        assert "% command: pneumobench run fake.yaml --data data" in comments
        assert "<!-- command: pneumobench run fake.yaml - -data data -->" in (made.folder / f"{name}.md").read_text()


def test_numbers_are_those_of_the_leaderboard(made: PaperFiles) -> None:
    forest, roc = texts(made.folder / "forest.svg"), texts(made.folder / "roc.svg")
    matrices, reliability = texts(made.folder / "confusion.svg"), texts(made.folder / "reliability.svg")
    for row in made.board.rows:
        assert row.out_of_fold is not None
        shown = f"{number(row.out_of_fold.auc)} {interval_text(row.out_of_fold.auc_interval)}"
        assert shown in forest
        if row.kind == "network" and row.state == "complete":
            assert f"{row.architecture}  {shown}" in roc
            counts = row.out_of_fold.at_tuned
            assert {str(counts.tp), f"{number(100 * counts.value('recall'), 1)} %"} <= set(matrices)
            assert f"ECE {number(row.out_of_fold.value('ece'))}" in reliability
    page = leaderboard_markdown(made.board, command="x")
    ranking = [line for line in (made.folder / "ranking.md").read_text().splitlines() if line.startswith("| 1")]
    assert (
        ranking[0].split(" | ")[:12] == next(line for line in page.splitlines() if line[:3] == "| 1").split(" | ")[:12]
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nowhere", 2, "found no suite.yaml; expected the folder of a run"),
        ("comparison", 2, "found a comparison, which has its figure"),
        ("unfinished", 2, "whose jobs have not all been run: vit_base_patch16_224 (4 of 5 folds)"),
        ("changed", 3, "found SHA-256"),
    ],
)
def test_what_cannot_be_drawn_is_one_message(
    name: str, code: int, words: str, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.path if name in ("unfinished", "changed") else tmp_path / name
    if name == "comparison":
        path.mkdir()
        write_json(path / "comparison.json", {})
    if name == "unfinished":
        shutil.rmtree(run.job_folder("vit_base_patch16_224", 2))
    if name == "changed":
        table = run.predictions_path("resnet18", 0)
        table.write_bytes(table.read_bytes() + b"\n")
    assert main(["figures", str(path), "--to", str(tmp_path / "to")]) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
    assert not any((tmp_path / "to").glob("*"))


def test_a_folder_that_cannot_be_written_is_told_first(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write .*file.*--to"):
        write_paper_files(run.path, tmp_path / "file")


def test_a_run_without_a_whole_network_has_no_figures(run: RunFolder) -> None:
    record = run.record_path("densenet121", 3)
    for architecture in ("resnet18", "vit_base_patch16_224"):
        failed = json.loads(record.read_text()) | {"architecture": architecture, "fold": 0}
        shutil.rmtree(run.job_folder(architecture, 0))
        write_json(run.record_path(architecture, 0), failed)
    with pytest.raises(SettingsError, match="found no network that completed all 5 folds"):
        write_paper_files(run.path)
