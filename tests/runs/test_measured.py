"""Settings that say `auto`: what is taken, and that a run keeps it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pneumobench.architectures import Architecture
from pneumobench.errors import PneumobenchError
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_begun
from pneumobench.runs import measured
from pneumobench.runs.measured import settled
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.step_time import StepTime, step_time
from tests.training.tiny_fold import tiny_architecture, tiny_spec

AUTO = {"training": {"memory_format": "auto", "precision": "auto", "compile": "none"}}


def suite_of(**changes: Any) -> Suite:
    return load_suite("smoke", **{**AUTO, **changes})


def choice(suite: Suite, cache: Path, steps: int = 100) -> tuple[TrainingSpec, str]:
    told = Console(file=io.StringIO(), width=200)
    found = settled(suite, steps=steps, cache=cache, console=told)
    assert isinstance(told.file, io.StringIO)
    return found.training, told.file.getvalue()


class Clock:
    """Gives each form of a training its seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
        self.seconds, self.asked, self.first = seconds, list[TrainingSpec](), 0.0
        self.fails: str = ""
        monkeypatch.setattr(measured, "step_time", self)

    def __call__(self, architecture: Architecture, spec: TrainingSpec, *_: object, **__: object) -> StepTime:
        self.asked.append(spec)
        if self.fails in (spec.precision, spec.memory_format, spec.compile):
            raise RuntimeError("not today")
        forms = (spec.precision, spec.memory_format, spec.compile)
        seconds = 1.0
        for form in forms:
            seconds *= self.seconds.get(form.partition("-")[0], 1.0)
        first = self.first if spec.compile == "inductor" else 0.0
        return StepTime(first=seconds + first, median=seconds)


def test_the_fastest_form_for_all_is_taken_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, channels_last=0.5, bf16=0.97)
    spec, told = choice(suite_of(), tmp_path)
    assert spec.memory_format == "channels_last"
    assert spec.precision == "32-true"  # 3 % are not worth other numbers
    assert "training.memory_format: channels_last" in told
    asked = len(clock.asked)
    assert asked == 2 * 2 * 2  # architectures, settings, forms
    assert choice(suite_of(), tmp_path)[0] == spec
    assert len(clock.asked) == asked  # known by now
    other = suite_of(training={**AUTO["training"], "batch_size": 4})
    choice(other, tmp_path)
    assert len(clock.asked) == 2 * asked


def test_a_suite_that_names_its_forms_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    suite = load_suite("smoke")
    assert choice(suite, tmp_path) == (suite.training, "")
    assert not clock.asked


def test_compiling_has_to_pay_within_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, inductor=0.5)
    monkeypatch.setattr(measured, "why_not_compiled", lambda device: "")
    clock.first = 60.0
    suite = suite_of(training={"compile": "auto"})
    assert choice(suite, tmp_path, steps=100)[0].compile == "none"
    assert choice(suite, tmp_path, steps=1000)[0].compile == "inductor"
    monkeypatch.setattr(measured, "why_not_compiled", lambda device: "no compiler")
    assert choice(suite, tmp_path / "another", steps=1000)[0].compile == "none"


def test_what_fails_is_left_to_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, channels_last=0.5)
    clock.fails = "channels_last"
    assert choice(suite_of(), tmp_path)[0].memory_format == "contiguous"


def test_steps_are_measured_and_the_number_of_them_is_bounded() -> None:
    radiographs = torch.zeros(8, 1, 16, 16, dtype=torch.uint8)
    found = step_time(tiny_architecture(), tiny_spec(), radiographs, steps=3, limit_s=60)
    assert 0 < found.median < 10
    assert found.training(1000) >= 1000 * found.median
    assert step_time(tiny_architecture(), tiny_spec(), radiographs, steps=10**9, limit_s=0.1).median < 10


def test_a_run_keeps_what_it_began_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    asked = suite_of()
    assert as_begun(asked, folder) == asked
    begun = suite_of(training={"memory_format": "channels_last", "precision": "bf16-mixed"})
    tmp_path.joinpath("suite.yaml").write_text(begun.to_yaml(), encoding="utf-8")
    assert as_begun(asked, folder).training == begun.training
    named = suite_of(training={"memory_format": "contiguous", "precision": "32-true"})
    assert as_begun(named, folder) == named  # a difference is for `run` to refuse


def test_a_setting_that_is_no_form_is_refused() -> None:
    with pytest.raises(PneumobenchError, match=r"training\.compile"):
        load_suite("smoke", training={"compile": "magic"})
