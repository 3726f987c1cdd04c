from __future__ import annotations

import numpy as np
import pytest

from pneumobench.lungs.boxes import FIXED_BOX, MARGIN, fixed_lung_box, lung_box
from pneumobench.lungs.crop import image_crop
from pneumobench.radiographs.geometry import cropped
from tests.datasets.tiny_sets import index_of


def test_the_box_around_lungs_is_wider_by_the_margin_and_stays_in_the_image() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[30:70, 2:160] = True
    assert lung_box(mask) == pytest.approx((0.30 - MARGIN, 0.70 + MARGIN, 0.0, 0.80 + MARGIN))


def test_the_fixed_crop_shows_what_the_fixed_lung_box_marks() -> None:
    box = fixed_lung_box(200)
    assert cropped(box, FIXED_BOX).all()
    assert cropped(box, FIXED_BOX).sum() == box.sum()


def test_no_crop_and_fixed_crop_need_no_lungs() -> None:
    index = index_of([("a", "1", 0), ("b", "2", 1)])
    assert image_crop("none", index, None).boxes is None
    assert image_crop("fixed", index, None).boxes == (FIXED_BOX, FIXED_BOX)


def test_a_crop_leaves_at_least_a_pixel() -> None:
    assert cropped(np.zeros((3, 3), dtype=np.uint8), (0.999, 1.0, 0.4, 0.41)).shape == (1, 1)
