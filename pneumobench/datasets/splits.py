"""Images -> folds: the split of a protocol, by patient group and stratified by label and subtype."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.fold_advice import require_enough, working_settings
from pneumobench.datasets.folds import NEVER, PART_WORDS, Folds, check_folds, one_class_part
from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.suite.spec import FoldSpec

Rounds = Iterator[tuple[NDArray[np.int64], NDArray[np.int64] | list[str]]]


def make_folds(index: Index, spec: FoldSpec, seed: int) -> Folds:
    """Split images as the protocol says; by patient group, but for `image_random`, and stratified by label and subtype.

    Raises:
        DataError: one class only, fewer groups than folds, no official test folder where the protocol needs one, or a
            part without both classes.
        LeakError: never for these folds unless this function is broken; checked all the same.
    """
    folds = _split_folds(index, spec, seed)
    if (found := one_class_part(index, folds)) is not None:
        other = working_settings(spec, seed, index.table, lambda spec, seed: _works(index, spec, seed))
        advice = f"{other} works; or add" if other else "add"
        fold, part, images, missing = found
        more = "" if spec.training_images is None else ", or raise folds.training_images"
        raise DataError(
            f"{index.root}: the {PART_WORDS[part]} part of fold {fold} would have {images} images and none labelled "
            f"{missing}; {advice} patients with {missing} images{more}."
        )
    check_folds(index, folds)
    return folds


def _works(index: Index, spec: FoldSpec, seed: int) -> bool:
    try:
        return one_class_part(index, _split_folds(index, spec, seed)) is None
    except DataError:
        return False


def _split_folds(index: Index, spec: FoldSpec, seed: int) -> Folds:
    own_test = index.table["split"] == "test"
    inside = ~own_test | spec.merge_official_test
    held_out = index.table.loc[own_test & ~inside, "image_id"]
    table = index.table[inside].reset_index(drop=True)
    if spec.held_out_fraction > 0:
        parts = round(1 / spec.held_out_fraction)
        require_enough(index.root, table, parts, "equal parts, one of them held out,", spec=spec, part="held_out")
        kept, aside = next(_split(table, parts, seed, by_image=False))
        held_out, table = table["image_id"].iloc[aside], table.iloc[kept].reset_index(drop=True)
    test_fold: dict[str, int] = {}
    tune: list[tuple[str, ...]] = []
    left_out: list[tuple[str, ...]] = []
    by_image = spec.protocol == "image_random"
    for fold, (train, test) in enumerate(_rounds(index, table, spec, seed)):
        tested = test if isinstance(test, list) else table["image_id"].iloc[test].tolist()
        test_fold |= dict.fromkeys(tested, fold)
        trained = table.iloc[train]
        owner = "image_id" if by_image else "group"
        if spec.training_images is not None:
            chosen = _some(index, trained, spec.training_images, seed, fold, owner=owner)
            left_out.append(tuple(sorted(trained.loc[~chosen, "image_id"].tolist())))
            trained = trained[chosen]
        few = min(int(trained.loc[trained["label"] == label, owner].nunique()) for label in (0, 1))
        parts = max(2, min(round(1 / spec.tune_fraction), few))  # every part needs both classes
        if trained[owner].nunique() < parts:
            raise DataError(
                f"{index.root}: one patient group has all training images of fold {fold}, so that none is left for a "
                "validation part; add patients."
            )
        _, chosen = next(_split(trained, parts, seed + fold + 1, by_image=by_image))
        tune.append(tuple(sorted(trained["image_id"].iloc[chosen].tolist())))
    never = dict.fromkeys(table["image_id"], NEVER)
    return Folds(
        count=spec.count,
        seed=seed,
        index_hash=index.hash(),
        tune_fraction=spec.tune_fraction,
        test_fold=dict(sorted((never | test_fold).items())),
        tune=tuple(tune),
        official_test=() if spec.protocol == "official" else tuple(sorted(held_out)),
        protocol=spec.protocol,
        left_out=tuple(left_out),
    )


def _some(index: Index, trained: pd.DataFrame, count: int, seed: int, fold: int, *, owner: str) -> NDArray[np.bool_]:
    """Choose about so many training images of a fold: the first owners of an order whose every part has all strata.

    Raises:
        DataError: there are fewer.
    """
    if count > len(trained):
        raise DataError(
            f"{index.root}: folds.training_images is {count:,}, and fold {fold} has {len(trained):,} training images; "
            "set it to null for all."
        )
    owners = trained.sort_values("image_id").drop_duplicates(owner).sort_values(owner)
    drawn = pd.Series(np.random.default_rng([seed, fold]).random(len(owners)), index=owners[owner])
    stratum = (owners["label"].astype(str) + owners["subtype"]).to_numpy()
    strata = drawn.groupby(stratum)
    place = ((strata.rank() - 0.5) / strata.transform("size")).sort_values(kind="stable")
    images = trained[owner].value_counts().loc[place.index].cumsum()
    return trained[owner].isin(images.index[: int(images.searchsorted(count)) + 1]).to_numpy()


def _rounds(index: Index, table: pd.DataFrame, spec: FoldSpec, seed: int) -> Rounds:
    """Yield, fold by fold, rows of the table that are not tested, and rows that are (or the names of such images)."""
    if spec.protocol == "official":
        require_enough(index.root, table, 1, "training part", spec=spec, part="validation")
        tested = index.table.loc[index.table["split"] == "test", "image_id"].tolist()
        if not tested:
            raise DataError(f"{index.root}: no image is of the official test folder, which protocol official needs.")
        yield np.arange(len(table)), tested
    elif spec.protocol == "holdout":
        parts = round(1 / spec.test_fraction)
        require_enough(index.root, table, parts, "equal parts, one of them tested,", spec=spec, part="test")
        yield next(_split(table, parts, seed, by_image=False))
    else:
        require_enough(index.root, table, spec.count, "folds", spec=spec, part="folds")
        yield from _split(table, spec.count, seed, by_image=spec.protocol == "image_random")


def _split(table: pd.DataFrame, parts: int, seed: int, *, by_image: bool) -> Any:
    """Yield (other rows, rows of one part) for each of so many equal parts of a table."""
    from sklearn.model_selection import StratifiedGroupKFold

    stratum = (table["label"].astype(str) + table["subtype"]).to_numpy()
    group = np.arange(len(table)) if by_image else table["group"].to_numpy()
    with warnings.catch_warnings():  # a rare subtype with fewer images than parts is no reason to stop
        warnings.filterwarnings("ignore", message="The least populated class")
        yield from StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(group, stratum, group)
