from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from pneumobench.files import sha256_of_file
from pneumobench.records.job_record import read_record
from pneumobench.records.locks import claim_folder
from tests.end_to_end.commands import pneumobench, start

Smoke = tuple[Path, CompletedProcess[str]]


def _bytes(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): sha256_of_file(file) for file in files}


def test_a_failing_architecture_costs_only_itself(smoke: Smoke) -> None:
    folder, done = smoke
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    status = {}
    for path in sorted((folder / "runs/smoke").glob("*/fold-*/record.json")):
        record = read_record(path)
        if not record.is_control:
            status[record.architecture, record.fold] = (record.status, record.reason)
    assert len(status) == 12
    for name in ("test_resnet", "test_vit", "ten_lines"):
        assert status[name, 0] == status[name, 1] == ("completed", None)
    assert status["too_large", 0] == ("failed", "out of memory, batch 8")
    assert status["crashes", 1] == ("failed", "RuntimeError: shape mismatch")
    assert status["diverges", 0][0] == "diverged"
    assert "loss became nan in step 0" in str(status["diverges", 0][1])
    assert "crashes fold 0 failed: RuntimeError: shape mismatch" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("next: pneumobench run smoke --architectures test_resnet,")
    assert done.stdout.endswith(" --retry-failed\n")


def test_every_image_is_predicted_once_out_of_fold(smoke: Smoke) -> None:
    run = smoke[0] / "runs/smoke"
    index = pd.read_csv(run / "index.csv")
    for name in ("test_resnet", "test_vit", "ten_lines"):
        tables = [pd.read_csv(run / name / f"fold-{fold}" / "predictions.csv") for fold in (0, 1)]
        out_of_fold = pd.concat([table[table["split"] == "test"] for table in tables])
        assert sorted(out_of_fold["image_id"]) == sorted(index.loc[index["split"] == "train", "image_id"])
        for table in tables:
            official = table.loc[table["split"] == "official_test", "image_id"]
            assert sorted(official) == sorted(index.loc[index["split"] == "test", "image_id"])


def test_a_plugin_of_ten_lines_stands_in_the_table_beside_the_others(smoke: Smoke) -> None:
    folder, done = smoke
    board = folder / "runs/smoke/leaderboard"
    assert "ten_lines" in done.stdout
    assert set(pd.read_csv(board / "leaderboard.csv")["architecture"]) == {
        "test_resnet", "test_vit", "ten_lines", "too_large", "crashes", "diverges",
        "control-majority", "control-thumbnail-without-lungs", "ensemble-mean", "ensemble-weighted",
    }  # fmt: skip
    for file in ("README.md", "index.html"):
        assert "ten_lines" in (board / file).read_text()


def test_starting_again_trains_nothing_and_changes_no_byte(smoke: Smoke) -> None:
    folder, first = smoke
    before = _bytes(folder / "runs/smoke")
    names = "test_resnet,test_vit,ten_lines,too_large,crashes,diverges"
    again = pneumobench(
        "run", "smoke", "--architectures", names, "--plugin", "ten.py", "--plugin", "broken.py", cwd=folder
    )
    assert again.returncode == first.returncode == 4, again.stderr
    assert "12 jobs, all finished before; nothing is left to do" in again.stdout
    assert "loading PyTorch" not in again.stdout
    assert _bytes(folder / "runs/smoke") == before


def test_a_page_that_was_lost_is_written_again_to_the_byte(smoke: Smoke) -> None:
    folder, before = smoke[0], _bytes(smoke[0] / "runs/smoke")
    (folder / "runs/smoke/leaderboard/index.html").unlink()
    names = "test_resnet,test_vit,ten_lines,too_large,crashes,diverges"
    again = pneumobench(
        "run", "smoke", "--architectures", names, "--plugin", "ten.py", "--plugin", "broken.py", cwd=folder
    )
    assert "12 jobs, 12 of them finished before" in again.stdout, again.stderr
    assert _bytes(folder / "runs/smoke") == before


def test_the_leaderboard_can_be_recomputed_to_the_byte(smoke: Smoke) -> None:
    board = smoke[0] / "runs/smoke/leaderboard"
    before = _bytes(board)
    done = pneumobench("leaderboard", "runs/smoke", cwd=smoke[0])
    assert done.returncode == 0, done.stderr
    assert _bytes(board) == before


def test_the_public_command_names_no_folder_of_this_machine(smoke: Smoke) -> None:
    metadata = json.loads((smoke[0] / "runs/smoke/environment.json").read_text())
    assert metadata["command"].startswith("pneumobench run smoke --architectures test_resnet,test_vit")
    for file in ("suite.yaml", "environment.json", "leaderboard/README.md", "leaderboard/index.html"):
        assert str(smoke[0]) not in (smoke[0] / "runs/smoke" / file).read_text()


def test_other_settings_in_the_same_folder_are_refused_with_the_difference(smoke: Smoke) -> None:
    before = _bytes(smoke[0] / "runs/smoke")
    done = pneumobench("run", "smoke", "--training.epochs", "2", cwd=smoke[0])
    assert done.returncode == 2
    assert "holds a run with other settings" in done.stderr
    assert "-  epochs: 1" in done.stderr
    assert "+  epochs: 2" in done.stderr
    assert _bytes(smoke[0] / "runs/smoke") == before


def test_other_code_is_refused_or_written_into_the_records(smoke: Smoke, tmp_path: Path) -> None:
    for item in ("ten.py", "runs/.cache", "runs/smoke"):
        copy = shutil.copytree if (smoke[0] / item).is_dir() else shutil.copy2
        copy(smoke[0] / item, tmp_path / item)
    shutil.rmtree(tmp_path / "runs/smoke/ten_lines/fold-1")
    (tmp_path / "ten.py").write_text((tmp_path / "ten.py").read_text() + "# another line\n")
    command = ("run", "smoke", "--architectures", "ten_lines", "--plugin", "ten.py")
    refused = pneumobench(*command, cwd=tmp_path)
    assert refused.returncode == 2
    assert "plugin ten.py: SHA-256" in refused.stderr
    assert "--accept-changes" in refused.stderr
    done = pneumobench(*command, "--accept-changes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accepted = [read_record(tmp_path / f"runs/smoke/ten_lines/fold-{fold}/record.json").accepted for fold in (0, 1)]
    assert accepted[0] == ""
    assert accepted[1].startswith("plugin ten.py: SHA-256")


# waits in the middle of training as long as a file called "hold" lies in the working folder
HELD_PLUGIN = """\
import time
from pathlib import Path

from torch import nn
from pneumobench import Architecture, register_architecture


class Held(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(in_channels, 4, 3, stride=4), nn.Linear(4, 1)

    def forward(self, x):
        while self.training and Path("hold").exists():
            time.sleep(0.02)
        return self.linear(self.conv(x).relu().mean((2, 3)))


@register_architecture("held", source="a test")
def held(*, in_channels: int) -> Architecture:
    return Architecture(module=Held(in_channels), in_channels=in_channels)
"""


# tests/reliability asks a run to end in more ways
@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_broken_off_goes_on_with_what_is_missing(tmp_path: Path, how: signal.Signals) -> None:
    run = tmp_path / "runs/smoke"
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    options = ("run", "smoke", "--plugin", "held.py", "--architectures", "held", "--training.epochs", "12")
    process = start(*options, cwd=tmp_path)
    deadline = time.monotonic() + 120
    # the first job is finished and the second is in the middle
    while not (run / "held/fold-1/resume.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the second job did not begin"
        time.sleep(0.005)
    (tmp_path / "hold").touch()
    time.sleep(0.5)
    assert not (run / "held/fold-1/record.json").exists(), "the second job was over before it could be held"
    process.send_signal(how)
    time.sleep(0.5)
    (tmp_path / "hold").unlink()  # SIGTERM waits for the end of the step
    output, errors = process.communicate(timeout=10)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted; finished jobs are kept" in errors
    else:
        assert process.returncode in {-how, 128 + how}, (output, errors)
    finished = _bytes(run / "held/fold-0")
    assert not (run / "held/fold-1/record.json").exists()
    again = pneumobench(*options, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "2 jobs, 1 of them finished before" in again.stdout
    after = _bytes(run / "held/fold-0")  # explanations are added when all networks are trained
    assert {file: after[file] for file in finished} == finished
    assert len(pd.read_csv(run / "held/fold-1/history.csv")) == 12


@pytest.mark.long
def test_runs_killed_at_any_moment_end_as_one_that_was_not(tmp_path: Path) -> None:
    kills_wanted, chance = 500, random.Random(0)
    options = ("run", "smoke", "--architectures", "test_resnet", "--training.epochs", "3")
    (tmp_path / "whole").mkdir()
    started = time.monotonic()
    assert pneumobench(*options, cwd=tmp_path / "whole").returncode == 0
    seconds = time.monotonic() - started
    lasting = ("weights.safetensors", "history.csv", "predictions.csv", "attention.csv")
    expected = {name: _bytes(tmp_path / "whole/runs/smoke")[f"test_resnet/fold-1/{name}"] for name in lasting}
    kills = 0
    while kills < kills_wanted:
        folder = tmp_path / "killed"
        folder.mkdir()
        while True:
            process = start(*options, cwd=folder)
            with contextlib.suppress(TimeoutError):  # it was killed
                output = process.communicate(timeout=chance.uniform(0, seconds))
                assert process.returncode == 0, output
                break
            kills += 1
        found = _bytes(folder / "runs/smoke")
        assert {name: found[f"test_resnet/fold-1/{name}"] for name in lasting} == expected
        shutil.rmtree(folder)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with claim_folder(tmp_path / "runs/smoke"):
        second = pneumobench("run", "smoke", "--architectures", "test_resnet", cwd=tmp_path)
    assert second.returncode == 2
    assert f"in use by another run (process {os.getpid()})" in second.stderr
