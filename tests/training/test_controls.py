from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.masks import LungMasks, fixed_lung_box
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.training.controls import control_features, fit_control
from pneumobench.training.predictions import probability_of

COUNT, SIDE = 200, 24
LABEL = np.arange(COUNT) % 2
RNG = np.random.default_rng(0)
BOX = fixed_lung_box(SIDE)
MASKS = LungMasks(kind="box", masks=np.zeros((0, SIDE, SIDE), dtype=np.uint8), row_of={}, box=BOX)


def _index(root: Path) -> Index:
    width = np.where(LABEL == 1, 900, 1400) + RNG.integers(0, 100, COUNT)
    table = pd.DataFrame({"image_id": [f"{i}.png" for i in range(COUNT)], "width": width, "height": 1000})
    for name in table["image_id"]:
        (root / name).write_bytes(b"x" * 10)
    return Index(root=root, table=table)


def _auc(features: np.ndarray) -> float:
    train, test = np.arange(0, 140), np.arange(140, COUNT)
    logit = fit_control(features, LABEL, train, seed=1)[:, 0]
    assert logit.shape == (COUNT,)
    assert (fit_control(features, LABEL, train, seed=1)[:, 0] == logit).all()
    return area_under_roc(probability_of(logit)[test], LABEL[test] == 1)


def test_the_majority_knows_the_prevalence_and_nothing_else(tmp_path: Path) -> None:
    features = control_features("majority", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), MASKS, "")
    logit = fit_control(features, LABEL, np.array([0, 1, 3, 5]), seed=0)[:, 0]
    assert probability_of(logit) == pytest.approx(np.full(COUNT, 0.75))
    assert _auc(features) == 0.5


def test_sizes_that_differ_between_classes_are_found(tmp_path: Path) -> None:
    index, radiographs = _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8)
    features = control_features("image_facts", index, radiographs, MASKS, "")
    assert features.shape == (COUNT, 4)
    assert _auc(features) > 0.95
    # sizes from before the images were resized: the bytes of the small file say nothing of the original
    sizes = pd.DataFrame({"image": index.table["image_id"], "original_width": 7, "original_height": 9}).iloc[1:]
    sizes.to_csv(tmp_path / "sizes.csv", index=False)
    features = control_features("image_facts", index, radiographs, MASKS, "sizes.csv")
    assert features.shape == (COUNT, 3)
    assert np.isnan(features[0]).all()
    assert _auc(features) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [("image,width\na,1\n", "no column original_width"), ("image,original_width,original_height\nz,1,1\n", "of none")],
)
def test_a_table_of_sizes_that_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sizes.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        control_features("image_facts", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), MASKS, "sizes.csv")
    with pytest.raises(DataError, match="cannot be read"):
        control_features("image_facts", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), MASKS, "none.csv")


def test_a_thumbnail_sees_the_lungs_and_the_other_does_not(tmp_path: Path) -> None:
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    inner = np.zeros((SIDE, SIDE), dtype=bool)
    inner[8:16, 8:16] = True  # well inside the box
    radiographs[(LABEL == 1)[:, None, None] & inner] += 60
    index = _index(tmp_path)
    assert _auc(control_features("thumbnail", index, radiographs, MASKS, "")) > 0.95
    assert _auc(control_features("thumbnail_without_lungs", index, radiographs, MASKS, "")) < 0.8
