from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pneumobench.datasets.classes import check_class_folds, three_classes
from pneumobench.datasets.folds import make_folds
from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.errors import DataError
from pneumobench.suite.spec import FoldSpec


def table(*rows: tuple[int, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"image_id": f"{i}.png", "label": label, "subtype": subtype} for i, (label, subtype) in enumerate(rows)]
    )


def test_subtypes_become_class_numbers() -> None:
    films = table((0, "normal"), (1, "bacteria"), (1, "Virus"), (0, ""), (1, "viral"), (1, "bacterial"))
    assert three_classes(films).tolist() == [0, 1, 2, 0, 2, 1]


def test_a_pneumonia_without_its_kind_is_refused_by_name() -> None:
    films = table((0, "normal"), (1, "bacteria"), (1, "virus"), (1, "fungus"), (1, "normal"))
    with pytest.raises(DataError, match=r"2 pneumonia films are neither .* 3\.png \('fungus'\), 4\.png \('normal'\)"):
        three_classes(films)


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(DataError, match="no film is viral"):
        three_classes(table((0, "normal"), (1, "bacteria")))


def test_every_fold_needs_all_three_classes_to_learn_and_to_tune(tmp_path: Path) -> None:
    subtype = ["normal", "bacteria"] * 10 + ["virus"] * 2
    rows = [
        {"image_id": f"{i:02d}.png", "label": int(kind != "normal"), "subtype": kind} for i, kind in enumerate(subtype)
    ]
    films = pd.DataFrame(rows)
    films = films.assign(
        split="train",
        patient=films["image_id"],
        group=range(len(films)),
        sha256=films["image_id"],
        width=9,
        height=9,
        lung_mask="",
    )
    index = Index(root=tmp_path, table=films[INDEX_COLUMNS])
    with pytest.raises(DataError, match=r"fold \d: the (train|tune) part has no viral film"):
        check_class_folds(index, make_folds(index, FoldSpec(count=2, tune_fraction=0.25), seed=0))
    films.loc[films.index[:12], "subtype"] = ["virus" if i % 2 else "normal" for i in range(12)]
    index = Index(root=tmp_path, table=films[INDEX_COLUMNS])
    check_class_folds(index, make_folds(index, FoldSpec(count=2, tune_fraction=0.4), seed=0))
