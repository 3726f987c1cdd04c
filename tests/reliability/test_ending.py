"""A run that is asked to end does so within 5 s and leaves no process, whatever it is at; one that is killed too."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pneumobench.cli.exit_codes import INTERRUPTED, TERMINATED
from tests.end_to_end.commands import Command, pneumobench, start
from tests.end_to_end.test_tune import wait_until
from tests.reliability.faults import SETTINGS, finished, temporary_files

ENDS_WITHIN_S = 5.0
HOW: dict[str, tuple[Callable[[Command], None], int, str]] = {
    "ctrl-c": (Command.press_ctrl_c, INTERRUPTED, "pneumobench: interrupted; finished jobs are kept"),
    "sigterm": (lambda run: run.send_signal(signal.SIGTERM), TERMINATED, "pneumobench: asked to end; finished jobs"),
    "kill": (Command.kill, -signal.SIGKILL, ""),
}
WORKERS = ("--training.loader_workers", "2")
SIDE_BY_SIDE = ("--jobs", "2")
DEVICES = ("--training.devices", "2", "--name", "two")


def ended(run: Command, how: str) -> tuple[str, str]:
    """End a run in one way, and check its exit code, what is said, the time it takes, and that nothing lives on."""
    end, code, words = HOW[how]
    asked = time.monotonic()
    end(run)
    output, errors = run.communicate(timeout=30)
    while left := run.left_over():
        assert time.monotonic() - asked < ENDS_WITHIN_S, left
        time.sleep(0.02)
    assert time.monotonic() - asked < ENDS_WITHIN_S
    assert run.returncode == code, errors
    assert words in errors
    assert "Traceback" not in errors
    return output, errors


def check(folder: Path, network: str, how: str, *options: str) -> None:
    """End a run in the middle of a step, and go on with it."""
    (folder / "fault").touch()
    command = ("run", "smoke", *SETTINGS, "--architectures", f"quick,{network}", *options)
    if "--name" in options:  # another run: its first network is finished here
        pneumobench(*command, "--architectures", "quick", cwd=folder)
    run = folder / ("runs/two" if "--name" in options else "runs/smoke")
    before = finished(run)
    assert any(name.startswith("quick/fold-1/") for name in before)
    process = start(*command, cwd=folder)
    wait_until((folder / "reached").exists, process)
    time.sleep(0.3)  # the others are there too
    ended(process, how)
    assert finished(run) == before
    assert not list(run.glob(f"{network}/*/record.json"))
    (folder / "fault").unlink()
    again = pneumobench(*command, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert before.items() <= finished(run).items()
    assert len(list(run.glob(f"{network}/*/record.json"))) == 2
    assert temporary_files(folder) == []


# a network that waits hears signals; one that is deaf is in a step of compiled code
@pytest.mark.parametrize(
    ("network", "how", "options"),
    [("waits", "sigterm", WORKERS), pytest.param("deaf", "ctrl-c", SIDE_BY_SIDE, marks=pytest.mark.long)],
)
def test_a_run_that_is_asked_to_end_does_so_in_time_and_goes_on_later(
    network: str, how: str, options: tuple[str, ...], folder: Path
) -> None:
    check(folder, network, how, *options)


def test_a_run_with_several_devices_ends_in_time(folder: Path) -> None:
    (folder / "fault").touch()
    run = start("run", "smoke", *SETTINGS, *DEVICES, "--architectures", "deaf", "--folds", "0", cwd=folder)
    wait_until((folder / "reached").exists, run)
    ended(run, "sigterm")
    assert not list((folder / "runs/two/deaf").glob("*/record.json"))


@pytest.mark.long
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("network", ["waits", "deaf"])
@pytest.mark.parametrize("options", [(), WORKERS, SIDE_BY_SIDE, (*SIDE_BY_SIDE, *WORKERS), DEVICES], ids="".join)
def test_a_run_ends_in_time_in_every_form(network: str, how: str, options: tuple[str, ...], folder: Path) -> None:
    check(folder, network, how, *options)


@pytest.mark.parametrize("devices", [2])
def test_a_process_of_several_devices_that_is_killed_fails_its_job_and_leaves_no_other(
    devices: int, folder: Path
) -> None:
    before = finished(folder / "runs/smoke")
    (folder / "fault").touch()
    command = ("run", "smoke", *SETTINGS, "--name", "two", "--training.devices", str(devices), "--folds", "0")
    began = time.monotonic()
    run = start(*command, "--architectures", "dies,quick", cwd=folder)
    output, errors = run.communicate(timeout=120)
    assert time.monotonic() - began < 60
    assert run.left_over() == []
    assert run.returncode == 4, errors
    assert "of the 2 of this job was ended by SIGKILL; the system does this when memory runs out" in " ".join(
        output.split()
    )
    assert errors == ""
    assert "[2/2] quick fold 0" in output, "the other job went on"
    assert finished(folder / "runs/smoke") == before
    (folder / "fault").unlink()
    again = pneumobench(*command, "--architectures", "dies,quick", "--retry-failed", cwd=folder)
    assert again.returncode == 0, again.stdout
