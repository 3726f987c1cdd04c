"""The registry of data layouts: what ships, and one that a plugin file brings, from recognition to batches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.datasets.audit import audit, read_radiographs
from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.datasets.sources import list_radiographs, recognised_data
from pneumobench.errors import SettingsError
from pneumobench.reporting.words import patients_words
from pneumobench.suite.names import LAYOUT_GROUP, SHIPPED_LAYOUTS
from pneumobench.suite.reader import load_suite
from pneumobench.suite.registry import known_without_import, load_plugin_file
from pneumobench.suite.spec import DataSpec, Suite
from tests.datasets.tiny_sets import write_image, write_kermany

PLUGIN = """
import pandas as pd
from pneumobench import register_layout
from pneumobench.datasets.layouts import LISTING_COLUMNS, Listing

@register_layout(
    "my_layout",
    tree="    sick-*.png  well-*.png  my_layout.txt",
    recognised=lambda folder: (folder / "my_layout.txt").is_file(),
    patients_published=False,
)
def my_layout(root, data):
    rows = [
        (file.name, "train", int(file.name.startswith("sick")), "unknown", file.stem, "")
        for file in sorted(root.glob("*.png"))
    ]
    return Listing(rows=pd.DataFrame(rows, columns=LISTING_COLUMNS), notes=("one note",))
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin file with a layout, forgotten after the test, and a folder of that layout beside it."""
    monkeypatch.setattr(LAYOUTS, "_items", dict(LAYOUTS.loaded()))
    (tmp_path / "mine.py").write_text(PLUGIN)
    for number in range(6):
        write_image(tmp_path / "films" / f"{'sick' if number % 2 else 'well'}-{number}.png", seed=number)
    (tmp_path / "films" / "my_layout.txt").write_text("")
    return tmp_path / "mine.py"


def test_every_module_registers_the_layout_it_is_named_after() -> None:
    shipped = set(known_without_import(LAYOUT_GROUP, SHIPPED_LAYOUTS))
    assert shipped == {"chexpert", "covid_chestxray", "csv", "kermany", "nih", "phantoms", "rsna", "vindr_pcxr"}
    for name in shipped:
        assert f"{name}.py:" in LAYOUTS.get(name).origin
    synthetic = {name for name, layout in LAYOUTS.loaded().items() if layout.synthetic}
    assert synthetic == {"phantoms"}, "others may show a patient, and are sent nowhere unasked"


def test_listing_layouts_imports_no_torch() -> None:
    code = (
        "import sys; from pneumobench.datasets.layouts import LAYOUTS; assert 'kermany' in LAYOUTS.names(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_layout_of_a_plugin_is_recognised_by_the_audit(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "audit.json"
    assert main(["audit", str(tmp_path / "films"), "--plugin", str(plugin), "--output", str(report)]) == 0
    assert "read as: my_layout" in capsys.readouterr().out
    found = json.loads(report.read_text())
    assert (found["source"], found["images"], found["left_out"]) == ("my_layout", 6, ["one note"])
    assert patients_words("my_layout", 6) == patients_words("rsna", 6), "pages say that patients are not published"


def test_a_suite_names_a_layout_of_its_plugin(plugin: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"data: {{source: my_layout, root: {tmp_path / 'films'}}}\narchitectures: {{plugins: [{plugin}]}}\n"
    )
    suite = load_suite(path)
    with pytest.raises(SettingsError, match="unknown data layout 'my_layout'"):
        list_radiographs(suite, tmp_path)
    load_plugin_file(plugin)
    index, problems = read_radiographs(suite, tmp_path / "cache")
    assert (len(index.table), problems) == (6, ())
    assert "patient_rules" not in audit(index, suite=suite)


def test_a_layout_that_was_registered_may_be_named_without_a_plugin(plugin: Path, tmp_path: Path) -> None:
    load_plugin_file(plugin)
    path = tmp_path / "mine.yaml"
    path.write_text("data: {source: my_layout}\n")
    assert load_suite(path).data.source == "my_layout"


def test_a_layout_that_returns_something_else_is_named_with_its_file(plugin: Path, tmp_path: Path) -> None:
    plugin.write_text(PLUGIN.replace("columns=LISTING_COLUMNS", "columns=list('abcdef')"))
    load_plugin_file(plugin)
    data = DataSpec(source="my_layout", root=str(tmp_path / "films"))
    with pytest.raises(SettingsError, match=r"mine\.py:\d+: data layout 'my_layout' returned \['a', 'b'"):
        list_radiographs(Suite(data=data), tmp_path)


def test_two_layouts_that_are_equally_sure_are_not_guessed(plugin: Path, tmp_path: Path) -> None:
    load_plugin_file(plugin)
    (tmp_path / "films/stage_2_train_labels.csv").write_text("")
    with pytest.raises(SettingsError, match="may be of layout my_layout or rsna; say which with --source my_layout"):
        recognised_data(tmp_path / "films")
    assert recognised_data(tmp_path / "films", source="my_layout").source == "my_layout"


def test_the_surer_layout_is_taken(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    (tmp_path / "index.csv").write_text("image,label\n")
    assert recognised_data(tmp_path).source == "kermany"


@pytest.mark.parametrize("source", ["phantoms", "rsna", "vindr_pcxr", "csv"])
def test_a_patient_rule_is_for_the_names_of_kermany_only(source: str, tmp_path: Path) -> None:
    data = DataSpec(source=source, root=str(tmp_path), patient_rule="folder_subtype_number")
    with pytest.raises(SettingsError, match=f"patient_rule is folder_subtype_number with data.source {source};"):
        list_radiographs(Suite(data=data), tmp_path)
