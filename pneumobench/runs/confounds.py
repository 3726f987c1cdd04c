"""A finished run -> what is left of its scores among images that are alike in size and mean gray level."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError, SettingsError
from pneumobench.leaderboard.confounds import FACTS, Confounds, confounds, matched_images
from pneumobench.metrics.adjustment import CALIPER_SD
from pneumobench.radiographs.formats import decode_radiograph, held_content
from pneumobench.reporting.confound_table import write_confound_tables
from pneumobench.runs.audited import RunPredictions, image_root, run_predictions
from pneumobench.training.controls import fit_control
from pneumobench.training.controls.image_facts import sizes_of

OFFICIAL_PARTS: Final = 5  # that the official test folder is cut into, by patient


@dataclass(frozen=True, kw_only=True)
class ConfoundTables:
    """What is left of a run's scores, and where it is written.

    Args:
        page: the tables as Markdown.
        out_of_fold: on the cross-validated images.
        official: on the official test folder; None where there is none, or it has one class.
    """

    page: Path
    out_of_fold: Confounds
    official: Confounds | None


def confounds_of_run(path: Path, *, data: str | None = None, caliper_sd: float = CALIPER_SD) -> ConfoundTables:
    """Set the scores of a run, published or not, against facts of its images' acquisition, and write the tables.

    Args:
        path: folder of the run.
        data: folder of its images; None = as its suite says.
        caliper_sd: largest difference of each fact within a matched pair, in standard deviations.

    Raises:
        RecordError: a file of the run was changed.
        DataError: an image is missing or another one than the run's, or the table of original sizes is missing.
        SettingsError: no architecture is complete, or the caliper is not above 0.
    """
    if not caliper_sd > 0:
        raise SettingsError(f"--caliper {caliper_sd}: expected more than 0, such as {CALIPER_SD}.")
    root = image_root(path, data)
    found = run_predictions(path)
    suite, index = found.run.suite, found.index(root)
    facts = image_facts_table(index, suite.controls.original_sizes)
    parts = {"out_of_fold": found.out_of_fold, "official": found.official}
    tables: dict[str, Confounds | None] = {}
    for part, predictions in parts.items():
        first = next(iter(predictions.values()))
        if first["label"].nunique() < 2:
            tables[part] = None
            continue
        tables[part] = confounds(
            predictions,
            found.kinds,
            facts,
            found.group,
            facts_score=_facts_score(found, index, facts, official=part == "official"),
            refitted_score=_refitted_score(found, first, facts, caliper_sd) if part == "out_of_fold" else None,
            caliper_sd=caliper_sd,
        )
    tested = tables["out_of_fold"]
    assert tested is not None, "every part of a fold has both classes"
    sizes = "originals" if suite.controls.original_sizes else "files"
    page = write_confound_tables(
        found.run.folder, tested, tables["official"], caliper_sd=caliper_sd, sizes=sizes, source=suite.data.source
    )
    return ConfoundTables(page=page, out_of_fold=tested, official=tables["official"])


def image_facts_table(index: Index, original_sizes: str) -> pd.DataFrame:
    """Return FACTS by image_id: width and height (px), their ratio, and the mean gray level (0 to 255) of the file.

    Raises:
        DataError: an image is missing or is not the one of the index.
    """

    def gray(row: tuple[str, str]) -> float:
        image_id, sha256 = row
        path = index.root / image_id
        if not path.is_file():
            raise DataError(f"{path}: no such image; name the folder of the run's images with --data.")
        with held_content(path) as content:
            if hashlib.sha256(content).hexdigest() != sha256:
                raise DataError(f"{path}: is not the image of the run (its content differs); bring that one back.")
            return float(decode_radiograph(path, content).gray.mean())

    table = index.table
    with ThreadPoolExecutor() as pool:
        means = list(pool.map(gray, zip(table["image_id"], table["sha256"], strict=True)))
    sizes = sizes_of(index, original_sizes)
    return pd.DataFrame(np.column_stack([sizes, means]), columns=list(FACTS), index=pd.Index(table["image_id"]))


def _facts_score(found: RunPredictions, index: Index, facts: pd.DataFrame, *, official: bool) -> pd.Series[float]:
    """Return what facts say of each image by a model, fitted as controls are, that did not learn from it.

    Out of fold these are models of the folds' training parts. The official test folder is another population, in
    which these would leave strata unlike in facts: its models learn from other patients of that folder.
    """
    target, group = (index.table[name].to_numpy(np.int64) for name in ("label", "group"))
    score, seed = np.zeros(len(target)), found.run.suite.seed
    positions = [found.run.folds.positions(index, fold) for fold in range(found.run.folds.count)]
    parts = [(part["train"], part["test"]) for part in positions]
    if official:
        rows = positions[0]["official_test"]
        fewest = min(len(np.unique(group[rows][target[rows] == label])) for label in (0, 1))
        if fewest < 2:
            return pd.Series(np.full(len(target), target[rows].mean()), index=facts.index)
        split = StratifiedGroupKFold(min(OFFICIAL_PARTS, fewest), shuffle=True, random_state=seed)
        parts = [(rows[train], rows[test]) for train, test in split.split(rows, target[rows], group[rows])]
    for train, test in parts:
        score[test] = _fitted(facts.to_numpy(), target, train, seed)[test]
    return pd.Series(score, index=facts.index)


def _refitted_score(
    found: RunPredictions, table: pd.DataFrame, facts: pd.DataFrame, caliper_sd: float
) -> pd.Series[float] | None:
    """Return what facts say of matched images by models that learnt from matched images of the other folds alone."""
    known = table[facts.loc[table["image_id"]].notna().all(axis=1).to_numpy()].reset_index(drop=True)
    matched = np.sort(matched_images(known, facts, caliper_sd=caliper_sd).ravel())
    features, target = facts.loc[known["image_id"]].to_numpy(), known["label"].to_numpy(np.int64)
    fold, score = known["fold"].to_numpy(), np.full(len(known), 0.5)
    for number in np.unique(fold):
        others = matched[fold[matched] != number]
        if len(np.unique(target[others])) < 2:
            return None
        score[fold == number] = _fitted(features, target, others, found.run.suite.seed)[fold == number]
    return pd.Series(score, index=known["image_id"])


def _fitted(
    features: NDArray[np.float64], target: NDArray[np.int64], train: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    if len(np.unique(target[train])) < 2:  # of few images
        return np.full(len(target), target[train].mean())
    return np.asarray(expit(fit_control(features, target, train, seed)[:, 0]))
