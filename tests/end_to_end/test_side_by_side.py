"""Jobs side by side, and runs that share a folder, leave the bytes of one run that does one job after the other."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from pneumobench.cli.main import main
from pneumobench.records.job_record import read_record
from pneumobench.records.locks import LOCKS, is_claimed
from tests.end_to_end.commands import pneumobench, start
from tests.end_to_end.test_run import HELD_PLUGIN
from tests.end_to_end.test_tune import wait_until

OPTIONS = (
    "run", "smoke", "--architectures", "test_resnet,test_vit", "--explanation.images_per_fold", "4",
    "--explanation.checked_images_per_fold", "0",
)  # fmt: skip
HELD = ("run", "smoke", "--plugin", "held.py", "--architectures", "held", "--training.epochs", "6")
TIMES = {"created", "images_hashed", "cost", "seconds", "software", "hardware", "explanation"}


def results(run: Path) -> dict[str, bytes | dict[str, object]]:
    """Return every file that training and scoring leave, records without times."""
    found: dict[str, bytes | dict[str, object]] = {}
    for path in sorted(run.glob("*/fold-*/*")):
        name = str(path.relative_to(run))
        if path.name == "record.json":
            found[name] = {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
        elif path.is_file() and path.name != ".lock":
            found[name] = path.read_bytes()
    for path in sorted(run.glob("*/fold-*/attributions/*")):
        found[str(path.relative_to(run))] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | dict[str, object]]:
    folder = tmp_path_factory.mktemp("serial")
    done = pneumobench(*OPTIONS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return results(folder / "runs/smoke")


def test_two_jobs_at_a_time_give_the_bytes_of_one_after_the_other(
    serial: dict[str, bytes | dict[str, object]], tmp_path: Path
) -> None:
    done = pneumobench(*OPTIONS, "--jobs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[4/4]" in done.stdout
    assert results(tmp_path / "runs/smoke") == serial
    assert len(serial) > 20


def test_two_runs_share_a_folder_and_give_the_bytes_of_one(
    serial: dict[str, bytes | dict[str, object]], tmp_path: Path
) -> None:
    both = [start(*OPTIONS, cwd=tmp_path) for _ in range(2)]
    outputs = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert results(tmp_path / "runs/smoke") == serial
    assert pneumobench("leaderboard", "runs/smoke", cwd=tmp_path).returncode == 0, "the manifest names every file"


def test_a_run_does_what_another_leaves_and_waits_for_what_it_is_at(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    (tmp_path / "hold").touch()
    first = start(*HELD, cwd=tmp_path)
    jobs = [tmp_path / f"runs/smoke/held/fold-{fold}" for fold in (0, 1)]
    wait_until(lambda: is_claimed(jobs[0]), first)
    second = start(*HELD, cwd=tmp_path)
    wait_until(lambda: is_claimed(jobs[1]), first, second)
    first.kill()
    (tmp_path / "hold").unlink()
    output, errors = second.communicate()
    assert second.returncode == 0, errors
    assert "[2/2]" in output, "the job of the killed run too"
    assert all(read_record(job / "record.json").completed for job in jobs)


DIES = """\
import os
import signal
from pathlib import Path

from torch import nn
from pneumobench import Architecture, register_architecture


class Dies(nn.Module):
    def __init__(self, times):
        super().__init__()
        self.linear, self.times = nn.Linear(1, 1), times

    def forward(self, x):
        if Path("armed").exists() and self.training and len(list(Path(".").glob("died-*"))) < self.times:
            Path(f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.linear(x.mean((1, 2, 3))[:, None])


@register_architecture("dies_once", source="a test")
def dies_once():
    return Architecture(module=Dies(1))


@register_architecture("dies_always", source="a test")
def dies_always():
    return Architecture(module=Dies(10**6))
"""


ELSEWHERE = {
    "ray": ("--executor", "ray", "--jobs", "2"),
    "slurm": ("--executor", "slurm", "--slurm", "cluster=local", "--jobs", "2"),
}


@pytest.mark.long
@pytest.mark.parametrize("executor", ELSEWHERE)
def test_other_executors_give_the_same_bytes_and_replace_a_worker_that_dies(
    executor: str, serial: dict[str, bytes | dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    (tmp_path / "armed").touch()
    further = ("--plugin", "dies.py", "--architectures", "dies_once,test_resnet", "--folds", "0")
    done = pneumobench(*OPTIONS, *further, *ELSEWHERE[executor], cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "[2/2]" in done.stdout
    assert of_job(results(tmp_path / "runs/smoke")) == of_job(serial)
    assert len(list(tmp_path.glob("died-*"))) == 1
    assert read_record(tmp_path / "runs/smoke/dies_once/fold-0/record.json").completed
    assert not [path.name for path in (tmp_path / "runs/smoke").glob(".*") if path.name not in LOCKS]
    assert done.stderr == ""


def of_job(found: dict[str, bytes | dict[str, object]]) -> dict[str, bytes | dict[str, object]]:
    """Return what one job left, its record without the names of plugins."""
    files = {name: what for name, what in found.items() if name.startswith("test_resnet/fold-0")}
    record = files.pop("test_resnet/fold-0/record.json")
    assert isinstance(record, dict)
    assert len(files) > 5
    return {**files, "record": {key: value for key, value in record.items() if key != "inputs"}}


@pytest.mark.long
@pytest.mark.parametrize("executor", ELSEWHERE)
def test_a_worker_that_dies_always_costs_its_own_job(executor: str, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    (tmp_path / "armed").touch()
    plugin = ("--plugin", "dies.py", "--architectures", "dies_always,test_resnet", "--folds", "0")
    nothing = ("--explanation.checked_images_per_fold", "0")
    done = pneumobench("run", "smoke", *nothing, *plugin, *ELSEWHERE[executor], cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    record = read_record(tmp_path / "runs/smoke/dies_always/fold-0/record.json")
    assert record.status == "failed"
    assert "lost 2 times" in str(record.reason)
    assert len(list(tmp_path.glob("died-*"))) == 2
    assert read_record(tmp_path / "runs/smoke/test_resnet/fold-0/record.json").completed


@pytest.mark.long
@pytest.mark.parametrize(("name", "status"), [("dies_once", "completed"), ("dies_always", "failed")])
def test_a_process_that_dies_costs_its_own_job_and_is_replaced(name: str, status: str, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    (tmp_path / "armed").touch()
    plugin = ("--plugin", "dies.py", "--architectures", f"{name},test_resnet", "--folds", "0", "--jobs", "2")
    done = pneumobench("run", "smoke", "--explanation.checked_images_per_fold", "0", *plugin, cwd=tmp_path)
    assert done.returncode == (0 if status == "completed" else 4), done.stderr
    record = read_record(tmp_path / f"runs/smoke/{name}/fold-0/record.json")
    assert record.status == status
    if status == "failed":
        assert record.reason == f"its process ended by signal {int(signal.SIGKILL)}, then signal {int(signal.SIGKILL)}"
    assert read_record(tmp_path / "runs/smoke/test_resnet/fold-0/record.json").completed


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [("--jobs", "2"), *ELSEWHERE.values()])
def test_the_processes_end_with_the_run(how: signal.Signals, options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    (tmp_path / "hold").touch()
    run = start(*HELD, *options, cwd=tmp_path)
    jobs = [tmp_path / f"runs/smoke/held/fold-{fold}" for fold in (0, 1)]
    wait_until(lambda: all(is_claimed(job) for job in jobs), run)
    run.send_signal(how)
    run.communicate(timeout=60)
    assert run.returncode in (130, -how, 128 + how)
    (tmp_path / "hold").unlink()
    deadline = time.monotonic() + 20
    while any(is_claimed(job) for job in jobs):
        assert time.monotonic() < deadline, "a job went on alone"
        time.sleep(0.05)
    assert not any((job / "record.json").exists() for job in jobs)
    assert options == ("--jobs", "2") or not list((tmp_path / "runs/smoke").glob(".jobs.*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--jobs", "0"], "--jobs 0: expected 1 or more"),
        (["--jobs", "2", "--training.devices", "2", "--training.strategy", "ddp_fork"], "use one device each"),
    ],
)
def test_what_cannot_be_side_by_side_is_refused(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "smoke", *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "runs").exists(), "before anything is read"
