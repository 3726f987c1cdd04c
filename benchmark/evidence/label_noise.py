"""How many wrong labels does confident learning find? Labels are flipped on purpose, and a baseline is fitted to them.

python -m benchmark.evidence.label_noise --data DATA --write

Out-of-fold predictions have to come from models that learnt from the wrong labels, so everything is fitted again for
each draw: the shortcut baseline `thumbnail` on the folds of leaderboard/kermany-cpu, which takes seconds a fold.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray

from benchmark.performance.measuring import markdown_table
from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.leaderboard.label_noise import class_probability, doubted_labels
from pneumobench.leaderboard.scores import fold_model, out_of_fold_predictions
from pneumobench.metrics.discrimination import average_precision
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.reader import load_suite
from pneumobench.training.controls import fit_control
from pneumobench.training.controls.thumbnail import thumbnails
from pneumobench.training.predictions import probability_of

HOME: Final = Path(__file__).resolve().parent
RUN: Final = HOME.parents[1] / "leaderboard" / "kermany-cpu"
SHARES: Final = (0.01, 0.02, 0.05)
DRAWS: Final = 3
CHOSEN: Final = "prune by noise rate"
# how cleanlab chooses whose label is doubted, and the plain rule it has to beat
RULES: Final[dict[str, str]] = {
    CHOSEN: "prune_by_noise_rate",
    "prune by class": "prune_by_class",
    "both of these": "both",
    "confident joint": "confident_learning",
    "class of p >= 0.5 is another": "predicted_neq_given",
}


def predictions(
    features: NDArray[np.float64],
    label: NDArray[np.int64],
    names: pd.Series[str],
    parts: list[dict[Any, Any]],
    seed: int,
) -> pd.DataFrame:
    """Return out-of-fold predictions, tempered, of the baseline fitted to labels that may be wrong."""
    models = []
    for fold, part in enumerate(parts):
        logit = fit_control(features, label, part["train"], seed)[:, 0]
        tables = [
            pd.DataFrame(
                {
                    "image_id": names.iloc[part[split]].to_numpy(),
                    "split": split,
                    "label": label[part[split]],
                    "logit": logit[part[split]],
                    "probability": probability_of(logit[part[split]]),
                }
            )
            for split in ("tune", "test")
        ]
        models.append(fold_model(fold, pd.concat(tables, ignore_index=True)))
    return out_of_fold_predictions(models)


def scored(table: pd.DataFrame, wrong: set[str]) -> list[dict[str, Any]]:
    """Return for each rule how many labels it doubts, and how many of them were flipped."""
    probability, given = class_probability(table), table["label"].to_numpy(np.int64)
    fold, flipped = table["fold"].to_numpy(np.int64), table["image_id"].isin(wrong).to_numpy()
    doubt = 1 - probability[np.arange(len(given)), given]
    first = np.argsort(-doubt, kind="stable")[: flipped.sum()]
    rows = []
    for rule, filter_by in RULES.items():
        if rule == CHOSEN:
            doubted = doubted_labels(probability, given, fold)
        else:
            doubted = np.zeros(len(given), dtype=bool)
            for number in np.unique(fold):
                part = fold == number
                doubted[part] = find_label_issues(given[part], probability[part], filter_by=filter_by, n_jobs=1)
        rows.append(
            {
                "rule": rule,
                "flipped": int(flipped.sum()),
                "doubted": int(doubted.sum()),
                "found": int((doubted & flipped).sum()),
                "first": int(flipped[first].sum()),
                "ap": average_precision(doubt, flipped) if flipped.any() else np.nan,
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Flip, fit, ask, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images of Kermany et al.")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="where decoded images are kept")
    parser.add_argument("--draws", type=int, default=DRAWS, help="how often labels are drawn for each share")
    parser.add_argument("--write", action="store_true", help="write the report beside this file")
    options = parser.parse_args(arguments)
    run = RunFolder(RUN)
    suite, (kept, folds) = load_suite(run.suite_yaml), run.index_and_folds()
    index = Index(root=options.data, table=kept.table)
    features = thumbnails(cached_images(index, suite.data.image_side_px, options.cache))
    parts = [dict(folds.positions(index, fold)) for fold in range(folds.count)]
    tested = np.sort(np.concatenate([part["test"] for part in parts]))
    names, label = index.table["image_id"], index.table["label"].to_numpy(np.int64)
    rows = []
    for share in (0.0, *SHARES):
        for draw in range(options.draws if share else 1):
            rng = np.random.default_rng([suite.seed, round(1000 * share), draw])
            wrong = rng.choice(tested, round(share * len(tested)), replace=False)
            given = label.copy()
            given[wrong] = 1 - given[wrong]
            table = predictions(features, given, names, parts, suite.seed)
            found = scored(table, set(names.iloc[wrong]))
            rows += [{"share": share, "draw": draw, **row} for row in found]
            print(share, draw, found[0], flush=True)
    words = ["python", "-m", "benchmark.evidence.label_noise", "--data", "DATA"]
    words += ["--draws", str(options.draws)] if options.draws != DRAWS else []
    page = report(pd.DataFrame(rows), shlex.join([*words, "--write"]), len(tested), options.draws)
    print(page)
    if options.write:
        write_text(HOME / "label_noise.md", page)


def report(rows: pd.DataFrame, command: str, images: int, draws: int) -> str:
    """Return the page of the study."""
    own = rows[(rows["share"] == 0) & (rows["rule"] == CHOSEN)]["doubted"].iloc[0]
    shown = []
    for (share, rule), part in rows[rows["share"] > 0].groupby(["share", "rule"], sort=False):
        shown.append(
            {
                "labels flipped": f"{100 * float(str(share)):.0f} % ({part['flipped'].iloc[0]})",
                "rule": f"**{rule}**" if rule == CHOSEN else rule,
                "labels doubted": f"{part['doubted'].mean():.0f}",
                "flipped ones found": f"{part['found'].mean():.0f}",
                "precision": f"{part['found'].sum() / part['doubted'].sum():.3f}",
                "recall": f"{part['found'].sum() / part['flipped'].sum():.3f}",
                "recall among as many least likely": f"{part['first'].sum() / part['flipped'].sum():.3f}",
                "average precision of the order": f"{part['ap'].mean():.3f}",
            }
        )
    return "\n".join(
        [
            "# How many wrong labels are found",
            "",
            f"`{command}`",
            "",
            f"Of {images:,} cross-validated images of Kermany et al. a share of the labels is flipped, drawn at random "
            f"({draws} draws, means). The shortcut baseline `thumbnail` (12 x 12 pixels) is fitted to these labels, "
            "training and validation parts alike, on the folds of kermany-cpu, and its out-of-fold predictions are "
            "asked as `pneumobench labels` asks those of networks (bold), and by other rules of cleanlab. The last two "
            "columns need no rule: the flipped labels among as many images as were flipped, those with the least "
            "probability of their label, and the average precision of that order.",
            "",
            f"No label is certain: with the labels as published {own} are doubted, and what is truly wrong among them "
            "counts as a mistake here: precision is a lower bound. Labels are flipped at random: a label that "
            "people got wrong is of a hard image more often.",
            "",
            *markdown_table(shown),
            "",
        ]
    )


if __name__ == "__main__":
    main()
