"""The measurements on CUDA run at toy size, keep to their budget, and lose no figure to what goes wrong."""

from __future__ import annotations

import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark.performance import gpu
from benchmark.performance.gpu_setting import Clock, Figures, Setting
from benchmark.performance.measuring import take_turns
from pneumobench.errors import SettingsError
from pneumobench.records.provenance import software_versions


def _items(to: Path) -> dict[int, dict[str, Any]]:
    return {item["item"]: item for item in json.loads((to / "gpu.json").read_text())["items"]}


@pytest.mark.long
def test_the_items_run_at_toy_size_and_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--toy", "--budget", "600", "--items", "1,2,3,4,5", "--to", str(tmp_path)]) == 0
    items = {number: item["tables"] for number, item in _items(tmp_path).items()}
    assert sorted(items) == sorted(gpu.ITEMS)[:-1]
    agreement = items[1]["against float32 on the processor"]
    assert [row["images"] > 0 and row["largest difference"] < 0.05 for row in agreement] == [True, True]
    (step,) = items[2]["a step"]
    assert step["suite ms"] > 0
    assert step["plain / suite"] > 0
    assert items[2]["a step, compiled"][0]["compiled ms"] > 0
    assert items[2]["an epoch"][0]["validation ms"] > 0
    (missed,) = items[2]["not measured"]
    assert (missed["form"], missed["reason"]) == ("cuda_graph", "RuntimeError: CUDA graphs need CUDA")
    assert items[3]["comparison"][0]["failed"] == 0
    assert items[4]["killed and resumed"][0]["same bytes"] == "yes"
    assert items[4]["killed and resumed"][0]["exit codes"] == "0, -9, 0"
    assert items[4]["twice"][0]["same bytes"] == "yes"
    named = {row["what"] for row in items[5]["images a second"]}
    assert named == {"explained", "integrated_gradients", "lime", "regions"}
    with tarfile.open(tmp_path / "kermany.tar.gz") as packed:
        names = packed.getnames()
    assert "kermany/test_resnet/fold-0/predictions.csv.gz" in names
    assert "kermany/leaderboard/leaderboard.csv" in names
    assert not [name for name in names if name.endswith((".safetensors", ".png"))]
    page = (tmp_path / "gpu.md").read_text()
    assert f"`python -m benchmark.performance.gpu --toy --budget 600 --items 1,2,3,4,5 --to {tmp_path}`" in page
    assert "### 3. full comparison" in page
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 5. heat maps and masked regions | done |")
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md", "kermany.tar.gz"}


@pytest.mark.long
def test_jobs_run_side_by_side_and_further_networks_too(tmp_path: Path) -> None:
    assert gpu.main(["--toy", "--budget", "600", "--items", "3,6", "--jobs", "2", "--to", str(tmp_path)]) == 0
    items = _items(tmp_path)
    (row,) = items[3]["tables"]["comparison"]
    assert (row["side by side"], row["jobs"], row["failed"]) == (2, 2, 0)
    assert [row["architecture"] for row in items[6]["tables"]["jobs"]] == ["test_vit"]


def _breaks(setting: Setting, clock: Clock, figures: Figures) -> None:
    figures.add("first", network="a", s=0.5)
    raise RuntimeError("no such kernel")


def _hangs(setting: Setting, clock: Clock, figures: Figures) -> None:
    figures.add("before", left=clock.left())
    time.sleep(600)


def _dies(setting: Setting, clock: Clock, figures: Figures) -> None:
    os._exit(7)


def _goes_on(setting: Setting, clock: Clock, figures: Figures) -> None:
    figures.add("after", left=clock.left())


def test_what_ends_an_item_is_said_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = {1: ("breaks", 1, _breaks), 2: ("hangs", 1, _hangs), 3: ("dies", 1, _dies), 4: ("goes on", 1, _goes_on)}
    monkeypatch.setattr(gpu, "ITEMS", items)
    started = time.monotonic()
    assert gpu.main(["--toy", "--budget", "14", "--items", "1,2,3,4", "--to", str(tmp_path)]) == 4
    assert time.monotonic() - started < 14
    found = _items(tmp_path)
    assert (found[1]["status"], found[1]["reason"]) == ("failed", "RuntimeError: no such kernel")
    assert found[1]["tables"] == {"first": [{"network": "a", "s": 0.5}]}
    assert found[2]["status"] == "ended with its share of the time"
    assert "before" in found[2]["tables"]
    assert (found[3]["status"], found[3]["reason"]) == ("failed", "exit code 7")
    assert found[4]["status"] == "done"
    assert "no such kernel" in capsys.readouterr().out


def test_time_that_is_left_over_goes_to_those_that_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ITEMS", {1: ("quick", 1, _goes_on), 2: ("quick", 1, _goes_on)})
    assert gpu.main(["--toy", "--budget", "100", "--items", "1,2", "--to", str(tmp_path)]) == 0
    first, second = (found["tables"]["after"][0]["left"] for found in _items(tmp_path).values())
    assert first <= 46
    assert second > 80
    assert gpu.main(["--toy", "--budget", "100", "--items", "1", "--to", str(tmp_path)], spent_s=60) == 0
    assert _items(tmp_path)[1]["tables"]["after"][0]["left"] <= 32, "imports are a part of the budget"


def test_a_comparison_that_was_ended_leaves_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unfinished(setting: Setting, clock: Clock, figures: Figures) -> None:
        job = setting.work / "kermany/net/fold-0"
        job.mkdir(parents=True)
        (job / "predictions.csv").write_text("image_id\n")
        (job / "weights.safetensors").write_text("large")
        raise RuntimeError("ended")

    monkeypatch.setattr(gpu, "ITEMS", {3: ("full comparison", 1, unfinished)})
    assert gpu.main(["--toy", "--budget", "60", "--items", "3", "--to", str(tmp_path)]) == 4
    with tarfile.open(tmp_path / "kermany-unfinished.tar.gz") as packed:
        assert packed.getnames() == ["kermany/net/fold-0/predictions.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--items", "1,9"], "--items 9: there are the items 1 to 6"),
        (["--items", "one"], "--items one: expected numbers with commas"),
        (["--budget", "2"], "--budget 2: expected more than 8 seconds"),
        (["--data", "nowhere"], "--data nowhere: no such folder"),
    ],
)
def test_wrong_options_are_named(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        gpu.main(["--toy", "--budget", "60", "--to", str(tmp_path / "figures"), *words])
    assert not (tmp_path / "figures").exists()


def test_sides_take_turns_and_another_one_is_first_every_time() -> None:
    order: list[str] = []
    turns = take_turns({name: lambda name=name: order.append(name) for name in "abc"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert set(turns.seconds) == {"a", "b", "c"}
    said = take_turns({"a": lambda: 2.0, "b": lambda: 0.5}, 2)
    assert said.seconds == {"a": [2.0, 2.0], "b": [0.5, 0.5]}
    assert said.ratio("a", "b") == 4


def test_what_a_pack_says_of_itself_stands_in_the_report_and_in_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "ITEMS", {1: ("quick", 1, _goes_on)})
    monkeypatch.setattr(gpu, "PACKED", tmp_path / "packed.json")
    (tmp_path / "packed.json").write_text(json.dumps({"commit": "c" * 40, "film MB": 33.8}))
    assert gpu.main(["--toy", "--budget", "60", "--items", "1", "--to", str(tmp_path / "figures")]) == 0
    versions = json.loads((tmp_path / "figures/gpu.json").read_text())["versions"]
    assert (versions["commit"], versions["film MB"]) == ("c" * 40, 33.8)
    assert "film MB" not in software_versions()
