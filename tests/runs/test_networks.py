from __future__ import annotations

import pytest

from pneumobench.runs.networks import build_network
from pneumobench.suite.reader import load_suite


@pytest.mark.parametrize(
    ("statistics", "mean", "std", "own"),
    [
        ("auto", 0.5, 0.25, False),
        ("unit", 0.0, 1.0, False),
        ("imagenet", 0.449, 0.226, False),
        ("image", 0.5, 0.25, True),
    ],
)
def test_a_suite_says_how_gray_levels_are_normalised(statistics: str, mean: float, std: float, own: bool) -> None:
    suite = load_suite("smoke", architectures=["test_resnet"], data={"pixel_statistics": statistics})
    architecture = build_network(suite, "test_resnet")
    assert (architecture.pixel_mean, architecture.pixel_std, architecture.own_statistics) == (mean, std, own)
