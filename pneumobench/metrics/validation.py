"""What every metric asks of its arrays, and how it complains."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]


def checked_numbers(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a float64 vector: one finite number an image, at least one image.

    Widening to float64 keeps order and ties of float16 and float32 exactly.

    Raises:
        ValueError: not one-dimensional, empty, not numeric, NaN or infinite.
    """
    numbers = _vector(values, name)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {numbers.dtype} values; expected numbers.")
    widened: Floats = numbers.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(widened))
    if bad.size:
        raise ValueError(
            f"{name} holds {bad.size} values that are not finite, the first at position {bad[0]} "
            f"({widened[bad[0]]}); expected finite numbers. Did training diverge?"
        )
    return widened


def checked_probability(probability: ArrayLike, name: str = "probability") -> Floats:
    """Return probabilities as a float64 vector.

    Raises:
        ValueError: as `checked_numbers`, or a value outside [0, 1].
    """
    numbers = checked_numbers(probability, name)
    low, high = numbers.min(), numbers.max()
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} runs from {low:g} to {high:g}; expected values in [0, 1]. "
            "Are these logits? Hand over their sigmoid."
        )
    return numbers


def checked_flags(flags: ArrayLike, name: str = "has_pneumonia") -> Booleans:
    """Return 0/1 or boolean values as a boolean vector.

    Raises:
        ValueError: not one-dimensional, empty, or a value other than 0 and 1.
    """
    values = _vector(flags, name)
    if values.dtype.kind == "O":  # a pandas column of bool or int read as objects
        values = np.asarray(values.tolist())
    known = np.isin(values, (0, 1)) if values.dtype.kind in "fiub" else np.zeros(values.shape, np.bool_)
    if not known.all():
        found = np.unique(values[~known]).tolist()[:3]
        raise ValueError(f"{name} holds {', '.join(map(repr, found))}; expected only 0 and 1.")
    flagged: Booleans = values.astype(np.bool_)
    return flagged


def checked_scores(probability: ArrayLike, has_pneumonia: ArrayLike) -> tuple[Floats, Booleans]:
    """Return probabilities and labels of the same images, checked.

    Raises:
        ValueError: one of them is malformed or their lengths differ.
    """
    scores, labels = checked_probability(probability), checked_flags(has_pneumonia)
    require_same_length(probability=scores, has_pneumonia=labels)
    return scores, labels


def checked_logits(logit: ArrayLike, has_pneumonia: ArrayLike) -> tuple[Floats, Booleans]:
    """Return logits and labels of the same images, checked.

    Raises:
        ValueError: one of them is malformed or their lengths differ.
    """
    logits, labels = checked_numbers(logit, "logit"), checked_flags(has_pneumonia)
    require_same_length(logit=logits, has_pneumonia=labels)
    return logits, labels


def group_indices(groups: ArrayLike) -> Integers:
    """Return for every image the number (0, 1, ...) of its patient or group, in sorted order of the names.

    Raises:
        ValueError: not one-dimensional, empty, or neither integers nor strings.
    """
    names = _vector(groups, "groups")
    if names.dtype.kind == "O":  # strings of a pandas column come as objects
        each = names.tolist()
        if not any(all(isinstance(name, kind) for name in each) for kind in (str, (int, np.integer))):
            listed = ", ".join(sorted({type(name).__name__ for name in each}))
            raise ValueError(f"groups holds {listed} values; expected all integers or all strings.")
        names = np.asarray(each)
    if names.dtype.kind not in "iuU":
        raise ValueError(f"groups holds {names.dtype} values; expected integers or strings.")
    indices: Integers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return indices


def require_same_length(**arrays: NDArray[Any]) -> None:
    """Refuse vectors of different lengths.

    Raises:
        ValueError: names each vector with its length.
    """
    if len({len(array) for array in arrays.values()}) > 1:
        listed = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise ValueError(f"lengths differ: {listed}; expected one value an image in each.")


def require_both_classes(has_pneumonia: Booleans, purpose: str) -> None:
    """Refuse labels of one class only.

    Raises:
        ValueError: names the class that is missing.
    """
    positives = int(has_pneumonia.sum())
    if positives in (0, len(has_pneumonia)):
        missing = "with" if positives == 0 else "without"
        raise ValueError(
            f"none of the {len(has_pneumonia)} images is {missing} pneumonia; {purpose} needs both classes."
        )


def _vector(values: ArrayLike, name: str) -> NDArray[Any]:
    vector: NDArray[Any] = np.asarray(values)
    if vector.ndim != 1:
        raise ValueError(f"{name} has shape {vector.shape}; expected one dimension, one value an image.")
    if vector.size == 0:
        raise ValueError(f"{name} is empty; expected at least one image.")
    return vector
