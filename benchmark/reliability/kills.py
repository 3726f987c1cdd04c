"""Runs killed with SIGKILL at random and at chosen moments: does the resumed run end with the bytes of one left alone?

    python benchmark/reliability/kills.py runs/kills --trials 60

A third of the kills comes at a random time; a third before or after the n-th file is moved into its place, where a
window between two files is met; a third between the checkpoint of the epoch at which early stopping ended a training
and the weights. Each killed run is started again at once, in the same folder. Compared are weights, predictions, lung
attention and curves of every job; beside that the manifest must hold and nothing temporary be left. Exit code 4 if not.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from pneumobench.files import TEMPORARY, sha256_of_file
from pneumobench.records.loaded_run import gather
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

LASTING: Final = ("weights.safetensors", "history.csv", "predictions.csv", "attention.csv")
NAME: Final = "kills"
KINDS: Final = ("random time", "file moved", "early stopping")


def suite(workers: int) -> Suite:
    """Return a suite of phantoms whose trainings stop early."""
    return load_suite(
        "smoke",
        name=NAME,
        architectures=["test_resnet"],
        training={
            "epochs": 12, "early_stopping_patience": 1, "learning_rate": 0.05, "schedule": "constant",
            "loader_workers": workers,
        },
        controls={"names": ["majority"]},
        explanation={"checked_images_per_fold": 0, "images_per_fold": 4, "overlays_per_fold": 1},
    )  # fmt: skip


def child(output: Path, workers: int, kind: str, number: int, counted: Path | None) -> None:
    """Run the suite; die at the n-th file or in the n-th window, or count the files."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # of loader processes, as in a run that was typed
    sys.stderr = io.StringIO()
    moves, windows = 0, 0
    replace = Path.replace

    def replaced(self: Path, target: str | os.PathLike[str]) -> Path:
        nonlocal moves
        moves += 1
        if kind == "file moved" and moves == (number + 1) // 2 and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done = replace(self, target)
        if kind == "file moved" and moves == (number + 1) // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Path.replace = replaced  # type: ignore[method-assign, assignment]
    from pneumobench.training import fit

    saved: Callable[..., None] = vars(fit)["save_weights"]

    def save_weights(*arguments: Any) -> None:
        nonlocal windows
        windows += 1
        if kind == "early stopping" and windows == number:
            os.kill(os.getpid(), signal.SIGKILL)
        saved(*arguments)

    vars(fit)["save_weights"] = save_weights
    import pneumobench

    pneumobench.run(suite(workers), output=output, console=Console(file=io.StringIO()))
    if counted is not None:
        counted.write_text(str(moves))


def lasting(run: Path) -> dict[str, str]:
    """Return the SHA-256 of what has to be equal."""
    files = (run / "test_resnet" / f"fold-{fold}" / name for fold in range(2) for name in LASTING)
    return {file.relative_to(run).as_posix(): sha256_of_file(file) for file in files}


def main() -> int:
    """Make the trials and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, home = random.Random(options.seed), options.folder.resolve()
    shutil.rmtree(home, ignore_errors=True)
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(["pneumobench.runs.run"])

    def start(output: Path, workers: int, kind: str = "", number: int = 0, counted: Path | None = None) -> Any:
        process = forked.Process(target=child, args=(output, workers, kind, number, counted))
        process.start()
        return process

    whole = home / "whole"
    home.mkdir(parents=True)
    start(whole, 0).join()  # warms up; the second one is measured
    shutil.rmtree(whole / NAME)
    began = time.monotonic()
    process = start(whole, 0, counted=home / "moves")
    process.join()
    seconds, moves, expected = time.monotonic() - began, int((home / "moves").read_text()), lasting(whole / NAME)
    epochs = [json.loads((whole / NAME / f"test_resnet/fold-{k}/record.json").read_text())["training"] for k in (0, 1)]
    assert all(job["stopped_early"] for job in epochs), epochs
    print(
        f"left alone: {seconds:.0f} s, {moves} files moved, {[job['epochs_run'] for job in epochs]} epochs", flush=True
    )
    wrong = 0
    for trial in range(options.trials):
        kind, workers = KINDS[trial % len(KINDS)], 2 if trial % 4 == 3 else 0
        output = home / f"trial-{trial}"
        shutil.copytree(whole / ".cache", output / ".cache")
        number = chance.randint(1, 2 * moves) if kind == "file moved" else 1 + trial // len(KINDS) % 2
        process = start(output, workers, kind, number)
        process.join(chance.uniform(0, seconds) if kind == "random time" else None)
        killed_at = time.monotonic()
        if process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode
        again = start(output, workers)
        again.join()
        faults = []
        if again.exitcode != 0:
            faults.append(f"the second start ended with {again.exitcode}")
        else:
            found = lasting(output / NAME)
            faults += [f"{name} differs" for name in expected if found[name] != expected[name]]
            gather(output / NAME, check_weights=True)
        faults += [f"left over: {path.name}" for path in output.rglob(f".*{TEMPORARY}*")]
        wrong += bool(faults)
        what = f"{kind} {number}" if kind != "random time" else kind
        print(
            f"{trial + 1:3d} {what}, {workers} workers, exit {code}, resumed in {time.monotonic() - killed_at:.0f} s: "
            + ("; ".join(faults) or "equal"),
            flush=True,
        )
        if not faults:
            shutil.rmtree(output)
    print(f"{options.trials - wrong} of {options.trials} equal")
    return 4 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
