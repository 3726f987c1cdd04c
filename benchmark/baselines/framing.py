"""How far the official test folder differs by how lungs are framed: leaderboard/framing/README.md.

python -m benchmark.baselines.framing DATA [CACHE]

DATA holds the images of Kermany et al. and `lung_masks/`. Folds and settings are those of leaderboard/kermany-cpu.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from benchmark.baselines.lung_outline import REPOSITORY, score, scores, sigmoid
from benchmark.performance.measuring import markdown_table
from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.lungs.boxes import Crop, lung_edges
from pneumobench.lungs.crop import image_crop
from pneumobench.lungs.masks import lung_masks
from pneumobench.lungs.segmented import segmented_lungs
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from pneumobench.training.controls import fit_control
from pneumobench.training.controls.thumbnail import thumbnails

TABLE = REPOSITORY / "leaderboard/framing/README.md"
HEAD = """\
# How lungs are framed, and what the official test folder shares of it

Where the lungs lie in an image, by manually annotated masks: medians, in percent of the image's height, width or area.
Every image of the copy used here was squeezed to a square, so that its original aspect is part of the framing.

{extents}

Gradient boosting on what the first column names, on the folds of
[kermany-cpu](../kermany-cpu/leaderboard/README.md): out of fold on {images:,} images, and on the {official:,} images of
the official test folder (mean probability of the five folds' models). AUC within folds with its 95 % interval over
patients. The fixed crop shows rows 15-90 % and columns 20-80 % of every image; the lungs' box is that around the
lungs that the shipped network segments, 5 % of the image wider on each side, and the fixed crop for {by_fixed} images
without usable ones, {ill} of which show pneumonia; the segmenter learnt from manual masks of the train folder.
Standardised: from the gray levels of each thumbnail its own mean is subtracted, and they are divided by its own
standard deviation. The last two columns: the AUC with which the same features tell an image of the test folder from
one of the train folder, among images of one label, on five folds by patient; 0.5 where the folders do not differ in
what is seen.

`python -m benchmark.baselines.framing DATA`

{scores}
"""
EDGES = ("top", "bottom", "left", "right")
EDGES_SEEN = "edges of the lungs' box"
CROPS: dict[str, Crop] = {"image": "none", "fixed crop": "fixed", "lungs' box": "adaptive"}


def main(data: Path, cache: Path) -> None:
    """Fit, score and write the table."""
    run = RunFolder(REPOSITORY / "leaderboard/kermany-cpu")
    suite, (kept, folds) = load_suite(run.suite_yaml), run.index_and_folds()
    index = Index(root=data, table=kept.table)
    segmented, side = segmented_lungs(index, cache), suite.data.image_side_px
    crops = {words: image_crop(kind, index, segmented) for words, kind in CROPS.items()}
    seen: dict[str, NDArray[np.float64]] = {EDGES_SEEN: np.array(crops["lungs' box"].boxes)}
    for words, crop in crops.items():
        seen[f"{words}, 12 x 12 pixels"] = thumbnails(cached_images(index, side, cache, crop.boxes))
        seen[f"{words}, 12 x 12 pixels, standardised"] = standardised(seen[f"{words}, 12 x 12 pixels"])
    label, group = (index.table[name].to_numpy(np.int64) for name in ("label", "group"))
    parts = [folds.positions(index, fold) for fold in range(folds.count)]
    official = parts[0]["official_test"]
    tested = np.concatenate([part["test"] for part in parts])
    usable = np.zeros(len(label), dtype=bool)
    usable[segmented.usable_rows()] = True
    # what has no usable lungs gets one box, which is a fact of its own: nearly all of these images show pneumonia
    alone = [{name: rows[usable[rows]] for name, rows in part.items()} for part in parts]
    tried = [(words, features, parts, np.ones_like(usable)) for words, features in seen.items()]
    tried.insert(1, (f"{EDGES_SEEN}, where lungs were found", seen[EDGES_SEEN], alone, usable))
    rows = []
    for words, features, inside_of, chosen in tried:
        inside, outside = scores([features] * folds.count, label, group, inside_of, suite.seed)
        rows.append(
            {"seen": words, "features": features.shape[1], "AUC out of fold [95 %]": inside,
             "AUC official test folder [95 %]": outside,
             "folders apart, normal": apart(features, index, suite.seed, chosen & (label == 0)),
             "folders apart, pneumonia": apart(features, index, suite.seed, chosen & (label == 1))}
        )  # fmt: skip
        print(rows[-1], flush=True)
    page = HEAD.format(
        extents="\n".join(markdown_table(extents(index, cache))),
        images=len(tested),
        official=len(official),
        by_fixed=crops["lungs' box"].by_fixed,
        ill=int(label[~usable].sum()),
        scores="\n".join(markdown_table(rows)),
    )
    write_text(TABLE, page)


def standardised(thumbnail: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return gray levels (N, pixels) without each image's own mean, in units of its own standard deviation."""
    spread = np.maximum(thumbnail.std(axis=1, keepdims=True), 1.0)
    centred: NDArray[np.float64] = (thumbnail - thumbnail.mean(axis=1, keepdims=True)) / spread
    return centred


def apart(features: NDArray[np.float64], index: Index, seed: int, chosen: NDArray[np.bool_]) -> str:
    """Return the AUC with which images of the two folders are told apart among the chosen, on five folds by patient."""
    rows = np.flatnonzero(chosen)
    from_test = (index.table["split"] == "test").to_numpy().astype(np.int64)
    group = index.table["group"].to_numpy(np.int64)
    probability, fold = np.full(len(from_test), np.nan), np.zeros(len(from_test), np.int64)
    parts = GroupKFold(5, shuffle=True, random_state=seed).split(rows, groups=group[rows])
    for number, (train, test) in enumerate(parts):
        logit = fit_control(features, from_test, rows[train], seed)[:, 0]
        probability[rows[test]], fold[rows[test]] = sigmoid(logit[rows[test]]), number
    return score(probability[rows], from_test[rows], group[rows], fold[rows])


def extents(index: Index, cache: Path) -> list[dict[str, object]]:
    """Return where manually annotated lungs lie in the images of each official folder, one row each."""
    masks = lung_masks(index, 224, cache, tier="drawn")
    usable = masks.usable_rows()
    assert usable is not None
    lungs = masks.of_rows(usable)
    edges = np.array([lung_edges(mask) for mask in lungs])
    table = pd.DataFrame(
        {
            "folder": index.table["split"].to_numpy()[usable],
            "images of": np.where(index.table["label"].to_numpy()[usable] == 1, "pneumonia", "normal"),
            **dict(zip(EDGES, edges.T, strict=True)),
            "area": lungs.mean(axis=(1, 2)),
        }
    )
    groups = table.groupby(["folder", "images of"], sort=True)
    return [
        {"folder": folder, "images of": label, "images": f"{len(group):,}",
         **{name: f"{100 * group[name].median():.0f}" for name in (*EDGES, "area")}}
        for (folder, label), group in groups
    ]  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/.cache"))
