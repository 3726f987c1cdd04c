"""A bundle -> ONNX graphs -> the same answers, in a process that has no PyTorch."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from rich.console import Console
from starlette.testclient import TestClient

import pneumobench as pb
from pneumobench.cli.main import main
from pneumobench.prediction import onnx_predictor, parity
from pneumobench.prediction.bundle import open_bundle
from pneumobench.runs.bundling import make_bundle
from pneumobench.runs.opening import open_run
from pneumobench.serving.access import Access
from pneumobench.serving.app import create_app
from tests.end_to_end.commands import REPOSITORY, environment
from tests.prediction.bundles import write_bundle, write_films
from tests.prediction.dicom.conftest import film
from tests.prediction.dicom.nodes import Archive, read, running, store, until
from tests.radiographs.dicom_files import written

QUIET = Console(file=io.StringIO())
PAGE = REPOSITORY / "docs/how-to/export-onnx.md"
# imports that fail as they do where these are not installed
ABSENT = ("torch", "timm", "lightning", "torchvision", "torchmetrics", "captum", "sklearn", "matplotlib", "onnx")
WITHOUT = f"""\
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from pneumobench.cli.main import main
code = main(sys.argv[1:])
print(*sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of phantoms, with their table."""
    folder = tmp_path_factory.mktemp("drawn")
    write_films(folder)
    return folder


@pytest.fixture(scope="module")
def films(drawn: Path) -> list[Path]:
    return sorted((drawn / "images").rglob("*.png"))


@pytest.fixture(scope="module")
def made(films: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two networks with random weights."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "resnet", films)


@pytest.fixture(scope="module")
def exported(made: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, exported."""
    to = tmp_path_factory.mktemp("exported") / "resnet.zip"
    assert main(["export", str(made), "--onnx", "--to", str(to), "--data", str(drawn / "index.csv")]) == 0
    return to


def alone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command where PyTorch and whatever needs it cannot be imported."""
    words: Sequence[str] = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)


def test_an_exported_bundle_answers_the_same_without_pytorch(
    made: Path, exported: Path, films: list[Path], tmp_path: Path
) -> None:
    assert main(["predict", str(made), *map(str, films), "--to", str(tmp_path / "torch.csv")]) == 0
    done = alone("predict", exported, *films, "--to", tmp_path / "onnx.csv")
    assert done.returncode == 0, done.stderr
    ours, theirs = (list(csv.DictReader((tmp_path / name).open())) for name in ("torch.csv", "onnx.csv"))
    assert len(theirs) == len(films)
    for one, other in zip(ours, theirs, strict=True):
        assert list(one) == list(other)
        for column, value in one.items():
            if column in ("bundle", "reasons", "notes"):
                assert re.sub(r"[\d.]", "", value) == re.sub(r"[\d.]", "", other[column]) or column == "bundle"
            elif re.fullmatch(r"[\d.e+-]+", value):
                assert float(other[column]) == pytest.approx(float(value), abs=1e-4), column
            else:
                assert other[column] == value, column


def reported(content: bytes) -> float:
    """Return the mean probability that a structured report holds."""
    pending = [pydicom.dcmread(io.BytesIO(content))]
    while pending:
        item = pending.pop()
        pending += item.get("ContentSequence", [])
        named = item.get("ConceptNameCodeSequence")
        if named and named[0].CodeMeaning == "Probability":
            derived = [
                one.ConceptCodeSequence[0].CodeMeaning for one in item.ContentSequence if one.ValueType == "CODE"
            ]
            if "Mean" in derived:
                return float(item.MeasuredValueSequence[0].NumericValue)
    raise AssertionError("no mean probability")


def test_the_same_probability_everywhere(made: Path, exported: Path, films: list[Path], tmp_path: Path) -> None:
    """Python, command, server and node, with PyTorch and ONNX Runtime, and a process that has no PyTorch."""
    gray = cv2.imread(str(films[0]), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    image = written(tmp_path, film(gray.astype(np.uint8), 1))
    assert main(["predict", str(made), str(image), "--to", str(tmp_path / "command.csv")]) == 0
    assert alone("predict", exported, image, "--to", tmp_path / "alone.csv").returncode == 0
    found = {
        name: float(next(csv.DictReader((tmp_path / name).open()))["probability"])
        for name in ("command.csv", "alone.csv")
    }
    for bundle in (made, exported):
        asked = pb.load(bundle)
        found[f"Python {bundle.name}"] = asked.predict(image)[0].probability
        with TestClient(create_app(asked, access=Access()), base_url="http://127.0.0.1") as client:
            found[f"server {bundle.name}"] = client.post("/api/predict", content=image.read_bytes()).json()[
                "probability"
            ]
        queue = tmp_path / bundle.name
        with Archive().open() as archive, running(asked, queue, archive.port, kinds=("report",)) as node:
            assert store(read(image), node.port).Status == 0
            until(lambda archive=archive: len(archive.came) == 1, "a report")  # type: ignore[misc]
            found[f"node {bundle.name}"] = reported(archive.came[0][1])
    assert len(found) == 8
    assert max(found.values()) - min(found.values()) <= 1e-4, found


def test_what_the_page_says_to_install_is_all_that_is_imported(exported: Path, films: list[Path]) -> None:
    done = alone("predict", exported, films[0])
    assert done.returncode == 0, done.stderr
    listed = re.search(r"--no-deps pneumobench\npython -m pip install (.*)\n", PAGE.read_text())
    assert listed is not None
    names = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "docstring-parser": "docstring_parser", "pillow": "PIL"}
    told = {names.get(name, name) for name in listed[1].split()}
    brought = {  # by these
        "annotated_types", "pydantic_core", "typing_extensions", "typing_inspection", "dateutil", "pytz", "tzdata",
        "six", "cython_runtime", "flatbuffers", "google", "charset_normalizer", "markdown_it", "mdurl", "pygments",
        "packaging", "ml_dtypes", "pyarrow", "bottleneck", "numexpr",
    }  # fmt: skip
    imported = {
        name for name in done.stderr.split() if not name.startswith("_") and name not in sys.stdlib_module_names
    }
    assert "onnxruntime" in imported
    assert imported - told - brought - {"pneumobench"} == set()


def test_parity_is_kept_beside_the_graphs(made: Path, exported: Path, films: list[Path]) -> None:
    opened = open_bundle(exported)
    about = opened.bundle.exported
    assert about is not None
    told = json.loads(opened.read(about.parity))
    assert told["beyond"] == []
    assert told["largest"] <= 1e-4
    assert told["largest_prepared_inside"] <= 1e-4
    assert told["images"] == len(films)
    assert told["auc"] == pytest.approx(told["auc_exported"], abs=1e-3)
    assert about.made_of == open_bundle(made).sha256
    card = opened.read("README.md").decode()
    assert "## ONNX" in card
    assert "| `networks.onnx` | `in: gray` | (N, H, W) uint8 |" in card
    assert str(made.parent) not in card + json.dumps(told)
    assert not any(name.endswith("fold-0.safetensors") for name in opened.names)


@pytest.mark.long
def test_what_lies_beyond_a_bar_is_written_and_said(
    made: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parity.PROBABILITY_BAR, "fp16", 0.0)  # which no half precision can keep
    to = tmp_path / "half"
    words = ["export", str(made), "--onnx", "--to", str(to), "--precision", "fp16", "--data", str(drawn / "index.csv")]
    words += ["--json"]
    assert main(words) == 4
    told, said = capsys.readouterr()
    assert json.loads(told)["parity"]["beyond"]
    assert f"{to} answers otherwise than PyTorch" in said
    assert json.loads((to / "parity.json").read_text())["beyond"]
    assert "**beyond the bar**" in (to / "README.md").read_text()


@pytest.mark.long
def test_eight_bits_are_smaller_and_order_images_alike(made: Path, exported: Path, tmp_path: Path) -> None:
    to = tmp_path / "small"
    words = ["export", str(made), "--onnx", "--to", str(to), "--precision", "int8"]
    assert main(words) in (0, 4), "nobody trained the networks: AUC may move by more than a bar"
    assert (to / "networks.onnx").stat().st_size < 0.4 * len(open_bundle(exported).read("networks.onnx"))
    assert json.loads((to / "parity.json").read_text())["source"] == "phantoms, which are drawn"


@pytest.mark.long
@pytest.mark.usefixtures("beside_plugins")
def test_verify_asks_an_exported_bundle(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = open_run(copied / "runs/smoke", trust_plugins=True, console=QUIET)
    make_bundle(run, tmp_path / "made", architecture="test_resnet")
    exported = tmp_path / "exported"
    assert main(["export", str(tmp_path / "made"), "--onnx", "--to", str(exported)]) == 0
    assert main(["verify", str(exported)]) == 0, capsys.readouterr()
    assert "is what it says" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("export BUNDLE --to new", 2, "expected --onnx"),
        ("export EXPORTED --onnx --to new", 2, "is an exported bundle already"),
        ("export BUNDLE --onnx --to BUNDLE", 2, "is there already"),
        ("export nowhere --onnx --to new", 2, "nowhere: no such file or folder"),
        ("export BUNDLE --onnx --to new --data nowhere", 3, "nowhere: no such data folder"),
        ("export BUNDLE --onnx --to new --images 0", 2, "--images 0: expected 1 or more"),
        ("predict EXPORTED FILM --heat-maps maps", 2, "an exported bundle has no heat maps"),
        (
            "predict EXPORTED FILM --device quantum",
            2,
            "device 'quantum' cannot be used by the ONNX Runtime here; it has cpu",
        ),
    ],
)
def test_what_cannot_be_is_told(
    words: str, code: int, message: str, made: Path, exported: Path, films: list[Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    names = {"BUNDLE": str(made), "EXPORTED": str(exported), "FILM": str(films[0])}
    assert main([names.get(word, word) for word in words.split()]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        ("onnxruntime", "onnxruntime, which runs it, is not installed: pip install"),
        ("onnxscript", "export --onnx needs the package onnxscript, which is not installed: pip"),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_install_it(
    absent: str, words: str, made: Path, exported: Path, films: list[Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, absent, None)
    line = ["export", str(made), "--onnx", "--to", str(tmp_path / "new")]
    assert main(["predict", str(exported), str(films[0])] if absent == "onnxruntime" else line) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "pneumobench[onnx]" in said


def test_a_damaged_graph_is_told(exported: Path) -> None:
    opened = open_bundle(exported)
    assert opened.bundle.exported is not None
    broken = {opened.bundle.exported.file: b"no graph"}
    other = type(opened)(
        bundle=opened.bundle, sha256="", path=exported, read=lambda name: broken.get(name) or opened.read(name)
    )
    with pytest.raises(pb.RecordError, match=r"networks.onnx cannot be run by ONNX Runtime"):
        onnx_predictor.OnnxPredictor(other)
