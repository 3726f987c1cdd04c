"""Who runs the jobs, as it is asked for: what contradicts itself or is not there is refused in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pneumobench.cli.main import main
from pneumobench.errors import SettingsError
from pneumobench.reporting.tracking import NoTracking
from pneumobench.runs.execution import Execution
from pneumobench.runs.executors import Executor, choice
from pneumobench.runs.executors.choice import executor_for
from pneumobench.runs.executors.one_job import Job
from pneumobench.runs.executors.processes import ProcessExecutor, visible_device
from pneumobench.runs.executors.ray_tasks import RayExecutor, cpus_for_each
from pneumobench.runs.executors.serial import SerialExecutor
from pneumobench.runs.executors.slurm_array import SlurmExecutor
from pneumobench.runs.executors.worker import News
from pneumobench.suite.reader import load_suite

LOCAL = {"cluster": "local"}


def chosen(tmp_path: Path, devices: int = 1, **asked: Any) -> Executor:
    suite = load_suite("smoke", training={"devices": devices})
    return executor_for(Execution(**asked), suite, tmp_path, tracker=NoTracking(), console=Console())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--executor", "serial", "--jobs", "2"],
            "--jobs 2 with --executor serial, which runs one job after",
        ),
        (["--executor", "serial", "--jobs", "auto"], "--jobs auto with --executor serial"),
        (["--jobs", "many"], "--jobs many: expected a number or auto"),
        (["--jobs", "2", "--jobs-per-device", "0"], "--jobs-per-device 0: expected 1 or more"),
        (["--executor", "slurm", "--jobs-per-device", "2"], "--jobs-per-device has no effect with --executor slurm"),
        (["--executor", "serial", "--jobs-per-device", "2"], "take --executor processes or ray"),
        (["--jobs", "2", "--ray-address", "auto"], "--ray-address has no effect with --executor processes"),
        (["--executor", "ray", "--slurm", "partition=gpu"], "--slurm has no effect with --executor ray"),
        (["--executor", "slurm", "--slurm", "partition"], "--slurm partition: expected NAME=VALUE"),
        (["--executor", "slurm", "--slurm", "time=9", "--slurm", "time=8"], "time was given before, as 9"),
        (["--executor", "dask"], "invalid choice: 'dask'"),
    ],
)
def test_what_contradicts_itself_is_refused(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "smoke", *options]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "before anything is read"


def test_python_is_told_the_same() -> None:
    with pytest.raises(SettingsError, match=r"--executor rai: expected one of serial.*did you mean ray\?"):
        Execution(name="rai")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="--jobs some: expected 1 or more, or auto"):
        Execution(jobs="some")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"jobs_per_device": 2}, "--jobs-per-device 2: jobs use no GPU here"),
        ({"name": "ray", "jobs_per_device": 2}, "--jobs-per-device 2: jobs use no GPU here"),
        ({"name": "ray", "devices": 2}, "--executor ray with training.devices 2: .* use one device each"),
        ({"jobs": 2, "devices": 2}, "--jobs 2 with training.devices 2: .* use one device each"),
        ({"name": "slurm", "slurm": {"cluster": "cloud"}}, "--slurm cluster=cloud: expected slurm or local"),
        ({"name": "slurm", "slurm": {"partitoin": "gpu"}}, r"not a setting of a task; did you mean partition\?"),
        ({"name": "slurm", "slurm": {"nodes": "2"}}, "--slurm nodes=2: nodes is not a setting of a task"),
        ({"name": "slurm", "slurm": {"time": "02:00:00"}}, "time=02:00:00: expected a whole number of minutes"),
        ({"name": "slurm", "slurm": {**LOCAL, "partition": "gpu"}}, "partition=gpu has no effect with cluster=local"),
        ({"name": "slurm"}, "there is no Slurm here"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(asked: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        chosen(tmp_path, **asked)


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_extra_that_is_not_installed_is_named(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=rf'not installed: pip install "pneumobench\[{name}\]"'):
        chosen(tmp_path, name=name)


@pytest.mark.parametrize(
    ("asked", "cores", "jobs"),
    [({}, 8, None), ({"jobs": 1}, 8, None), ({"jobs": "auto"}, 8, 4), ({"jobs": "auto"}, 3, None), ({"jobs": 3}, 8, 3),
     ({"name": "processes"}, 8, 4), ({"name": "processes", "jobs": 1}, 8, 1)],
)  # fmt: skip
def test_without_a_gpu_jobs_have_two_threads_each(
    asked: Mapping[str, Any], cores: int, jobs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    found = chosen(tmp_path, **asked)
    if jobs is None:
        assert isinstance(found, SerialExecutor)
        return
    assert isinstance(found, ProcessExecutor)
    assert (found.processes, found.threads, found.devices) == (jobs, cores // jobs, 0)


@pytest.mark.parametrize(
    ("asked", "jobs", "jobs_per_device"),
    [
        ({"jobs": "auto"}, 2, None),
        ({"jobs_per_device": 3}, 6, 3),
        ({"jobs": 3, "jobs_per_device": 2}, 3, 2),
        ({"jobs": 5}, 5, None),
    ],
)
def test_jobs_share_gpus(
    asked: Mapping[str, Any], jobs: int, jobs_per_device: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "device_of", lambda spec: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = chosen(tmp_path, **asked)
    assert isinstance(found, ProcessExecutor)
    assert (found.processes, found.devices, found.jobs_per_device) == (jobs, 2, jobs_per_device)
    ray = chosen(tmp_path, name="ray", **asked)
    assert isinstance(ray, RayExecutor)
    assert (ray.jobs, ray.jobs_per_device, ray.devices) == (jobs, jobs_per_device or -(-jobs // 2), 2)
    with pytest.raises(SettingsError, match="--jobs 5 --jobs-per-device 2: 2 devices can have 4 jobs"):
        chosen(tmp_path, jobs=5, jobs_per_device=2)


def test_a_job_sees_one_of_the_devices_that_the_run_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
    assert [visible_device(number) for number in (0, 1)] == ["4", "GPU-7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_device(1) == "1"


@pytest.mark.parametrize(
    ("jobs", "cpus", "each"), [(1, [2], 2), (2, [2], 1), (9, [2], 1), (3, [4, 2], 2), (2, [8, 2], 4), (1, [], 1)]
)
def test_the_cpus_of_a_cluster_are_divided(jobs: int, cpus: list[int], each: int) -> None:
    assert cpus_for_each(jobs, cpus) == each


def test_room_of_a_ray_cluster() -> None:
    class Ray:
        @staticmethod
        def nodes() -> list[dict[str, Any]]:
            gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
            return [gone, *({"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}} for _ in range(2))]

    cluster: Any = Ray
    made: dict[str, Any] = {"address": "auto", "devices": 0, "runs_folder": Path("runs")}
    assert RayExecutor(jobs=None, jobs_per_device=2, gpus=True, **made)._room(cluster) == (8, 2, 0.5)
    assert RayExecutor(jobs=3, jobs_per_device=1, gpus=True, **made)._room(cluster) == (3, 4, 1.0)
    assert RayExecutor(jobs=None, jobs_per_device=1, gpus=False, **made)._room(cluster) == (8, 2, 0)
    with pytest.raises(SettingsError, match="the cluster has no GPU"):
        RayExecutor(jobs=None, jobs_per_device=2, gpus=False, **made)._room(cluster)


@pytest.mark.parametrize(("address", "words"), [("127.0.0.1:1", "refused"), ("ray://host", "expected HOST:PORT")])
def test_a_ray_cluster_that_is_not_there_is_named(address: str, words: str, tmp_path: Path) -> None:
    ray = chosen(tmp_path, name="ray", ray_address=address)
    assert isinstance(ray, RayExecutor)
    with pytest.raises(SettingsError, match=f"--ray-address {address}: Ray does not answer: .*{words}"), ray._cluster():
        pass


def test_slurm_is_given_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("srun", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = {"partition": "gpu", "time": "90", "gpus_per_node": "1", "setup": "module load cuda", "mem": "8GB"}
    slurm = chosen(tmp_path, name="slurm", jobs=3, slurm=settings, devices=2)
    assert isinstance(slurm, SlurmExecutor)
    text = slurm._submitter(tmp_path)._executor._make_submission_file_text("python", "1")
    for line in ("partition=gpu", "time=90", "gpus-per-node=1", "mem=8GB", "job-name=pneumobench", "open-mode=append"):
        assert f"#SBATCH --{line}\n" in text
    assert "module load cuda\n" in text
    assert slurm._submitter(tmp_path)._executor.parameters["array_parallelism"] == 3
    without_time = chosen(tmp_path, name="slurm")
    assert isinstance(without_time, SlurmExecutor)
    assert "--time=240\n" in without_time._submitter(tmp_path)._executor._make_submission_file_text("python", "1")


def test_news_are_passed_on_once_and_whole(tmp_path: Path) -> None:
    news, said = News(tmp_path), list[Any]()
    path = tmp_path / "vit-1.jsonl"

    def told(job: Job, epoch: int, losses: dict[str, float]) -> None:
        said.append((job, epoch, losses))

    path.write_text(json.dumps(["vit", 1, None, {}]) + "\n" + '["vit", 1, 0, {"tune')
    news.pass_on(said.append, told)
    assert said == [("vit", 1)]
    with path.open("a") as file:
        file.write('_auc": NaN}]\n')
    news.pass_on(said.append, told)
    news.pass_on(said.append, told)
    assert [what[:2] for what in said[1:]] == [(("vit", 1), 0)]
