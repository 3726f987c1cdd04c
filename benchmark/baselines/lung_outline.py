"""How much the outline of the lungs says of the label, gray values aside; writes leaderboard/lung-outline/README.md.

python benchmark/baselines/lung_outline.py DATA

DATA holds the images of Kermany et al. and `lung_masks/`. Folds and settings are those of leaderboard/kermany-cpu.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.files import write_text
from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.lungs.masks import read_drawn_mask
from pneumobench.metrics import area_estimate
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import image_to_square
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from pneumobench.training.controls import fit_control
from pneumobench.training.controls.thumbnail import THUMBNAIL_SIDE

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "leaderboard/lung-outline/README.md"
HEAD = """\
# What the outline of the lungs says

Gradient boosting on what the first column names, on the folds of
[kermany-cpu](../kermany-cpu/leaderboard/README.md): out of fold on {images:,} images that have a manually drawn lung
mask, and on {official:,} images of the official test folder (mean probability of the five folds' models). AUC within
folds with its 95 % interval over patients. Images without a mask are neither trained on nor scored.

The outline is the mask alone, without one gray value. An image with its lungs masked by their own outline still holds
it, as the shape of the hole: the score of such an image is no measure of what lies outside the lungs.

`python benchmark/baselines/lung_outline.py DATA`

| seen | features | AUC out of fold [95 %] | AUC official test folder [95 %] |
| --- | ---: | ---: | ---: |
"""


def main(data: Path) -> None:
    """Fit, score and write the table."""
    run = RunFolder(REPOSITORY / "leaderboard/kermany-cpu")
    suite, (index, folds) = load_suite(run.suite_yaml), run.index_and_folds()
    table = index.table
    rows = np.flatnonzero((table["lung_mask"] != "").to_numpy())
    side_px = suite.data.image_side_px
    lungs = np.stack([read_drawn_mask(data / name, side_px) for name in table["lung_mask"].iloc[rows]])
    images = np.stack([image_to_square(read_gray(data / name), side_px) for name in table["image_id"].iloc[rows]])
    masked = without_lungs(torch.from_numpy(images), torch.from_numpy(lungs)).numpy()
    seen = {
        "area of the lungs": lungs.mean(axis=(1, 2))[:, None],
        "outline of the lungs, 12 x 12": thumbnails(255 * lungs.astype(np.uint8)),
        "image with the lungs masked, 12 x 12": thumbnails(masked),
        "image, 12 x 12": thumbnails(images),
    }
    label, group = (table[name].to_numpy(np.int64)[rows] for name in ("label", "group"))
    place = {int(row): i for i, row in enumerate(rows)}
    parts = [
        {name: np.array([place[int(row)] for row in part if int(row) in place]) for name, part in by_part.items()}
        for by_part in (folds.positions(index, fold) for fold in range(folds.count))
    ]
    official = parts[0]["official_test"]
    lines = []
    for name, features in seen.items():
        probability, fold = np.full(len(rows), np.nan), np.zeros(len(rows), np.int64)
        of_folds = []
        for number, part in enumerate(parts):
            logit = fit_control(features, label, part["train"], suite.seed)[:, 0]
            probability[part["test"]], fold[part["test"]] = sigmoid(logit[part["test"]]), number
            of_folds.append(sigmoid(logit[official]))
        probability[official] = np.mean(of_folds, axis=0)
        tested = np.setdiff1d(np.arange(len(rows)), official)
        scores = [
            score(probability[chosen], label[chosen], group[chosen], fold[chosen])
            for chosen in (tested, official)  # the official images are of fold 0: one predictor scores them
        ]
        lines.append(f"| {name} | {features.shape[1]} | {scores[0]} | {scores[1]} |")
    head = HEAD.format(images=len(rows) - len(official), official=len(official))
    write_text(TABLE, head + "\n".join(lines) + "\n")


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return images (N, side, side) as rows of 12 x 12 values, as the thumbnail baseline sees them."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA).ravel() for image in images]).astype(float)


def sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities."""
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
    return probability


def score(
    probability: NDArray[np.float64], label: NDArray[np.int64], group: NDArray[np.int64], fold: NDArray[np.int64]
) -> str:
    """Return the AUC within folds with its interval as the table shows it."""
    estimate = area_estimate(probability, label, group, fold)
    interval = estimate.area_interval()
    return f"{estimate.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
