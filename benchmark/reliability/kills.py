"""Runs killed with SIGKILL at random and at chosen moments: do they end with the bytes of a run left alone?

    python benchmark/reliability/kills.py runs/kills --trials 60 --report benchmark/reliability/kills.md

Trials go through the variants in turn: early stopping; averaged weights (EMA); a plateau schedule with mixup; loader
processes; two runners that share a folder, one of which or both are killed. A third of the kills comes at a random
time; a third before or after the n-th file is moved into its place, where a window between two files is met; a third
between the last checkpoint of a training and its weights. The same command is then started again in the same folder;
where two runners shared it, the other has taken over before, or was killed as well. Compared are all files of every job
but the times in its records: weights, predictions, curves, lung attention, explanations, pictures. Beside that the
manifest must hold and the folder have no file more or less than that of the run left alone. Exit code 4 if not.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from pneumobench.files import TEMPORARY, sha256_of_file, write_text
from pneumobench.records.loaded_run import gather
from pneumobench.records.locks import LOCKS
from pneumobench.records.provenance import software_versions
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

NAME: Final = "kills"
KINDS: Final = ("random time", "file moved", "before the weights")
TIMED: Final = ("record.json", "explanation.json")  # hold times
EARLY: Final[dict[str, Any]] = {
    "epochs": 12, "early_stopping_patience": 1, "learning_rate": 0.05, "schedule": "constant",
}  # fmt: skip
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "early stopping": EARLY,
    "EMA": {"epochs": 4, "ema_decay": 0.8},
    "plateau and mixup": {"epochs": 4, "schedule": "plateau", "plateau_patience": 0, "mixup_alpha": 0.4},
    "loader processes": {**EARLY, "loader_workers": 2},
    "two runners": EARLY,
}
FRESH_EVERY: Final = 6  # trials of which one has to prepare the data too


def suite(settings: dict[str, Any]) -> Suite:
    """Return a suite of phantoms that is trained in a second."""
    return load_suite(
        "smoke",
        name=NAME,
        architectures=["test_resnet"],
        training=settings,
        controls={"names": ["majority"]},
        explanation={"checked_images_per_fold": 0, "images_per_fold": 4, "overlays_per_fold": 1},
    )


@dataclass(frozen=True, kw_only=True)
class Kill:
    """When a run is killed: at a time (then from outside), at the n-th file, or before the n-th weights."""

    kind: str = ""
    number: int = 0
    after_s: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.number}" if self.after_s is None else f"{self.kind}, {self.after_s:.1f} s"


def child(output: Path, settings: dict[str, Any], kill: Kill, counted: Path | None) -> None:
    """Run the suite; die at the n-th file or in the n-th window, or count the files."""
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # of loader processes, as in a run that was typed
    sys.stdout, sys.stderr = io.StringIO(), said_by(output).open("a", buffering=1)
    moves, windows = 0, 0
    replace = Path.replace

    def replaced(self: Path, target: str | os.PathLike[str]) -> Path:
        nonlocal moves
        moves += 1
        chosen = kill.kind == "file moved" and moves == (kill.number + 1) // 2
        if chosen and kill.number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done = replace(self, target)
        if chosen:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Path.replace = replaced  # type: ignore[method-assign, assignment]
    import torch

    from pneumobench.training import fit, keeping

    torch.set_num_threads(1)
    vars(keeping)["CHECKPOINT_EVERY_S"] = 0.0  # at each epoch, so that there is more to be killed at
    saved: Callable[..., None] = vars(fit)["save_weights"]

    def save_weights(*arguments: Any) -> None:
        nonlocal windows
        windows += 1
        if kill.kind == "before the weights" and windows == kill.number:
            os.kill(os.getpid(), signal.SIGKILL)
        saved(*arguments)

    vars(fit)["save_weights"] = save_weights
    import pneumobench

    pneumobench.run(suite(settings), output=output, console=Console(file=io.StringIO()))
    if counted is not None:
        counted.write_text(str(moves))


def files_of(run: Path) -> dict[str, str]:
    """Return every file of a run, locks left out, with the SHA-256 of those that have to be equal."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in LOCKS]
    of_jobs = {path for path in run.glob("test_resnet/fold-*/**/*") if path.name not in TIMED}
    return {str(path.relative_to(run)): sha256_of_file(path) if path in of_jobs else "" for path in files}


@dataclass(frozen=True, kw_only=True)
class LeftAlone:
    """A run that nobody kills: what it leaves, how long it takes, and how many files it moves into their places."""

    files: dict[str, str]
    seconds: float
    moves: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one trial."""

    variant: str
    kill: Kill
    killed: int
    faults: tuple[str, ...]


class Trials:
    """Starts runs in a folder, kills them and compares.

    Args:
        home: folder; what is in it is deleted.
        seed: seed of the moments.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.seed = home.resolve(), seed
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["pneumobench.runs.run"])
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.alone: dict[str, LeftAlone] = {}

    def start(
        self, output: Path, settings: dict[str, Any], kill: Kill | None = None, counted: Path | None = None
    ) -> Any:
        """Start a run and return its process."""
        process = self.processes.Process(target=child, args=(output, settings, kill or Kill(), counted))
        process.start()
        return process

    def leave_alone(self, variant: str) -> None:
        """Make the run that trials of a variant are compared with, without loader processes and by one runner."""
        settings = {**VARIANTS[variant], "loader_workers": 0}
        known = [name for name in self.alone if {**VARIANTS[name], "loader_workers": 0} == settings]
        if known:
            self.alone[variant] = self.alone[known[0]]
            return
        output = self.home / f"alone-{len(self.alone)}"
        if self.alone:
            shutil.copytree(self.home / "alone-0/.cache", output / ".cache")
        counted = self.home / "moves"
        for _ in range(1 if self.alone else 2):  # the first one warms up
            shutil.rmtree(output / NAME, ignore_errors=True)
            began = time.monotonic()
            process = self.start(output, settings, counted=counted)
            process.join()
            assert process.exitcode == 0, f"the run left alone ended with {process.exitcode}"
        self.alone[variant] = LeftAlone(
            files=files_of(output / NAME), seconds=time.monotonic() - began, moves=int(counted.read_text())
        )

    def trial(self, number: int) -> Outcome:
        """Kill one run, have it repaired, and compare."""
        variant, turn = list(VARIANTS)[number % len(VARIANTS)], number // len(VARIANTS)
        chance, alone = random.Random(f"{self.seed} {number}"), self.alone[variant]
        settings, output = VARIANTS[variant], self.home / f"trial-{number}"
        if number % FRESH_EVERY != FRESH_EVERY - 1:
            shutil.copytree(self.home / "alone-0/.cache", output / ".cache")
        kind = KINDS[number % len(KINDS)]
        if kind == "random time":
            kill = Kill(kind=kind, after_s=chance.uniform(0, alone.seconds))
        else:
            most = 2 * alone.moves if kind == "file moved" else 2
            most //= 2 if variant == "two runners" else 1  # each has about half of the jobs
            kill = Kill(kind=kind, number=chance.randint(1, most))
        others = [self.start(output, settings)] if variant == "two runners" else []
        killed = int(ended(self.start(output, settings, kill), kill.after_s))
        if turn % 2 and others:  # a third one takes over
            killed += ended(others[0], chance.uniform(0, alone.seconds))
        faults = [
            f"the other runner ended with {one.exitcode}: {last_words(output)}"
            for one in others
            if not ended(one, None) and one.exitcode
        ]
        again = self.start(output, settings)
        again.join()
        if again.exitcode != 0:
            faults.append(f"the run that repairs ended with {again.exitcode}: {last_words(output)}")
        else:
            found = files_of(output / NAME)
            faults += [f"{name}: {word}" for name, word in differences(alone.files, found).items()]
            gather(output / NAME, check_weights=True)
        faults += [f"left over: {path.name}" for path in output.rglob(f".*{TEMPORARY}*")]
        if not faults:
            shutil.rmtree(output)
        return Outcome(variant=variant, kill=kill, killed=killed, faults=tuple(faults))


def said_by(output: Path) -> Path:
    """Return the file beside a folder of runs that has what its processes say of errors."""
    return output.with_name(f"{output.name}.txt")


def last_words(output: Path) -> str:
    """Return the last line that a process said which ended with an error."""
    return (said_by(output).read_text().splitlines() or ["nothing said"])[-1]


def ended(process: Any, after_s: float | None) -> bool:
    """Wait for the end of a process, kill it after a time, and tell whether it was killed, by this or by itself."""
    process.join(after_s)
    if process.is_alive():
        process.kill()
        process.join()
    return bool(process.exitcode == -signal.SIGKILL)


def differences(expected: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """Return which files differ, are missing or were not there, with the word for it."""
    words = dict.fromkeys(expected.keys() - found.keys(), "missing")
    words |= dict.fromkeys(found.keys() - expected.keys(), "left over")
    return words | {name: "differs" for name in expected.keys() & found.keys() if expected[name] != found[name]}


def report(outcomes: Sequence[Outcome], command: str, seconds: float) -> str:
    """Return the outcome of all trials as Markdown."""
    kinds = Counter(outcome.kill.kind for outcome in outcomes)
    versions = software_versions()
    packages = ", ".join(
        f"{name} {versions[name]}" for name in ("pneumobench", "torch", "lightning") if name in versions
    )
    rows = []
    for variant in VARIANTS:
        own = [outcome for outcome in outcomes if outcome.variant == variant]
        equal = sum(not outcome.faults for outcome in own)
        rows.append(f"| {variant} | {len(own)} | {sum(outcome.killed for outcome in own)} | {equal} |")
    total = f"{len(outcomes)} | {sum(one.killed for one in outcomes)} | {sum(not one.faults for one in outcomes)}"
    table = "\n".join(rows)
    moments = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
    return f"""# Kill trials

Runs killed with SIGKILL and started again, compared with runs left alone: every file of every job to the byte, the
manifest, and that no file is there that the run left alone does not have.

| variant | trials | processes killed | equal |
| --- | --- | --- | --- |
{table}
| all | {total} |

Moments: {moments}. A process that ended before its moment is no kill; of two runners both can be.

Command: `{command}`, {seconds:.0f} s. Date: {datetime.now(UTC):%Y-%m-%d}.
Versions: {packages}, Python {platform.python_version()}, {platform.system()} {platform.machine()}.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the trials and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="Markdown file for the outcome")
    options = parser.parse_args(arguments)
    began, trials = time.monotonic(), Trials(options.folder, options.seed)
    for variant in VARIANTS:
        trials.leave_alone(variant)
        alone = trials.alone[variant]
        print(f"left alone: {variant}, {alone.seconds:.1f} s, {alone.moves} files moved", flush=True)
    outcomes = []
    with ThreadPoolExecutor(options.at_once) as pool:
        for number, outcome in enumerate(pool.map(trials.trial, range(options.trials)), start=1):
            outcomes.append(outcome)
            how = f"{outcome.killed} killed: " + ("; ".join(outcome.faults) or "equal")
            print(f"{number:3d} {outcome.variant}, {outcome.kill}, {how}", flush=True)
    equal, seconds = sum(not outcome.faults for outcome in outcomes), time.monotonic() - began
    print(f"{equal} of {options.trials} equal, {sum(one.killed for one in outcomes)} killed, {seconds:.0f} s")
    if options.report is not None:
        command = f"python benchmark/reliability/kills.py runs/kills --trials {options.trials} --seed {options.seed}"
        write_text(options.report, report(outcomes, command, seconds))
    return 0 if equal == options.trials else 4


if __name__ == "__main__":
    raise SystemExit(main())
