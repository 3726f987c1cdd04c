from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.label_noise import COLUMNS, doubted_labels, label_doubts
from pneumobench.records.run_folder import CLASS_COLUMNS

IMAGES, WRONG = 2000, tuple(range(3, 2000, 67))


def table_of(seed: int, *, sure: float = 4.0, offset: float = 0.0) -> pd.DataFrame:
    """Return out-of-fold predictions of a model that is right; 30 labels, WRONG, are not."""
    rng = np.random.default_rng(seed)
    truth = np.arange(IMAGES) % 2
    label = truth.copy()
    label[list(WRONG)] = 1 - label[list(WRONG)]
    fold = np.arange(IMAGES) // 2 % 4
    logit = sure * (2 * truth - 1) + rng.normal(size=IMAGES) + offset * (fold - 1.5)
    return pd.DataFrame(
        {"image_id": [f"{row:04d}.png" for row in range(IMAGES)], "label": label, "fold": fold,
         "tempered": 1 / (1 + np.exp(-logit))}
    )  # fmt: skip


def test_wrong_labels_are_doubted_by_all_networks_and_listed_with_who_doubts_them() -> None:
    tables = {"a": table_of(1), "b": table_of(2), "control-thumbnail": table_of(3, sure=1.0), "control-majority":
              table_of(4).assign(tempered=0.7)}  # fmt: skip
    kinds = {"a": "network", "b": "network", "control-thumbnail": "control", "control-majority": "control"}
    found = label_doubts(tables, kinds)
    assert found.images == IMAGES
    assert list(found.table) == list(COLUMNS)
    listed = found.table["image_id"].str[:4].astype(int)
    assert set(listed) <= set(WRONG)
    assert len(listed) >= 25, "nearly all"
    assert found.table["networks_doubting"].is_monotonic_decreasing
    assert (found.table["networks_doubting"] == 2).mean() > 0.5
    assert (found.table["networks"] == 2).all()
    assert (found.table["baselines"] == 1).all(), "what says the same of all images is not asked"
    given = np.where(tables["a"]["label"].iloc[listed], "pneumonia", "normal")
    assert (found.table["given"] == given).all()
    assert (found.table["given"] != found.table["suggested"]).all()
    mean = (tables["a"]["tempered"] + tables["b"]["tempered"]) / 2
    row = found.table.iloc[0]
    assert row["quality"] == pytest.approx(abs((row["given"] == "normal") - mean[listed[0]]))
    by_baseline = found.table["baselines_doubting"] > 0
    assert (found.table["doubted_by"] == np.where(by_baseline, "networks and baselines", "networks alone")).all()
    assert found.agreeing["a"] + found.agreeing["b"] == found.table["networks_doubting"].sum()
    assert sum(found.doubted["control-thumbnail"].values()) > 2 * len(WRONG), "a weak model doubts more"
    assert set(found.doubted["a"]) <= {("normal", "pneumonia"), ("pneumonia", "normal")}


def test_models_of_other_scales_are_asked_fold_by_fold() -> None:
    shifted = table_of(5, sure=3.0, offset=4.0)
    probability = np.stack([1 - shifted["tempered"], shifted["tempered"]], axis=1)
    label, fold = shifted["label"].to_numpy(), shifted["fold"].to_numpy()
    found = doubted_labels(probability, label, fold)
    expected = np.zeros(IMAGES, dtype=bool)
    for number in range(4):
        expected[fold == number] = doubted_labels(probability[fold == number], label[fold == number])
    assert (found == expected).all()
    assert (found != doubted_labels(probability, label)).any()


def test_three_classes_are_told_by_their_names() -> None:
    rng = np.random.default_rng(6)
    truth = np.arange(300) % 3
    label = truth.copy()
    label[5] = 0  # a viral image called normal
    logits = 5 * np.eye(3)[truth] + rng.normal(size=(300, 3))
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame({"image_id": [f"{row:03d}" for row in range(300)], "label": (label > 0).astype(int)})
    table[CLASS_COLUMNS[0]], table[list(CLASS_COLUMNS[1:])] = label, probability
    found = label_doubts({"net": table.assign(tempered=1 - probability[:, 0])}, {"net": "network"})
    assert found.table[["image_id", "given", "suggested"]].to_numpy().tolist() == [["005", "normal", "viral"]]


def test_a_part_of_one_class_is_not_asked() -> None:
    assert not doubted_labels(np.array([[0.1, 0.9], [0.2, 0.8]]), np.array([0, 0])).any()


def test_without_a_network_or_cleanlab_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no network completed all folds"):
        label_doubts({"control-thumbnail": table_of(1)}, {"control-thumbnail": "control"})
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(SettingsError, match=r"cleanlab, which doubts labels, is not installed: pip install .*labels"):
        label_doubts({"net": table_of(1)}, {"net": "network"})
