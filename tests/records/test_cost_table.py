"""cost.json is read as it was written, and refused where it is none."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pneumobench.errors import RecordError
from pneumobench.records.cost_table import ArchitectureCost, CostTable, cost_of, read_cost, step_setting, write_cost
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite

HARDWARE: dict[str, str | int | float] = {
    "device": "a processor", "accelerator": "cpu", "threads": 1, "cores": 2, "precision": "32-true",
    "memory_format": "contiguous_format", "compile": "none", "devices": 1,
}  # fmt: skip


def cost_table(steps: dict[str, tuple[float, ...]], *, load: float | None = 0.1) -> CostTable:
    """Return a table with the seconds of a step in each round; an architecture without any has failed."""
    rounds = max(map(len, steps.values()))
    return CostTable(
        suite="fake",
        command="pneumobench cost fake",
        rounds=rounds,
        scored_batch=32,
        setting=step_setting(load_suite("smoke")),
        hardware=HARDWARE,
        software={"torch": "2.15.0", "timm": "1.0", "pneumobench": "0.1.0", "commit": "none"},
        load_average=load,
        architectures=tuple(
            ArchitectureCost(
                name=name,
                parameters=11_000_000,
                flops_per_image=200_000_000,
                step_seconds=seconds,
                single_seconds=tuple(second / 10 for second in seconds),
                batch_seconds=tuple(second / 2 for second in seconds),
                peak_memory_mib=(300.0,) * rounds,
            )
            if seconds
            else ArchitectureCost(name=name, reason="out of memory, batch 32")
            for name, seconds in steps.items()
        ),
    )


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, table = RunFolder(tmp_path), cost_table({"resnet18": (0.1, 0.2), "vit": ()})
    assert read_cost(folder) is None
    write_cost(folder, table)
    assert read_cost(folder) == table


def test_a_quiet_machine_gives_no_warning_and_a_busy_one_says_why() -> None:
    assert cost_table({"a": (0.1, 0.1, 0.105), "b": (0.2, 0.2, 0.2)}).warnings() == ()
    assert cost_table({"a": (0.1, 0.1)}, load=None).warnings() == ()
    (load,) = cost_table({"a": (0.1, 0.1)}, load=0.6).warnings()
    assert "0.6 processes ran or waited on 2 cores" in load
    (spread,) = cost_table({"a": (0.1, 0.1, 0.1), "b": (0.2, 0.3, 0.2)}).warnings()
    assert "for 1 of 2 architectures (most for b, 50%)" in spread


def test_drift_is_that_of_most_architectures_and_not_of_one() -> None:
    table = cost_table({"a": (0.1, 0.5, 0.2), "b": (0.1, 0.1, 0.1), "c": (0.1, 0.1, 0.1)})
    assert [one.drift() for one in table.architectures] == pytest.approx([1.0, 0.0, 0.0])
    assert table.drift() == 0.0
    failed = dataclasses.replace(table, architectures=(ArchitectureCost(name="a", reason="crashes"),))
    assert math.isnan(failed.drift())


def test_a_table_of_other_settings_is_not_shown(tmp_path: Path) -> None:
    folder, suite = RunFolder(tmp_path), load_suite("smoke")
    assert cost_of(folder, suite) == (None, ())
    write_cost(folder, cost_table({"a": (0.1, 0.1)}))
    shown, notes = cost_of(folder, suite)
    assert shown is not None
    assert notes == ()
    other = load_suite("smoke", training={**dataclasses.asdict(suite.training), "batch_size": 4})
    shown, notes = cost_of(folder, other)
    assert shown is None
    assert notes == ("cost/cost.json was measured with other settings (batch_size 8, here 4) and is not shown",)


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(format=2),
        lambda plain: plain.update(surprise=1),
        lambda plain: plain.pop("rounds"),
        lambda plain: plain["hardware"].pop("cores"),
        lambda plain: plain["architectures"][0].update(name="../up"),
        lambda plain: plain["architectures"][0].update(step_seconds=[0.1]),
        lambda plain: plain["architectures"][0].update(step_seconds=[0.1, 0.0]),
        lambda plain: plain["architectures"][0].update(peak_memory_mib=[1.0, "much"]),
        lambda plain: plain["architectures"][0].update(parameters=-1),
    ],
)
def test_what_was_not_written_here_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    folder = RunFolder(tmp_path)
    write_cost(folder, cost_table({"resnet18": (0.1, 0.2)}))
    path = tmp_path / "cost/cost.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(
        RecordError, match=r"cost\.json: found no table of costs .* measure again with `pneumobench cost"
    ):
        read_cost(folder)
