"""Controls: what can be scored without looking at lungs, as models that train in seconds.

A network's score means something only above these. Gradient boosting: Friedman 2001, doi 10.1214/aos/1013203451, in
the histogram form of scikit-learn.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.lungs.masks import LungMasks
from pneumobench.suite.spec import ControlName

THUMBNAIL_SIDE: Final = (
    12  # pixels: the heart, the diaphragm and the exposure survive, a lung field is four pixels wide
)
SIZE_COLUMNS: Final = ("image", "original_width", "original_height")
PROBABILITY_FLOOR: Final = 1e-6  # keeps logits finite


def control_features(
    name: ControlName, index: Index, radiographs: NDArray[np.uint8], masks: LungMasks, original_sizes: str
) -> NDArray[np.float64]:
    """Return what a control sees of every image: (N, features), no column for `majority`.

    Args:
        name: majority, image_facts, thumbnail or thumbnail_without_lungs.
        index: one row an image.
        radiographs: all images (N, side, side).
        masks: lung masks, with stand-ins for the images that have none.
        original_sizes: table with the sizes of the images before they were resized, relative to the root; empty: the
            files are the originals, and their size in bytes is a fact too.

    Raises:
        DataError: the table of sizes is missing, or holds none of the images. An image it lacks has unknown sizes.
    """
    if name == "majority":
        return np.zeros((len(index.table), 0))
    if name == "image_facts":
        return _original_sizes(index, original_sizes) if original_sizes else _file_facts(index)
    seen = radiographs
    if name == "thumbnail_without_lungs":
        seen = np.concatenate(
            [
                without_lungs(np.array(radiographs[some]), masks.to_blank(some))
                for some in np.split(np.arange(len(radiographs)), range(512, len(radiographs), 512))
            ]
        )
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [cv2.resize(np.asarray(radiograph), size, interpolation=cv2.INTER_AREA).ravel() for radiograph in seen]
    return np.stack(small).astype(np.float64)


def _size_features(width: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([width, height, width / height], axis=1)


def _file_facts(index: Index) -> NDArray[np.float64]:
    table = index.table
    sizes = _size_features(table["width"].to_numpy(np.float64), table["height"].to_numpy(np.float64))
    file_bytes = np.array([(index.root / image).stat().st_size for image in table["image_id"]], dtype=np.float64)
    return np.column_stack([sizes, file_bytes])


def _original_sizes(index: Index, name: str) -> NDArray[np.float64]:
    path = index.root / name
    expected = f"a table with the columns {', '.join(SIZE_COLUMNS)} (controls.original_sizes)"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected {expected}.") from error
    if missing := [column for column in SIZE_COLUMNS if column not in table.columns]:
        raise DataError(f"{path}: found no column {missing[0]}; expected {expected}.")
    found = table.drop_duplicates("image").set_index("image").reindex(index.table["image_id"])
    sizes = found[["original_width", "original_height"]].apply(pd.to_numeric, errors="coerce")
    if not sizes.notna().any(axis=None):
        raise DataError(f"{path}: has a size of none of the {len(index.table)} images; expected {expected}.")
    return _size_features(*sizes.to_numpy(np.float64).T)


def fit_control(
    features: NDArray[np.float64], target: NDArray[np.int64], train: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Fit on the training rows and return outputs for all rows; without features the shares of the classes.

    Args:
        features: (N, features) of all images.
        target: class numbers (N,): 1 = pneumonia of two, or 1 = bacterial and 2 = viral of three.
        train: rows to fit on.
        seed: seed of the boosting.

    Returns:
        Pneumonia logits (N, 1), or log probabilities (N, 3) of three classes.
    """
    classes = int(target.max()) + 1
    probability = np.zeros((len(target), classes))
    if features.shape[1] == 0:
        probability[:] = np.bincount(target[train], minlength=classes) / len(train)
    else:
        model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
        model.fit(features[train], target[train])
        probability[:, model.classes_] = model.predict_proba(features)
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    if classes > 2:
        return np.log(clipped)
    logit: NDArray[np.float64] = np.log(clipped[:, 1:]) - np.log1p(-clipped[:, 1:])
    return logit
