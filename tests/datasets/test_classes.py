from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pneumobench.datasets.classes import check_class_folds, three_classes
from pneumobench.datasets.index import INDEX_COLUMNS, Index
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError
from pneumobench.suite.spec import FoldSpec


def table(*rows: tuple[int, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"image_id": f"{i}.png", "label": label, "subtype": subtype} for i, (label, subtype) in enumerate(rows)]
    )


def test_subtypes_become_class_numbers() -> None:
    radiographs = table((0, "normal"), (1, "bacteria"), (1, "Virus"), (0, ""), (1, "viral"), (1, "bacterial"))
    assert three_classes(radiographs).tolist() == [0, 1, 2, 0, 2, 1]


def test_a_pneumonia_without_its_kind_is_refused_by_name() -> None:
    radiographs = table((0, "normal"), (1, "bacteria"), (1, "virus"), (1, "fungus"), (1, "normal"))
    with pytest.raises(DataError, match=r"2 pneumonia images are neither .* 3\.png \('fungus'\), 4\.png \('normal'\)"):
        three_classes(radiographs)


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(DataError, match="no image is viral"):
        three_classes(table((0, "normal"), (1, "bacteria")))


def test_every_fold_needs_all_three_classes_to_learn_and_to_tune(tmp_path: Path) -> None:
    subtype = ["normal", "bacteria"] * 10 + ["virus"] * 2
    rows = [
        {"image_id": f"{i:02d}.png", "label": int(kind != "normal"), "subtype": kind} for i, kind in enumerate(subtype)
    ]
    radiographs = pd.DataFrame(rows)
    radiographs = radiographs.assign(
        split="train",
        patient=radiographs["image_id"],
        group=range(len(radiographs)),
        sha256=radiographs["image_id"],
        width=9,
        height=9,
        lung_mask="",
    )
    index = Index(root=tmp_path, table=radiographs[INDEX_COLUMNS])
    with pytest.raises(DataError, match=r"fold \d: the (training|validation) part has no viral image"):
        check_class_folds(index, make_folds(index, FoldSpec(count=2, tune_fraction=0.25), seed=0))
    radiographs.loc[radiographs.index[:12], "subtype"] = ["virus" if i % 2 else "normal" for i in range(12)]
    index = Index(root=tmp_path, table=radiographs[INDEX_COLUMNS])
    check_class_folds(index, make_folds(index, FoldSpec(count=2, tune_fraction=0.4), seed=0))
