"""What the outline of the lungs says of the label, and what is left without it: leaderboard/lung-outline/README.md.

python -m benchmark.baselines.lung_outline DATA [CACHE]

DATA holds the images of Kermany et al. and `lung_masks/`. Folds and settings are those of leaderboard/kermany-cpu.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.folds import Part
from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.lungs.masked_regions import TRAINED_REGIONS
from pneumobench.lungs.masks import lung_masks
from pneumobench.lungs.outlines import Outlines, fold_outlines
from pneumobench.metrics import area_estimate
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from pneumobench.suite.regions import Region
from pneumobench.training.controls import fit_control
from pneumobench.training.controls.thumbnail import masked_thumbnails, thumbnails

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "leaderboard/lung-outline/README.md"
HEAD = """\
# What the outline of the lungs says, and what is left without it

Gradient boosting on what the first column names, on the folds of
[kermany-cpu](../kermany-cpu/leaderboard/README.md): out of fold on {images:,} images that have a manually annotated
lung mask, and on {official:,} images of the official test folder (mean probability of the five folds' models). AUC
within folds with its 95 % interval over patients. Images without a mask are neither trained on nor scored.

All but the area are shown at 12 x 12 pixels. An image with its lungs masked by their own outline still holds that
outline, as the shape of the hole: its score is no measure of what lies outside the lungs. The outline of another
patient is drawn without regard to class among the images tested in the same fold; parts of the image's own lungs stay
visible. The fixed region is the smallest that holds 99.5 % of all lung pixels of the training part; it is the same for
all images, so that neither outline nor lungs stay, but for a few pixels.

`python -m benchmark.baselines.lung_outline DATA`

| seen | features | AUC out of fold [95 %] | AUC official test folder [95 %] |
| --- | ---: | ---: | ---: |
"""


# what is put into 12 x 12 pixels: words, and the region of `data.region`; None = the area of the lungs alone
SEEN: dict[str, Region | None] = {
    "area of the lungs": None,
    "lung mask alone": "mask_only",
    "image, lungs masked by their own outline": "without_lungs",
    "image, masked by the outline of another patient's lungs": "without_lungs_other_outline",
    "image without the fixed region": "fixed_region_removed",
    "lungs alone": "only_lungs",
    "what another patient's lungs would cover": "only_lungs_other_outline",
    "image": "whole",
}


def main(data: Path, cache: Path) -> None:
    """Fit, score and write the table."""
    run = RunFolder(REPOSITORY / "leaderboard/kermany-cpu")
    suite, (kept, folds) = load_suite(run.suite_yaml), run.index_and_folds()
    index = Index(root=data, table=kept.table)
    radiographs = cached_images(index, suite.data.image_side_px, cache)
    masks = lung_masks(index, suite.data.image_side_px, cache, tier="drawn")
    rows = masks.usable_rows()
    assert rows is not None
    label, group = (index.table[name].to_numpy(np.int64) for name in ("label", "group"))
    parts = [
        {name: np.intersect1d(part, rows) for name, part in folds.positions(index, fold).items()}
        for fold in range(folds.count)
    ]
    official = parts[0]["official_test"]
    tested = np.setdiff1d(rows, official)
    lines = []
    for words, region in SEEN.items():
        of_folds = []
        for part in parts:
            outlines = fold_outlines(index, folds, masks, part["train"])
            shown = features(region, radiographs, outlines, rows)
            every = np.zeros((len(label), shown.shape[1]))
            every[rows] = shown
            of_folds.append(every)
        inside, outside = scores(of_folds, label, group, parts, suite.seed)
        lines.append(f"| {words} | {of_folds[0].shape[1]} | {inside} | {outside} |")
        print(lines[-1], flush=True)
    head = HEAD.format(images=len(tested), official=len(official))
    write_text(TABLE, head + "\n".join(lines) + "\n")


def features(
    region: Region | None, radiographs: NDArray[np.uint8], outlines: Outlines, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what a baseline sees of rows of the index (n, features)."""
    if region is None:
        area: NDArray[np.float64] = outlines.of_rows(rows, "own").mean(axis=(1, 2))
        return area[:, None]
    if region == "whole":
        return thumbnails(radiographs[rows])
    shown = TRAINED_REGIONS[region]
    return masked_thumbnails(radiographs[rows], shown, lambda some: outlines.of_rows(rows[some], shown.outline))


def scores(
    of_folds: Sequence[NDArray[np.float64]],
    label: NDArray[np.int64],
    group: NDArray[np.int64],
    parts: Sequence[Mapping[Part, NDArray[np.int64]]],
    seed: int,
) -> tuple[str, str]:
    """Return the AUC out of fold, and that of the mean probability of all folds on the official test folder.

    Args:
        of_folds: features of all images (N, features), for each fold.
        label: of all images.
        group: patient group of all images.
        parts: rows of each part, for each fold.
        seed: of the boosting.
    """
    probability, fold = np.full(len(label), np.nan), np.zeros(len(label), np.int64)
    official, on_official = parts[0]["official_test"], []
    for number, (features_of_fold, part) in enumerate(zip(of_folds, parts, strict=True)):
        chance = sigmoid(fit_control(features_of_fold, label, part["train"], seed)[:, 0])
        probability[part["test"]], fold[part["test"]] = chance[part["test"]], number
        on_official.append(chance[official])
    probability[official] = np.mean(on_official, axis=0)
    tested = np.concatenate([part["test"] for part in parts])
    inside, outside = (  # the official images are of fold 0: one predictor scores them
        score(probability[chosen], label[chosen], group[chosen], fold[chosen]) for chosen in (tested, official)
    )
    return inside, outside


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
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/.cache"))
