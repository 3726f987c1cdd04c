"""Images whose label out-of-fold predictions doubt, by confident learning: candidates to look at, not errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.errors import SettingsError, install_words
from pneumobench.leaderboard.scores import folds_of
from pneumobench.records.run_folder import CLASS_COLUMNS
from pneumobench.suite.spec import CLASSES

TWO_CLASSES: Final = ("normal", "pneumonia")
CONSENSUS: Final = "all networks"
COLUMNS: Final = (
    "image_id", "given", "suggested", "quality", "networks_doubting", "networks", "baselines_doubting", "baselines",
    "doubted_by",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabelDoubts:
    """Which labels are doubted.

    Args:
        images: images that were asked about.
        table: the images that the mean of all networks doubts, COLUMNS: the label it has and the one that is suggested;
            `quality`, the probability of the given label, mean over networks, 0 to 1; how many networks and shortcut
            baselines doubt it by themselves; and `doubted_by`, networks alone or baselines too. Those that most
            networks doubt come first, then those of the least quality.
        doubted: images that a network or baseline by itself doubts, by its name, then by given and suggested label.
        agreeing: how many of these the mean of all networks doubts too, by its name.
    """

    images: int
    table: pd.DataFrame
    doubted: dict[str, dict[tuple[str, str], int]]
    agreeing: dict[str, int]


def label_doubts(predictions: Mapping[str, pd.DataFrame], kinds: Mapping[str, str]) -> LabelDoubts:
    """Ask out-of-fold predictions which labels they doubt.

    Args:
        predictions: by name image_id, label, tempered (CLASS_COLUMNS for three classes), and `fold` where there are
            several models; the same images in the same order for all.
        kinds: network or control, by name. A baseline that says the same of all images is not asked.

    Raises:
        SettingsError: there is no network, or cleanlab is not installed.
    """
    first = next(iter(predictions.values()))
    scores = {name: class_probability(table) for name, table in predictions.items()}
    networks = [name for name in predictions if kinds[name] == "network"]
    if not networks:
        raise SettingsError("no network completed all folds: its predictions are what labels are doubted by.")
    baselines = [name for name in predictions if name not in networks and not _says_the_same(predictions[name])]
    given, folds = class_number(first), folds_of(first)
    mean = np.mean([scores[name] for name in networks], axis=0)
    doubted = {name: doubted_labels(scores[name], given, folds) for name in (*networks, *baselines)}
    listed = doubted_labels(mean, given, folds)
    names = np.array(CLASSES if mean.shape[1] > 2 else TWO_CLASSES)
    counts = {kind: np.sum([doubted[name] for name in asked], axis=0) if asked else np.zeros(len(given), int)
              for kind, asked in (("networks", networks), ("baselines", baselines))}  # fmt: skip
    table = pd.DataFrame(
        {
            "image_id": first["image_id"],
            "given": names[given],
            "suggested": names[mean.argmax(axis=1)],
            "quality": mean[np.arange(len(given)), given],
            "networks_doubting": counts["networks"],
            "networks": len(networks),
            "baselines_doubting": counts["baselines"],
            "baselines": len(baselines),
            "doubted_by": np.where(counts["baselines"] > 0, "networks and baselines", "networks alone"),
        },
        columns=list(COLUMNS),
    )[listed]
    table = table.sort_values(
        ["networks_doubting", "quality", "image_id"], ascending=[False, True, True], ignore_index=True
    )
    return LabelDoubts(
        images=len(first),
        table=table,
        doubted={
            name: _pairs(names[given], names[scores[name].argmax(axis=1)], flags) for name, flags in doubted.items()
        },
        agreeing={name: int((flags & listed).sum()) for name, flags in doubted.items()},
    )


def doubted_labels(
    probability: NDArray[np.float64], given: NDArray[np.int64], folds: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Return which labels (N,) confident learning doubts.

    For every pair of classes the number of wrong labels is estimated: images whose probability of another class is at
    least the mean that this class has where it is the label. So many with the least probability of their label are
    doubted, if the model prefers another. Fold by fold, since each model has its own scale.

    Args:
        probability: (N, classes) of models that did not learn from the image.
        given: (N,) class numbers.
        folds: (N,) fold of each image. None = one model.

    Raises:
        SettingsError: cleanlab is not installed.

    Source: Northcutt, Jiang and Chuang 2021, doi 10.1613/jair.1.12125, as in cleanlab (prune by noise rate).
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise SettingsError(f"cleanlab, which doubts labels, is not installed: {install_words('labels')}.") from None
    doubted: NDArray[np.bool_] = np.zeros(len(given), dtype=np.bool_)
    fold = np.zeros(len(given), np.int64) if folds is None else folds
    for number in np.unique(fold):
        rows = np.flatnonzero(fold == number)
        if np.unique(given[rows]).size == probability.shape[1]:  # else a class has no label to compare with
            doubted[rows] = find_label_issues(given[rows], probability[rows], n_jobs=1)
    return doubted


def class_probability(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return probabilities of all classes (N, classes): of two classes after temperature scaling."""
    if CLASS_COLUMNS[0] in table:
        return table[list(CLASS_COLUMNS[1:])].to_numpy(np.float64)
    pneumonia = table["tempered"].to_numpy(np.float64)
    return np.stack([1 - pneumonia, pneumonia], axis=1)


def class_number(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the class number (N,) that each image has as its label."""
    return table[CLASS_COLUMNS[0] if CLASS_COLUMNS[0] in table else "label"].to_numpy(np.int64)


def _says_the_same(table: pd.DataFrame) -> bool:
    fold = folds_of(table)
    pneumonia = class_probability(table)[:, -1]
    parts = [pneumonia] if fold is None else [pneumonia[fold == number] for number in np.unique(fold)]
    return all(np.ptp(part) < 1e-12 for part in parts)


def _pairs(
    given: NDArray[np.str_], suggested: NDArray[np.str_], doubted: NDArray[np.bool_]
) -> dict[tuple[str, str], int]:
    found = Counter(zip(given[doubted].tolist(), suggested[doubted].tolist(), strict=True))
    return dict(sorted(found.items()))
