"""Seconds and memory of what is done outside training, by the number of images and of networks.

python benchmark/performance/growth.py [--data FOLDER] [--write]

1. Index, audit and folds of synthetic tables without image files: about three images a patient, 73 % pneumonia, one
   image in a hundred a copy. The ratio is that of the seconds a row to those of the fewest rows: 1 = in proportion.
2. The leaderboard of synthetic predictions of five folds. The exponent is how its seconds grow with the number of
   networks: 2 = with the square; then the same with the number of images.
3. Opening the radiographs of a folder at a second start, against reading, decoding and comparing all of them.

Processor seconds, each size in a process of its own; the peak is all memory that this process ever held.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumobench.datasets.audit import audit, read_radiographs
from pneumobench.datasets.folds import Folds, check_folds, read_folds
from pneumobench.datasets.identifiers import named_patients
from pneumobench.datasets.index import INDEX_COLUMNS, PICTURE, Index, read_index_table
from pneumobench.datasets.patients import group_images
from pneumobench.datasets.splits import make_folds
from pneumobench.files import sha256_of_text, write_text
from pneumobench.records.job_record import JobRecord, Scalar, write_record
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder, write_predictions
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.spec import DataSpec, FoldSpec, Suite

GOAL_MIB = 3 * 2**10
GOAL_EXPONENT = 2
IMAGES_A_PATIENT = 3
COPIES = 100  # one image in so many shows what another file shows
FOLDS = FoldSpec(count=5)
FOLDS_MADE_AT_MOST = 3000  # images: scikit-learn's split takes a millisecond a patient, and more rows only wait for it
RUN = "growth"


def main() -> None:
    """Measure every size in a process of its own, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default="10000,100000,1000000", help="numbers of images with commas")
    parser.add_argument("--networks", default="7,14,28,40", help="numbers of networks with commas")
    parser.add_argument("--images", default="5000,20000,80000", help="numbers of images of leaderboards with commas")
    parser.add_argument("--data", help="folder of the images of Kermany et al. (default: no second start is measured)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what the child processes are asked for
    parser.add_argument("--write", action="store_true", help="write the report to growth.md beside this file")
    options = parser.parse_args()
    if options.one:
        print(
            json.dumps(
                {"rows": _rows, "folds": _folds, "board": _board, "starts": _starts}[options.one[0]](options.one[1])
            )
        )
        return
    found, versions = machine(), software_versions()
    lines = [
        "# What is done outside training, by the number of images and of networks",
        "",
        f"`python benchmark/performance/growth.py --rows {options.rows} --networks {options.networks} --images "
        f"{options.images}{' --data FOLDER' if options.data else ''} --write`; {found['cores']} cores of an "
        f"{found['processor']}, one thread, commit {versions['commit'][:7]}. Processor seconds.",
        "",
        *_rows_table([int(rows) for rows in options.rows.split(",")]),
        *_boards_table(
            [int(networks) for networks in options.networks.split(",")],
            [int(images) for images in options.images.split(",")],
        ),
        *(_starts_table(options.data) if options.data else []),
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _rows_table(sizes: list[int]) -> list[str]:
    lines = [
        f"In brackets the seconds a row against those of {sizes[0]:,} rows; goal: 1, and {GOAL_MIB:,} MiB. Folds are "
        f"made of at most {FOLDS_MADE_AT_MOST:,} images; of more they are dealt out, not measured, and not in `all`.",
        "",
    ]
    first: dict[str, float] = {}
    for rows in sizes:
        found = _apart("rows", rows)
        peak = found.pop("peak_mib")
        made = found.pop("folds made", None)
        found["all"] = sum(found.values())
        if not first:
            lines += [
                f"| images | {' | '.join(found)} | folds made | peak memory, MiB |", "| --- " * (len(found) + 3) + "|"
            ]  # fmt: skip
            first = {what: seconds / rows for what, seconds in found.items()}
        cells = [f"{seconds:.2f} ({seconds / rows / first[what]:.2f})" for what, seconds in found.items()]
        cells.append("" if made is None else f"{made:.2f}")
        lines.append(f"| {rows:,} | {' | '.join(cells)} | {peak:,.0f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def _boards_table(networks: list[int], images: list[int]) -> list[str]:
    lines = [
        f"Leaderboards of five folds: more networks, goal: an exponent of at most {GOAL_EXPONENT}; then more images.",
        "",
        "| networks | images | leaderboard, s | exponent since the row above | peak memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for sizes in ([(one, images[0]) for one in networks], [(networks[0], one) for one in images]):
        before: tuple[int, float] | None = None
        for size in sizes:
            found = _apart("board", "x".join(map(str, size)))
            seconds, product = found["leaderboard"], size[0] * size[1]
            exponent = "" if before is None else f"{math.log(seconds / before[1]) / math.log(product / before[0]):.2f}"
            before = product, seconds
            lines.append(f"| {size[0]} | {size[1]:,} | {seconds:.2f} | {exponent} | {found['peak_mib']:,.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def _starts_table(data: str) -> list[str]:
    found = _apart("starts", data)
    return [
        f"Opening {found['images']:,.0f} radiographs; the ratio is that of the first start to the start in that row.",
        "",
        "| start | seconds | ratio |",
        "| --- | --- | --- |",
        *(
            f"| {start} | {found[start]:.2f} | {found['first'] / found[start]:.1f} |"
            for start in ("first", "second with --rehash", "second")
        ),
    ]


def _apart(what: str, size: object) -> dict[str, Any]:
    """Return what one size takes, measured in a process of its own."""
    command = [sys.executable, __file__, "--one", what, str(size)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=alone).stdout)
    return found


def _rows(size: str) -> dict[str, float]:
    """Return the processor seconds of every step on so many rows, and the most memory held."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with _timed(seconds, "patients and groups"):
            index = _index(int(size))
        with _timed(seconds, "hash, written and read"):
            index.hash()
            index.write(home / "index.csv")
            index = Index(root=home, table=read_index_table(home / "index.csv"))
        with _timed(seconds, "audit"):
            audit(index)
        if int(size) <= FOLDS_MADE_AT_MOST:
            with _timed(seconds, "folds made"):
                make_folds(index, FOLDS, seed=0)
        folds = _dealt(index)
        with _timed(seconds, "folds written and read"):
            folds.write(home / "folds.json")
            folds = read_folds(home / "folds.json")
        with _timed(seconds, "folds checked"):
            check_folds(index, folds)
    return {**seconds, "peak_mib": _peak_mib()}


def _folds(size: str) -> dict[str, float]:
    """Return the processor seconds of making the folds of so many images, and the most memory held."""
    seconds: dict[str, float] = {}
    index = _index(int(size))
    with _timed(seconds, "folds made"):
        make_folds(index, FOLDS, seed=0)
    return {**seconds, "peak_mib": _peak_mib()}


def _board(size: str) -> dict[str, float]:
    """Return the processor seconds of the leaderboard of NETWORKSxIMAGES, and the most memory held."""
    seconds: dict[str, float] = {}
    networks, images = map(int, size.split("x"))
    names = tuple(f"network-{number:02d}" for number in range(networks))
    suite = Suite(name=RUN, data=DataSpec(source="csv", root="data"), folds=FOLDS,
                  architectures=ArchitectureSpec(names=names))  # fmt: skip
    index = _index(images)
    folds = _dealt(index)
    with tempfile.TemporaryDirectory() as home:
        folder = RunFolder(Path(home) / RUN)
        index.write(folder.index_csv)
        folds.write(folder.folds_json)
        write_text(folder.suite_yaml, suite.to_yaml())
        for number, name in enumerate(names):
            for fold in range(folds.count):
                _write_job(folder, suite, index, folds, name, fold, separation=3 + number / len(names))
        with _timed(seconds, "leaderboard"):
            write_leaderboard(folder.path)
    return {**seconds, "peak_mib": _peak_mib()}


def _starts(data: str) -> dict[str, float]:
    """Return the processor seconds of a first start on a folder of radiographs and of second ones."""
    seconds: dict[str, float] = {}
    suite = Suite(data=DataSpec(source="kermany", root=data))
    with tempfile.TemporaryDirectory() as home:
        with _timed(seconds, "first"):
            index, _ = read_radiographs(suite, Path(home))
        with _timed(seconds, "second with --rehash"):
            read_radiographs(suite, Path(home), rehash=True)
        with _timed(seconds, "second"):
            read_radiographs(suite, Path(home))
    return {**seconds, "images": len(index.table)}


def _index(rows: int) -> Index:
    generator = np.random.default_rng(0)
    number = generator.integers(0, rows // IMAGES_A_PATIENT, rows)
    label = (generator.random(rows // IMAGES_A_PATIENT) < 0.73).astype(np.int64)[number]
    image_id = [f"train/film-{row:08d}.png" for row in range(rows)]
    content = np.arange(rows)
    copies = generator.permutation(rows)[: rows // COPIES]
    alike = label[copies] == label[np.roll(copies, 1)]
    content[copies[alike]] = np.roll(copies, 1)[alike]
    sha256 = [sha256_of_text(str(value)) for value in content.tolist()]
    patient = named_patients([f"p{value:07d}" for value in number.tolist()], image_id).patient
    subtype = np.where(label == 0, "normal", np.where(generator.random(rows) < 0.6, "bacteria", "virus"))
    columns = {
        "image_id": image_id, "split": "train", "label": label, "subtype": subtype, "patient": patient,
        "group": group_images(patient, sha256), "sha256": sha256, "width": 224, "height": 224, "lung_mask": "",
        PICTURE: sha256,
    }  # fmt: skip
    return Index(root=Path("images"), table=pd.DataFrame(columns)[[*INDEX_COLUMNS, PICTURE]])


def _dealt(index: Index) -> Folds:
    """Return folds of whole patient groups, dealt out by their number."""
    group = index.table["group"].to_numpy()
    fold, image_id = group % FOLDS.count, index.table["image_id"]
    kept = group // FOLDS.count % 10 == 0
    return Folds(
        count=FOLDS.count,
        seed=0,
        index_hash=index.hash(),
        tune_fraction=0.1,
        test_fold=dict(zip(image_id, fold.tolist(), strict=True)),
        tune=tuple(tuple(image_id[kept & (fold != number)]) for number in range(FOLDS.count)),
        official_test=(),
    )


def _write_job(
    folder: RunFolder, suite: Suite, index: Index, folds: Folds, name: str, fold: int, *, separation: float
) -> None:
    """Write the record and the predictions of one job: the class plus noise, of which all networks share a half."""
    parts = folds.positions(index, fold)
    shared = np.random.default_rng(1).normal(size=len(index.table))
    own = np.random.default_rng([fold, *name.encode()]).normal(size=len(index.table))
    logit = separation * (index.table["label"].to_numpy() - 0.5) + (shared + own) / math.sqrt(2)
    table = index.table.assign(fold=fold, seed=suite.seed, logit=logit, probability=1 / (1 + np.exp(-logit)), split="")
    rows = pd.concat([table.iloc[parts[part]].assign(split=part) for part in ("tune", "test", "official_test")])
    columns = ["image_id", "split", "fold", "seed", "label", "logit", "probability"]
    hashes = {
        "suite": suite.training_hash(), "index": index.hash(), "folds": folds.hash(),
        "weights": sha256_of_text(f"{name} {fold}"),
        "predictions": write_predictions(folder.predictions_path(name, fold), rows[columns]),
    }  # fmt: skip
    training: dict[str, Scalar] = {
        "epochs_run": suite.training.epochs, "best_epoch": 0, "stopped_early": False,
        "train_images": len(parts["train"]), "tune_images": len(parts["tune"]),
    }  # fmt: skip
    record = JobRecord(
        status="completed", suite=suite.name, architecture=name, fold=fold, seed=suite.seed, weights_origin="random",
        hashes=hashes, software={"commit": "none"}, hardware={"device": "cpu"}, training=training,
    )  # fmt: skip
    write_record(folder.record_path(name, fold), record)


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds[what] = time.process_time() - started


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
