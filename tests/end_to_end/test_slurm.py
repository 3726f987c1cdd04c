"""Slurm as submitit uses it: an array that is submitted, preempted and cancelled, with commands that play Slurm."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pneumobench.records.job_record import read_record
from pneumobench.records.locks import is_claimed
from tests.end_to_end.commands import pneumobench, start
from tests.end_to_end.test_run import HELD_PLUGIN
from tests.end_to_end.test_side_by_side import ELSEWHERE, HELD
from tests.end_to_end.test_tune import wait_until

# each is written behind `#!python`, in a folder whose file `pids` lists "ID PID" of the tasks
COMMANDS = {
    "sbatch": """\
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
last = re.search(r"--array=0-([0-9]+)", text)
job = str(os.getpid())
for task in range(int(last[1]) + 1 if last else 1):
    names = {"JOB_ID": f"{job}{task}" if last else job, "PROCID": "0", "LOCALID": "0", "NTASKS": "1"}
    names |= {"NTASKS_PER_NODE": "4", "CPUS_PER_TASK": "1"}  # four would stop Lightning's own handling of Slurm
    names |= {"ARRAY_JOB_ID": job, "ARRAY_TASK_ID": str(task)} if last else {}
    environment = {**os.environ, **{f"SLURM_{name}": value for name, value in names.items()}}
    process = subprocess.Popen(
        ["bash", sys.argv[1]], env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    with open(HERE + "/pids", "a") as file:
        file.write(f"{job}_{task} {process.pid}\\n" if last else f"{job} {process.pid}\\n")
print("Submitted batch job", job)
""",
    "srun": """\
import os, sys
words = sys.argv[1:]
while words[0].startswith("--"):
    words = words[1 if words[0] == "--unbuffered" else 2:]
os.execvp(words[0], words)
""",
    "sacct": """\
import os
print("JobID|State|NodeList")
for line in open(HERE + "/pids"):
    job, pid = line.split()
    print(f"{job}|{'RUNNING' if os.path.exists('/proc/' + pid) else 'COMPLETED'}|here")
""",
    "scancel": """\
import os, signal, sys
for line in open(HERE + "/pids"):
    job, pid = line.split()
    if job.split("_")[0] in sys.argv[1:] and os.path.exists("/proc/" + pid):
        os.killpg(int(pid), signal.SIGKILL)
""",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the commands on the path; return their folder."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, code in COMMANDS.items():
        (folder / name).write_text(f"#!{sys.executable}\nHERE = {str(folder)!r}\n{code}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.long
def test_an_array_does_the_jobs(slurm: Path, tmp_path: Path) -> None:
    settings = ("--slurm", "partition=gpu", "--slurm", "time=9")
    done = pneumobench(
        "run", "smoke", "--architectures", "test_resnet", "--explanation.checked_images_per_fold", "0",
        "--executor", "slurm", *settings, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [line.split()[0] for line in (slurm / "pids").read_text().splitlines()]
    assert [job.split("_")[1] for job in jobs] == ["0", "1"], "one array"
    assert len({job.split("_")[0] for job in jobs}) == 1
    records = [read_record(tmp_path / f"runs/smoke/test_resnet/fold-{fold}/record.json") for fold in (0, 1)]
    assert all(record.completed and record.hardware["threads"] == 1 for record in records)


@pytest.mark.long
def test_an_interrupted_run_cancels_its_array(slurm: Path, tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    (tmp_path / "hold").touch()
    run = start(*HELD, "--executor", "slurm", cwd=tmp_path)
    jobs = [tmp_path / f"runs/smoke/held/fold-{fold}" for fold in (0, 1)]
    wait_until(lambda: all(is_claimed(job) for job in jobs), run)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert (run.returncode, errors.count("\n")) == (130, 1), errors
    deadline = time.monotonic() + 20
    while any(is_claimed(job) for job in jobs):
        assert time.monotonic() < deadline, "a task went on alone"
        time.sleep(0.05)
    assert not any((job / "record.json").exists() for job in jobs)


@pytest.mark.long
def test_a_task_that_is_preempted_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    job = tmp_path / "runs/smoke/held/fold-0"
    run = start(*HELD, "--training.epochs", "40", "--folds", "0", *ELSEWHERE["slurm"], cwd=tmp_path)
    wait_until(lambda: (job / "resume.ckpt").is_file(), run)
    (tmp_path / "hold").touch()
    time.sleep(0.5)
    assert not (job / "record.json").exists(), "the job was over before it could be held"
    preempted = (job / ".lock").read_text()
    os.kill(int(preempted), signal.SIGUSR2)
    wait_until(lambda: (job / ".lock").read_text() not in ("", preempted), run)
    assert (job / "resume.ckpt").is_file()
    assert not (job / "record.json").exists(), "what was preempted has not failed"
    (tmp_path / "hold").unlink()
    output, errors = run.communicate()
    assert run.returncode == 0, errors
    assert "lost" not in output
    record = read_record(job / "record.json")
    assert record.completed
    assert record.training["epochs_run"] == 40
