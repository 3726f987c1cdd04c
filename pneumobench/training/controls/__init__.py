"""Controls: what can be scored without looking at lungs, as models that train in seconds.

A network's score means something only above these. Every module in this folder registers the one it is named after.
Gradient boosting: Friedman 2001, doi 10.1214/aos/1013203451, in the histogram form of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.errors import SettingsError
from pneumobench.suite.names import CONTROL_GROUP, SHIPPED_CONTROLS, control_record_name
from pneumobench.suite.registry import Registry, origin_of
from pneumobench.suite.spec import Suite

if TYPE_CHECKING:  # it imports PyTorch, and pages read the words of controls without it
    from pneumobench.lungs.masks import LungMasks

PROBABILITY_FLOOR: Final = 1e-6  # keeps logits finite
LEAF_IMAGES: Final = 20  # images in a leaf of a tree, as scikit-learn has it
LEAF_SHARE: Final = 0.1  # of the training images at most: with fewer than two leaves full a tree never asks anything


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a control may look at.

    Args:
        index: one row an image.
        radiographs: all images (N, side, side) uint8, in index order, as the networks of the run see them.
        masks: lung masks, with stand-ins for the images that have none.
        train: rows of the training part of the fold; all a control learns from several images it learns from these.
        original_sizes: table with the sizes of the images before they were resized, relative to the root; empty: the
            files are the originals.
    """

    index: Index
    radiographs: NDArray[np.uint8]
    masks: LungMasks
    train: NDArray[np.int64]
    original_sizes: str = ""


Features = Callable[[Seen], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Control:
    """A control.

    Args:
        name: name in suites.
        features: function `Seen` -> features (N, any number); without a feature the shares of the classes are scored.
        words: what it looks at, as pages list it.
        masks_lungs: reads the lung masks of all images, so that images without a mask get a segmented one.
        reads_original_sizes: uses `original_sizes`; fitted again when that table changes its name.
        of_fold: its features depend on `train`, and are computed for every fold.
        origin: file and line of the function.
    """

    name: str
    features: Features
    words: str
    masks_lungs: bool = False
    reads_original_sizes: bool = False
    of_fold: bool = False
    origin: str

    @property
    def record_name(self) -> str:
        """The name in records, tables and folders."""
        return control_record_name(self.name)


CONTROLS: Final[Registry[Control]] = Registry("control", group=CONTROL_GROUP, shipped=SHIPPED_CONTROLS)


def register_control(
    name: str,
    *,
    words: str,
    masks_lungs: bool = False,
    reads_original_sizes: bool = False,
    of_fold: bool = False,
) -> Callable[[Features], Features]:
    """Register a function `Seen` -> features (N, any number) under a name for `controls.names`.

    Args:
        name: 1 to 64 of a-z 0-9 _ . -
        words: what it looks at, as pages list it, e.g. `the size of the image`.
        masks_lungs: see `Control`, as for the other.
        reads_original_sizes: uses the table of original sizes.
        of_fold: computed for every fold.

    Raises:
        SettingsError: the name is taken or not allowed.

    Example:
        >>> @register_control("doc_brightness", words="the mean gray level")
        ... def doc_brightness(seen: Seen) -> NDArray[np.float64]:
        ...     return seen.radiographs.mean(axis=(1, 2))[:, None]
    """

    def decorate(function: Features) -> Features:
        origin = origin_of(function)
        if "-" in name:  # records write - for _, and two names would become one
            raise SettingsError(f"{origin}: control name {name!r}; expected _ in place of -.")
        control = Control(
            name=name,
            features=function,
            words=words,
            masks_lungs=masks_lungs,
            reads_original_sizes=reads_original_sizes,
            of_fold=of_fold,
            origin=origin,
        )
        CONTROLS.add(control)
        return function

    return decorate


def controls_of(suite: Suite) -> list[Control]:
    """Return the controls of a suite, in its order.

    Raises:
        SettingsError: no control has the name; suggests the nearest.
    """
    return [CONTROLS.get(name) for name in suite.controls.names]


def control_features(control: Control, seen: Seen) -> NDArray[np.float64]:
    """Return what a control sees of every image: (N, features).

    Raises:
        SettingsError: the control, of a plugin, returns features of another shape.
        DataError: the control cannot be used with these data.
    """
    features = control.features(seen)
    if features.ndim != 2 or len(features) != len(seen.index.table):
        raise SettingsError(
            f"{control.origin}: control {control.name!r} returned features {features.shape}; expected (N, features) "
            f"with N = {len(seen.index.table)} images."
        )
    return features


def leaf_images(train_images: int) -> int:
    """Return the fewest images that a leaf of a tree may hold: 20, of less than 200 training images a tenth.

    Twenty a leaf leave no tree of fewer than 40 images a question to ask, and every image one probability.

    >>> leaf_images(5000), leaf_images(200), leaf_images(24), leaf_images(8)
    (20, 20, 2, 1)
    """
    return min(LEAF_IMAGES, max(1, int(LEAF_SHARE * train_images)))


def fit_control(
    features: NDArray[np.float64], target: NDArray[np.int64], train: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Fit on the training rows and return outputs for all rows; without features the shares of the classes.

    Boosting with scikit-learn's settings, but for `leaf_images` of small training parts.

    Args:
        features: (N, features) of all images.
        target: class numbers (N,): 1 = pneumonia of two, or 1 = bacterial and 2 = viral of three.
        train: rows to fit on.
        seed: seed of the boosting.

    Returns:
        Pneumonia logits (N, 1), or log probabilities (N, 3) of three classes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # here, because pages read the words of controls too

    classes = int(target.max()) + 1
    probability = np.zeros((len(target), classes))
    if features.shape[1] == 0:
        probability[:] = np.bincount(target[train], minlength=classes) / len(train)
    else:
        model = HistGradientBoostingClassifier(
            early_stopping=False, random_state=seed, min_samples_leaf=leaf_images(len(train))
        )
        model.fit(features[train], target[train])
        probability[:, model.classes_] = model.predict_proba(features)
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    if classes > 2:
        return np.log(clipped)
    logit: NDArray[np.float64] = np.log(clipped[:, 1:]) - np.log1p(-clipped[:, 1:])
    return logit
