from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pneumobench.metrics import validation


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        ([[0.1, 0.2]], r"probability has shape \(1, 2\); expected one dimension"),
        ([], "probability is empty; expected at least one image"),
        ([0.1, np.nan], r"1 values that are not finite, the first at position 1 \(nan\)"),
        ([0.1, np.inf], r"position 1 \(inf\)"),
        ([-2.0, 3.0], r"probability runs from -2 to 3; expected values in \[0, 1\]. Are these logits"),
        (["a", "b"], "probability holds <U1 values; expected numbers"),
    ],
)
def test_malformed_probabilities_are_refused(probability: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.checked_probability(probability)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_widening_keeps_order_and_ties(dtype: type[np.floating[Any]]) -> None:
    narrow = np.array([0.1, 0.7, 0.1, 1.0, 0.0], dtype)
    wide = validation.checked_probability(narrow)
    assert wide.dtype == np.float64
    assert np.array_equal(wide, narrow)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([0, 1, 2], "has_pneumonia holds 2; expected only 0 and 1"),
        ([0.0, 0.5], "holds 0.5; expected only 0 and 1"),
        ([1.0, np.nan], "holds nan; expected only 0 and 1"),
        (["NORMAL", "PNEUMONIA"], "holds 'NORMAL', 'PNEUMONIA'; expected only 0 and 1"),
        ([], "has_pneumonia is empty"),
    ],
)
def test_malformed_labels_are_refused(flags: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.checked_flags(flags)


@pytest.mark.parametrize(
    "flags", [[0, 1], [0.0, 1.0], [False, True], np.array([False, True], object), np.array([0, 1], np.uint8)]
)
def test_every_spelling_of_labels_is_read(flags: Any) -> None:
    assert validation.checked_flags(flags).tolist() == [False, True]


def test_different_lengths_are_named() -> None:
    with pytest.raises(ValueError, match="lengths differ: probability 3, has_pneumonia 2"):
        validation.checked_scores([0.1, 0.2, 0.3], [0, 1])
    with pytest.raises(ValueError, match="lengths differ: logit 1, has_pneumonia 2"):
        validation.checked_logits([7.0], [0, 1])


@pytest.mark.parametrize(
    "groups",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"], object),
        [7, 3, 7],
        np.array([7, 3, 7], np.uint16),
        np.array([np.int64(7), np.int64(3), np.int64(7)], object),
    ],
)
def test_groups_are_numbered_in_sorted_order(groups: Any) -> None:
    assert validation.group_indices(groups).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1.0, 2.0], "groups holds float64 values; expected integers or strings"),
        (np.array(["a", 1], object), "groups holds int, str values; expected all integers or all strings"),
        (np.array(["a", None], object), "groups holds NoneType, str values"),
        ([[1], [2]], r"groups has shape \(2, 1\)"),
    ],
)
def test_malformed_groups_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.group_indices(groups)


def test_the_missing_class_is_named() -> None:
    with pytest.raises(ValueError, match="none of the 2 images is with pneumonia; testing needs both classes"):
        validation.require_both_classes(np.array([False, False]), "testing")
    with pytest.raises(ValueError, match="none of the 2 images is without pneumonia"):
        validation.require_both_classes(np.array([True, True]), "testing")
    validation.require_both_classes(np.array([True, False]), "testing")


def test_importing_the_package_is_light_and_every_public_name_resolves() -> None:
    program = (
        "import sys, pneumobench.metrics as metrics\n"
        "assert metrics.mean_interval([0.0, 0.0], [1, 2]).high == 0\n"
        "assert not {'torch', 'torchmetrics', 'scipy'} & set(sys.modules), 'heavy import'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    import pneumobench.metrics as metrics

    assert [getattr(metrics, name).__name__ for name in metrics.__all__] == sorted(set(metrics.__all__))


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import pneumobench.metrics as metrics

    with pytest.raises(AttributeError, match="no attribute 'area_under_rock'"):
        metrics.area_under_rock  # noqa: B018
