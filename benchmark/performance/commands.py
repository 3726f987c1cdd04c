"""Seconds of whole commands and of what lies between two jobs, on this machine.

python -m benchmark.performance.commands [--only help,first-step] [--write]

help: `pneumobench --help`. first-step: from the command to the first step of the first training, synthetic images of
24 children drawn and read within it. pause: from the last file of a job to the first step of the next, less building
the network, which every job has to. leaderboard: `leaderboard` on a copy of the published run. beside: two networks on
two folds with --jobs 2 against one after the other, one thread a job in both. explained: masked regions and checks of
heat maps of a job at 224 px, against 20 epochs of its training. quickstart: `run quickstart`, to the page.
Each command is a process of its own. A plugin that notes the time of its steps is the network of first-step and pause.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console

from benchmark.performance.measuring import take_turns
from pneumobench.files import write_text
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.trackers import tracker_for
from pneumobench.runs.context import open_data
from pneumobench.runs.explain_jobs import explain_jobs
from pneumobench.runs.train_job import run_job
from pneumobench.suite.reader import load_suite
from pneumobench.training.keeping import quiet_lightning

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PUBLISHED: Final = REPOSITORY / "leaderboard" / "kermany-cpu"
EPOCHS: Final = 20
NOTED: Final = """\
import time
from pathlib import Path
from torch import nn
from pneumobench import Architecture, HeatMapLayer, register_architecture

NOTES = Path(__file__).with_suffix(".txt")


def note(what):
    with NOTES.open("a") as notes:
        notes.write(f"{what} {time.time()}\\n")


class Noted(nn.Sequential):
    def forward(self, images):
        if self.training and len(images) == 8:  # a batch of the suite; others try the network
            note("step")
        return super().forward(images)


@register_architecture("noted", source="a benchmark")
def noted(*, in_channels: int) -> Architecture:
    begun = time.time()
    layers = nn.Conv2d(in_channels, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1)
    module = Noted(*layers)
    note(f"built {time.time() - begun}")
    return Architecture(module=module, in_channels=in_channels, heatmap_layers=(HeatMapLayer(name="0"),))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A row of the report.

    Args:
        what: what was measured.
        seconds: all repeats.
        goal: in words.
        beside: what it is compared with, and the ratio.
    """

    what: str
    seconds: list[float]
    goal: str
    beside: str = ""


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(MEASURED), help=f"some of {', '.join(MEASURED)}, with commas")
    parser.add_argument("--repeats", type=int, default=5, help="times that each is measured; quickstart is once")
    parser.add_argument("--architecture", default="resnet18", help="network of `explained` (default: resnet18)")
    parser.add_argument("--patients", type=int, default=100, help="of `explained`, two to three images each")
    parser.add_argument("--write", action="store_true", help="write the report to commands.md beside this file")
    options = parser.parse_args()
    quiet_lightning()
    rows: list[Found] = []
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows += MEASURED[name](Path(folder), options)
        print(rows[-1], file=sys.stderr, flush=True)
    report = _report(rows)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _typed(*words: object, cwd: Path, threads: int | None = None) -> float:
    """Run a command of pneumobench and return its seconds."""
    limited = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pneumobench", *map(str, words)],
        cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **limited},
    )  # fmt: skip
    return time.perf_counter() - started


def _help(folder: Path, options: argparse.Namespace) -> list[Found]:
    turns = take_turns({"help": lambda: _typed("--help", cwd=folder)}, options.repeats)
    return [Found(what="pneumobench --help", seconds=turns.seconds["help"], goal="<= 0.4 s")]


def _noted_run(folder: Path, folds: int) -> tuple[float, list[tuple[str, float]], RunFolder]:
    """Run smoke with the network that notes its steps; return when it was typed, the notes and the run."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    (folder / "noted.py").write_text(NOTED, encoding="utf-8")
    (folder / "noted.txt").unlink(missing_ok=True)
    typed = time.time()
    words = ("--plugin", "noted.py", "--architectures", "noted", "--folds.count", folds)
    _typed("run", "smoke", *words, "--explanation.checked_images_per_fold", 0, cwd=folder)
    notes = [line.rsplit(" ", 1) for line in (folder / "noted.txt").read_text(encoding="utf-8").splitlines()]
    return typed, [(what, float(moment)) for what, moment in notes], RunFolder(folder / "runs/smoke")


def _first_step(folder: Path, options: argparse.Namespace) -> list[Found]:
    seconds = []
    for _ in range(options.repeats + 1):
        typed, notes, _ = _noted_run(folder, 2)
        seconds.append(next(moment for what, moment in notes if what == "step") - typed)
    return [Found(what="first step of `run smoke`", seconds=seconds[1:], goal="<= 6 s and the data")]


def _pause(folder: Path, options: argparse.Namespace) -> list[Found]:
    seconds = []
    for _ in range(options.repeats):
        _, notes, run = _noted_run(folder, 3)
        for fold in (1, 2):
            done = max(file.stat().st_mtime for file in run.job_folder("noted", fold - 1).rglob("*") if file.is_file())
            first = next(moment for what, moment in notes if what == "step" and moment > done)
            built = sum(float(what.split()[1]) for what, moment in notes if "built" in what and done < moment < first)
            seconds.append(first - done - built)
    return [Found(what="pause between two jobs", seconds=seconds, goal="<= 0.5 s")]


def _leaderboard(folder: Path, options: argparse.Namespace) -> list[Found]:
    copy = shutil.copytree(PUBLISHED, folder / "copy")
    turns = take_turns({"leaderboard": lambda: _typed("leaderboard", copy, cwd=folder)}, options.repeats)
    what = f"`leaderboard` on the published run {PUBLISHED.name}"
    return [Found(what=what, seconds=turns.seconds["leaderboard"], goal="<= 10 s")]


def _beside(folder: Path, options: argparse.Namespace) -> list[Found]:
    settings = ("--architectures", "test_resnet,test_vit", "--training.epochs", 20, "--data.phantoms.patients", 60)

    def run(jobs: int) -> float:
        shutil.rmtree(folder / "runs" / "smoke", ignore_errors=True)
        return _typed("run", "smoke", *settings, "--jobs", jobs, cwd=folder, threads=jobs)  # a thread a job

    turns = take_turns({"serial": lambda: run(1), "beside": lambda: run(2)}, max(1, options.repeats // 2))
    words = f"one after the other {turns.median('serial'):.1f} s, {turns.ratio('serial', 'beside'):.2f} x"
    return [Found(what="four jobs with --jobs 2", seconds=turns.seconds["beside"], goal="as it is", beside=words)]


def _explained(folder: Path, options: argparse.Namespace) -> list[Found]:
    """Time a job of one epoch at 224 px, then what is asked of its network."""
    phantoms = {"patients": options.patients, "official_test_patients": 0, "side_px": 256}
    suite = load_suite(
        "quickstart", data={"image_side_px": 224, "phantoms": phantoms}, architectures=[options.architecture],
        training={"epochs": 1},
    )  # fmt: skip
    console, run = Console(file=io.StringIO()), RunFolder(folder / suite.name)
    bench = open_data(suite, run, cache=folder / ".cache", console=console)
    record = run_job(bench, options.architecture, 0, tracker_for(suite, folder))
    assert record.cost is not None, record.reason
    training = EPOCHS * (record.cost.training_seconds or 0.0)
    asked = suite.explanation
    started = time.perf_counter()
    explain_jobs(bench, [(options.architecture, 0)], asked.methods, asked.checked_images_per_fold, console, told=False)
    seconds = time.perf_counter() - started
    what = f"masked regions and checks of heat maps, {options.architecture}, 224 px"
    words = (
        f"20 x an epoch of {record.training['train_images']} images {training:.0f} s, {seconds / training:.3f} of it"
    )
    return [Found(what=what, seconds=[seconds], goal="<= 0.05 of the training", beside=words)]


def _quickstart(folder: Path, options: argparse.Namespace) -> list[Found]:
    del options
    return [Found(what="`run quickstart`, to the page", seconds=[_typed("run", cwd=folder)], goal="<= 150 s")]


MEASURED: Final[dict[str, Callable[[Path, argparse.Namespace], list[Found]]]] = {
    "help": _help,
    "first-step": _first_step,
    "pause": _pause,
    "leaderboard": _leaderboard,
    "beside": _beside,
    "explained": _explained,
    "quickstart": _quickstart,
}


def _report(rows: list[Found]) -> str:
    """Return the report as Markdown."""
    versions, here = software_versions(), machine()
    command = shlex.join(["python", "-m", "benchmark.performance.commands", *sys.argv[1:]])
    lines = [
        "# Seconds of whole commands",
        "",
        f"`{command}`; {here['cores']} cores of {here['processor']}, {torch.get_num_threads()} threads; torch "
        f"{versions['torch']}, commit {versions['commit'][:7]}. Median, in brackets least and most.",
        "",
        "| what | seconds | goal | beside |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        spread = f" ({min(row.seconds):.2f} to {max(row.seconds):.2f})" if len(row.seconds) > 1 else ""
        lines.append(f"| {row.what} | {np.median(row.seconds):.2f}{spread} | {row.goal} | {row.beside} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
