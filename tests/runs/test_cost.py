"""What architectures take, measured in turn, each in a process of its own."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.records.cost_table import CostTable, read_cost, step_setting, write_cost
from pneumobench.records.manifest import check_manifest, read_manifest, seal
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.cost_table import write_cost_page
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.runs import cost
from pneumobench.runs.cost import cost_of_run, cost_of_suite, measure_costs
from pneumobench.runs.publishing import publish_run
from pneumobench.suite.reader import load_suite
from tests.leaderboard.conftest import fake_run_template, run
from tests.records.test_cost_table import cost_table

__all__ = ["fake_run_template", "run"]

PLUGIN = """\
import os
from pneumobench import register_architecture


@register_architecture("ends_its_process", source="a test")
def ends_its_process():
    os.kill(os.getpid(), 9)


@register_architecture("crashes", source="a test")
def crashes():
    raise RuntimeError("shape mismatch")
"""


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_architectures_are_asked_in_turn_and_memory_is_that_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    sizes = {"small": 1.0, "large": 5.0}

    def measured(suite: object, name: str, plugins: object) -> cost._Round | str:
        asked.append(name)
        seconds = sizes[name] * (1 if len(asked) <= 2 else 1.5)  # the machine gets busy in the second round
        return cost._Round(
            parameters=7, flops_per_image=9, step_seconds=seconds, single_seconds=seconds, batch_seconds=seconds,
            peak_memory_mib=100 * sizes[name],
        )  # fmt: skip

    monkeypatch.setattr(cost, "_in_its_process", measured)
    suite = load_suite("smoke", ["--architectures.names", "[small, large]"])
    table, page = measure_costs(suite, RunFolder(tmp_path), words=["smoke"], rounds=2, console=quiet())
    assert asked == ["small", "large", "small", "large"], "what the machine does hits all alike"
    assert [one.drift() for one in table.architectures] == pytest.approx([0.5, 0.5])
    assert table.command == "pneumobench cost smoke --rounds 2"
    text = page.read_text()
    assert "The machine was busy" in text
    assert "| small | 0.0 | 0.00 | 1,250.0 [1,000.0, 1,500.0] |" in text
    numbers = pd.read_csv(page.parent / "cost.csv").set_index("architecture")
    assert numbers.loc["large", "peak_memory_mib"] == 500
    assert numbers.loc["small", "batch_images_per_second"] == pytest.approx((32 / 1 + 32 / 1.5) / 2, rel=1e-5)
    assert read_cost(RunFolder(tmp_path)) == table
    with pytest.raises(SettingsError, match="--rounds 1: expected 2 or more"):
        measure_costs(suite, RunFolder(tmp_path), words=[], rounds=1, console=quiet())


def test_an_architecture_is_measured_in_all_its_forms() -> None:
    found = cost._measured(load_suite("smoke"), "test_resnet", (), 1)
    assert isinstance(found, cost._Round)
    assert min(found.step_seconds, found.single_seconds, found.batch_seconds) > 0
    assert found.single_seconds < found.batch_seconds < 32 * found.single_seconds
    assert found.parameters > 0
    assert found.flops_per_image > 0
    assert 0 < found.peak_memory_mib < 60, "of this network, not of PyTorch and of what ran here before"


@pytest.mark.long  # starts processes that import PyTorch
def test_a_suite_is_measured_and_what_fails_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text(PLUGIN)
    names = "test_resnet,ends_its_process,crashes"
    assert main(["cost", "smoke", "--rounds", "2", "--architectures", names, "--plugin", "broken.py", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    resnet, ends, crashes = found["architectures"]
    assert all(second > 0 for key in ("step_seconds", "single_seconds", "batch_seconds") for second in resnet[key])
    assert 0 < max(resnet["peak_memory_mib"]) < 60, "of this network, not of PyTorch"
    assert resnet["flops_per_image"] > 0
    assert "its process ended" in ends["reason"]
    assert "shape mismatch" in crashes["reason"]
    assert found["hardware"]["device"]
    assert found["hardware"]["threads"] == 1
    assert found["setting"]["batch_size"] == 8
    assert found["command"] == f"pneumobench cost smoke --architectures {names} --plugin broken.py --rounds 2"
    text = Path(found["page"]).read_text()
    assert Path(found["page"]) == Path("runs/smoke/cost/README.md")
    assert found["command"] in text
    assert "Not measured: crashes" in text
    assert str(tmp_path) not in text + Path("runs/smoke/cost/cost.json").read_text()


def with_cost(run: RunFolder, table: CostTable) -> None:
    write_cost(run, table)
    write_cost_page(run.cost, table)


def test_the_table_beside_a_run_is_on_its_board_and_in_its_published_copy(run: RunFolder, tmp_path: Path) -> None:
    before = write_leaderboard(run.path)
    assert "pass of its own" not in before.readme.read_text() + before.page.read_text()
    assert before.board.cost is None
    suite = load_suite(run.suite_yaml, of_run=True)
    table = dataclasses.replace(cost_table({"resnet18": (0.125, 0.125)}), setting=step_setting(suite))
    with_cost(run, table)
    made = write_leaderboard(run.path)
    assert made.board.cost == table
    for path in (made.readme, made.page):
        text = path.read_text()
        assert "pass of its own" in text
        assert "125.0 [125.0, 125.0]" in text
        assert "pneumobench cost fake" in text
    assert json.loads(made.json.read_text())["cost"]["rounds"] == 2
    copy = publish_run(run.path, tmp_path / "published").page.parents[1]
    assert (copy / "cost/cost.json").read_bytes() == (run.cost / "cost.json").read_bytes()
    with_cost(run, dataclasses.replace(table, setting={**table.setting, "batch_size": 1}))
    other = write_leaderboard(run.path)
    assert other.board.cost is None
    assert any("measured with other settings (batch_size 1, here " in note for note in other.board.notes)


def test_a_run_has_its_own_settings(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", str(run.path), "--training.batch_size", "4"]) == 2
    assert "is a run, which has its settings" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SettingsError, match=r"has no architecture 'resnet19'.*resnet18"):
        cost_of_run(run.path, architectures=["resnet19"], console=quiet())
    with pytest.raises(SettingsError, match="expected 2 or more"):
        cost_of_suite("smoke", load_suite("smoke"), output=run.path.parent, rounds=0, console=quiet())


def test_a_changed_table_is_found(run: RunFolder) -> None:
    with_cost(run, cost_table({"resnet18": (0.1, 0.1)}))
    seal(run, sorted(run.cost.iterdir()))
    assert set(read_manifest(run) or {}) >= {"cost/cost.json", "cost/cost.csv", "cost/README.md"}
    check_manifest(run, run.records(), weights=False)
    shutil.copy(run.cost / "cost.csv", run.cost / "cost.json")
    with pytest.raises(Exception, match=r"cost/cost\.json: changed"):
        check_manifest(run, run.records(), weights=False)
