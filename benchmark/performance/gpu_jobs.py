"""Whole jobs on CUDA: one with its agreement, the full comparison, the same bytes again, further networks and seeds."""

from __future__ import annotations

import dataclasses
import importlib.util
import multiprocessing
import os
import signal
import tarfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmark.performance.gpu_setting import Clock, Figures, Setting, silent
from pneumobench.errors import PneumobenchError
from pneumobench.files import sha256_of_file
from pneumobench.runs.context import Bench
from pneumobench.runs.context import open_run as open_bench
from pneumobench.runs.execution import Execution
from pneumobench.runs.finished import Run
from pneumobench.runs.networks import build_network, trained_network
from pneumobench.runs.publishing import publish_run
from pneumobench.runs.run import run
from pneumobench.runs.train_job import fold_data, reason_of
from pneumobench.suite.spec import Suite
from pneumobench.training.fit import fit
from pneumobench.training.predictions import logit_of, probability_of, score_images

WANTED: Final = (
    "albumentations", "captum", "lime", "lightning", "optuna", "pydicom", "simplejpeg", "timm", "torchmetrics", "wandb",
)  # fmt: skip
AGREEING: Final = 512  # images that both devices score
PROBE_EPOCHS, FURTHER_EPOCHS = 2, 2
MARGIN: Final = 0.8  # share of the time that is left which a comparison is planned for
KILLED_IN: Final = 1  # epoch, from 0: the checkpoint that is gone on from is an epoch older


def _done(setting: Setting, suite: Suite, folds: list[int] | None, *, side_by_side: int = 1) -> tuple[Run, float]:
    """Run a suite and return it with the seconds it took.

    Raises:
        RuntimeError: every job failed; names the first reason.
    """
    started = time.perf_counter()
    done = run(suite, output=setting.work, folds=folds, execution=Execution(jobs=side_by_side), console=silent())
    if len(done.failed) == len(done.records):
        raise RuntimeError(f"{done.failed[0].architecture}: {done.failed[0].reason}")
    return done, time.perf_counter() - started


def first_job(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Train one network for two epochs, and compare its predictions with those of the processor."""
    del clock  # it is the first
    missing = [name for name in WANTED if importlib.util.find_spec(name) is None]
    figures.add("packages", not_installed=", ".join(missing) or "none")
    name = setting.architectures[0]
    done, seconds = _done(setting, setting.suite("first", (name,), PROBE_EPOCHS), [0])
    (record,) = done.records
    cost = record.cost
    assert cost is not None
    figures.add(
        "one job", architecture=name, epochs=PROBE_EPOCHS, precision=done.suite.training.precision, seconds=seconds,
        training_s=cost.training_seconds, images_a_second_scored=cost.inference_images_per_second,
        peak_memory_MiB=cost.peak_memory_mib,
    )  # fmt: skip
    bench = open_bench(done.path, setting.data or None, silent())
    known = done.folder.predictions(record).set_index("image_id")["probability"]
    rows = bench.fold_images(0).positions["test"][:AGREEING]
    recorded = known.loc[bench.index.table["image_id"].iloc[rows]].to_numpy()
    reference = _scored(bench, rows, accelerator="cpu", precision="32-true")
    for what, found in (
        ("as recorded", recorded),
        ("float32, same device", _scored(bench, rows, accelerator="auto", precision="32-true")),
    ):
        apart = np.abs(found - reference)
        figures.add(
            "against float32 on the processor", predictions=what, images=len(rows),
            largest_difference=float(apart.max()), mean_difference=float(apart.mean()),
            other_side_of_a_half=int(((found >= 0.5) != (reference >= 0.5)).sum()),
        )  # fmt: skip


def _scored(bench: Bench, rows: np.ndarray, *, accelerator: str, precision: str) -> np.ndarray:
    training = dataclasses.replace(bench.suite.training, accelerator=accelerator, precision=precision)
    suite = dataclasses.replace(bench.suite, training=training)
    architecture = trained_network(suite, bench.folder, bench.folder.records()[0])
    parts = np.split(rows, range(64, len(rows), 64))
    batches = (torch.from_numpy(np.array(bench.radiographs[some]))[:, None] for some in parts)
    return probability_of(logit_of(score_images(architecture, batches, training)))


def comparison(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Run the full comparison for as many epochs as fit, and pack what of it is published."""
    side_by_side, names = setting.side_by_side, setting.architectures
    probe, wall = _done(setting, setting.suite("probe", names, PROBE_EPOCHS), [0], side_by_side=side_by_side)
    costs = [record.cost for record in probe.records if record.cost is not None]
    trained = sum(cost.training_seconds or 0.0 for cost in costs)
    around = max(0.0, wall * side_by_side - trained)  # of all jobs of a fold: start, scoring, heat maps
    figures.add("probe", jobs=len(costs), epochs=PROBE_EPOCHS, seconds=wall, training_s_of_all=trained)
    count = probe.suite.folds.count
    epochs = epochs_that_fit(
        MARGIN * clock.left() * side_by_side, trained / PROBE_EPOCHS, around, count, setting.most_epochs
    )
    done, seconds = _done(setting, setting.suite("kermany", names, epochs), None, side_by_side=side_by_side)
    jobs = len(done.records)
    figures.add(
        "comparison", jobs=jobs, failed=len(done.failed), epochs=epochs, side_by_side=side_by_side, seconds=seconds,
        seconds_an_epoch=seconds / epochs,
    )  # fmt: skip
    _add_scores(done, figures)
    _pack(setting, done)


def epochs_that_fit(seconds: float, an_epoch: float, around: float, folds: int, most: int) -> int:
    """Return how many epochs a comparison can have, at least 1.

    Args:
        seconds: that are left, of all jobs side by side.
        an_epoch: seconds of an epoch of all networks of one fold.
        around: what all networks of a fold take besides.
        folds: how many.
        most: as many as are wanted.

    >>> epochs_that_fit(600, 10, 20, 5, 20), epochs_that_fit(10, 5, 50, 5, 20), epochs_that_fit(1e6, 5, 50, 5, 20)
    (10, 1, 20)
    """
    return int(min(most, max(1.0, (seconds / folds - around) / an_epoch)))


def _add_scores(done: Run, figures: Figures) -> None:
    for row in done.leaderboard.to_frame().to_dict("records"):
        shown = {key: row[key] for key in ("architecture", "auc", "sensitivity", "specificity") if key in row}
        figures.add("scores", suite=done.suite.name, **{str(key): value for key, value in shown.items()})
    for record in done.failed:
        figures.add("failed", architecture=record.architecture, fold=record.fold, reason=record.reason)


def _pack(setting: Setting, done: Run) -> None:
    """Write the published copy of a run as one file: records and predictions, no weights."""
    copy = setting.work / "published" / done.suite.name
    publish_run(done.path, copy)
    with tarfile.open(setting.to / f"{done.suite.name}.tar.gz", "w:gz") as packed:
        packed.add(copy, done.suite.name)


def keep_unfinished(setting: Setting) -> None:
    """Pack records and tables of a comparison that was ended before all its jobs were done."""
    home, packed = setting.work / "kermany", setting.to / "kermany.tar.gz"
    if home.is_dir() and not packed.is_file():
        files = [path for path in sorted(home.rglob("*")) if path.suffix in (".json", ".csv", ".yaml")]
        with tarfile.open(setting.to / "kermany-unfinished.tar.gz", "w:gz") as whole:
            for path in files:
                whole.add(path, path.relative_to(setting.work))


def _fit(setting: Setting, bench: Bench, name: str, place: Path, epochs: int, kill_in: int | None) -> None:
    """Train a network on few images; die in an epoch if asked to."""

    def report(epoch: int, losses: dict[str, float]) -> None:
        del losses
        if epoch == kill_in:
            os.kill(os.getpid(), signal.SIGKILL)

    training = dataclasses.replace(bench.suite.training, epochs=epochs, batch_size=setting.batches[0])
    suite = dataclasses.replace(bench.suite, training=training)
    data = fold_data(suite, setting.part(bench, setting.steps * training.batch_size))
    fit(build_network(suite, name), data, training, folder=place, seed=suite.seed, epoch_report=report)


def same_bytes(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Train every network twice with deterministic algorithms, and one that is killed and resumed."""
    bench = setting.bench()
    forked = multiprocessing.get_context("fork")  # nothing here has touched the device yet

    def in_process(*arguments: Any) -> int | None:
        process = forked.Process(target=_fit, args=(setting, bench, *arguments))
        process.start()
        process.join()
        return process.exitcode

    name, places = setting.architectures[0], [setting.work / "bytes" / word for word in ("whole", "killed")]
    codes = [in_process(name, places[0], 3, None)]
    codes += [in_process(name, places[1], 3, KILLED_IN), in_process(name, places[1], 3, None)]
    hashes = [sha256_of_file(place / "weights.safetensors") for place in places]
    figures.add(
        "killed and resumed", architecture=name, exit_codes=", ".join(map(str, codes)),
        same_bytes="yes" if hashes[0] == hashes[1] else "no",
    )  # fmt: skip
    longest = 0.0
    for name in setting.architectures:
        if clock.left() < longest:
            figures.add("twice", architecture=name, same_bytes="not measured: no time left")
            continue
        started = time.monotonic()
        try:
            figures.add("twice", architecture=name, **_twice(setting, bench, name))
        except Exception as error:  # noqa: BLE001 - one network must not cost the others their figures
            figures.add("twice", architecture=name, same_bytes=f"failed: {reason_of(error, setting.batches[0])}")
        longest = max(longest, time.monotonic() - started)


def _twice(setting: Setting, bench: Bench, name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    files = []
    for number in range(2):
        place = setting.work / "bytes" / f"{name}-{number}"
        _fit(setting, bench, name, place, 1, None)
        files.append(place / "weights.safetensors")
    first, second = map(load_file, files)
    apart = max(float((first[key].double() - second[key].double()).abs().max()) for key in first)
    same = sha256_of_file(files[0]) == sha256_of_file(files[1])
    return {"same_bytes": "yes" if same else "no", "largest_difference_of_a_weight": apart}


def further(setting: Setting, clock: Clock, figures: Figures) -> None:
    """Train further networks on one fold, then the first one with further seeds, while there is time."""
    first = setting.architectures[0]
    todo = [(name, None) for name in setting.further] + [(first, seed) for seed in setting.seeds]
    longest = 0.0
    for name, seed in todo:
        if clock.left() < 1.3 * longest:
            figures.add("not measured", architecture=name, seed=seed or "as above", reason="no time left")
            continue
        started = time.monotonic()
        label = f"further-{name[:40]}" if seed is None else f"seed-{seed}"
        try:
            done, seconds = _done(setting, setting.suite(label, (name,), FURTHER_EPOCHS, seed=seed), [0])
            figures.add("jobs", architecture=name, seed=done.suite.seed, epochs=FURTHER_EPOCHS, seconds=seconds)
            _add_scores(done, figures)
        except (PneumobenchError, RuntimeError) as error:
            figures.add("not measured", architecture=name, seed=seed or "as above", reason=str(error)[:300])
        longest = max(longest, time.monotonic() - started)
