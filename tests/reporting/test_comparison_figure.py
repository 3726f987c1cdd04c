"""The figure of a comparison."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pneumobench.leaderboard.learning_curve import learning_curves
from pneumobench.reporting.comparison_figure import comparison_figure
from tests.leaderboard.effects import effect

SIZES = {"250": 250.0, "500": 500.0, "1000": 1000.0, "all": 4000.0}
TEXT = "{http://www.w3.org/2000/svg}text"


def _texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(TEXT)]


def test_every_row_of_a_comparison_is_a_lane_with_its_area() -> None:
    effects = [
        effect("resnet18", "whole", 0.9912),
        effect("resnet18", "mask_only", 0.9604),
        effect("control-thumbnail", "whole", 1.0),
    ]
    svg = comparison_figure(effects, "region")
    texts = _texts(svg)
    assert {"resnet18", "thumbnail", "whole", "mask_only", "region", "0.991", "0.960", "1.000"} <= set(texts)
    assert svg == comparison_figure(effects, "region"), "the same figure gives the same bytes"


@pytest.mark.parametrize("value", ["$a$", "[dense 16, relu] & <more>", "été"])
def test_values_are_written_as_they_are(value: str) -> None:
    assert value in _texts(comparison_figure([effect("a", value, 0.9), effect("a", "b", 0.8)], "training.head"))


def test_a_learning_curve_has_its_numbers_of_images_and_the_fitted_law() -> None:
    effects = [effect("a", value, 1 - 0.1 * (size / 4000) ** -0.5) for value, size in SIZES.items()]
    curves = learning_curves(effects, SIZES)
    assert curves[0].area(np.array([8000.0])) == pytest.approx(curves[0].doubled)
    assert curves[0].area(np.array(list(SIZES.values()))) == pytest.approx(curves[0].auc, abs=1e-3)
    svg = comparison_figure(effects, "training images", images=SIZES, curves=curves)
    texts = _texts(svg)
    assert {"250", "500", "1,000", "4,000", "a"} <= set(texts)
    assert any("fitted law" in text for text in texts)
    alone = comparison_figure(effects[:3], "training images", images=SIZES)
    assert not re.search("fitted law", alone)
