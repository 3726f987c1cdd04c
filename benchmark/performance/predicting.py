"""Images a second of `Predictor.stream` from files to answers, against a bare loop over the same networks.

python -m benchmark.performance.predicting [--architecture NAME] [--folds N] [--write]

The bare loop decodes and squeezes the files of a batch in threads while it asks the networks about the one before, and
averages their probabilities: no lungs, no reasons. They take turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.performance.measuring import device_name, markdown_table, take_turns
from benchmark.performance.random_bundle import random_bundle
from pneumobench.errors import PneumobenchError
from pneumobench.files import write_text
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.prediction.asked import BATCH
from pneumobench.prediction.predictor import Predictor
from pneumobench.records.provenance import software_versions

BARE, PLAIN, LOOKED = "bare loop", "predict, without reasons", "predict"
WORKERS: Final = 2


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", default="tf_efficientnet_lite0", help="of every fold")
    parser.add_argument("--folds", type=int, default=5, help="networks that are asked")
    parser.add_argument("--side", type=int, default=128, help="side that they see in pixels")
    parser.add_argument("--film", type=int, default=1024, help="side of the files in pixels")
    parser.add_argument("--images", type=int, default=64, help="files")
    parser.add_argument("--repeats", type=int, default=5, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="write the report to predicting.md beside this file")
    options = parser.parse_args()
    predictor = Predictor(random_bundle(options.architecture, side_px=options.side, folds=options.folds))
    with tempfile.TemporaryDirectory() as folder:
        files = _films(Path(folder), options.images, options.film)
        sides: dict[str, Callable[[], object]] = {
            BARE: lambda: bare_loop(predictor, files),
            PLAIN: lambda: list(predictor.stream(files, review=False, workers=WORKERS)),
            LOOKED: lambda: list(predictor.stream(files, workers=WORKERS)),
        }
        turns = take_turns(sides, options.repeats)
    rows = [
        {"": side, "images/s": len(files) / turns.median(side), "bare loop = 1": turns.ratio(BARE, side)}
        for side in sides
    ]
    versions = software_versions()
    lines = [
        "# Answers from files",
        "",
        f"{len(files)} JPEG files of {options.film} x {options.film} px, {options.folds} networks "
        f"({options.architecture}, random weights) at {options.side} px, {torch.get_num_threads()} threads; median of "
        f"{options.repeats} turns. {device_name(torch.device('cpu'))}; torch {versions['torch']}, commit "
        f"{versions['commit'][:7]}. `predict` also finds the lungs, and asks the networks a second time with the lungs "
        "blanked; without reasons it does neither.",
        "",
        *markdown_table(rows),
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def bare_loop(predictor: Predictor, files: list[Path]) -> None:
    """Ask the networks about all files, and throw the answers away."""
    side_px = predictor.bundle.image_side_px
    with ThreadPoolExecutor(WORKERS) as pool, torch.inference_mode():
        todo = iter(files)

        def begun() -> list[Future[NDArray[np.uint8]]]:
            return [pool.submit(_square, path, side_px) for path in islice(todo, BATCH)]

        ahead = begun()
        while ahead:
            batch, ahead = ahead, begun()
            squares = torch.from_numpy(np.stack([one.result() for one in batch]))[:, None]
            torch.stack([one.class_logits(squares).sigmoid() for one in predictor.networks.values()]).mean(
                dim=0
            ).numpy()


def _square(path: Path, side_px: int) -> NDArray[np.uint8]:
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    return np.asarray(cv2.resize(gray, (side_px, side_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _films(folder: Path, count: int, side_px: int) -> list[Path]:
    """Draw phantoms and write them as JPEG files of a side."""
    make_phantoms(folder, patients=count, official_test_patients=0, images_per_patient=(1, 1), side_px=256, seed=0)
    found = []
    for path in sorted((folder / "images").rglob("*.png"))[:count]:
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert gray is not None
        to = path.with_suffix(".jpg")
        cv2.imwrite(str(to), cv2.resize(gray, (side_px, side_px)))
        found.append(to)
    return found


if __name__ == "__main__":
    try:
        main()
    except PneumobenchError as error:
        sys.exit(str(error))
