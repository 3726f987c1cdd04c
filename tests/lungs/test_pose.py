from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumobench.datasets.index import Index
from pneumobench.lungs.pose import POSES, RIGHT, Pose, PoseTemplate, pose_template, view_around
from tests.lungs.conftest import drawn_images


@pytest.fixture(scope="module")
def template(phantoms: Index) -> PoseTemplate:
    drawn = drawn_images(phantoms, "train")
    return pose_template(drawn.radiographs, drawn.masks)


def _posed(picture: NDArray[np.generic], pose: Pose) -> NDArray[np.generic]:
    """Bring an image that lies right into a pose."""
    mirrored = picture[:, ::-1] if pose.mirrored else picture
    return np.ascontiguousarray(np.rot90(mirrored, pose.turns))


def test_there_are_sixteen_poses_and_each_is_undone() -> None:
    view = np.arange(9.0).reshape(3, 3) - 4
    looks = [(-1 if pose.inverted else 1) * _posed(view, pose).astype(np.float64) for pose in POSES]
    assert len({look.tobytes() for look in looks}) == len(POSES) == 16
    assert POSES[0] == RIGHT
    for pose, look in zip(POSES, looks, strict=True):
        np.testing.assert_array_equal(pose.undone(look), view)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        (RIGHT, ""),
        (Pose(turns=2, mirrored=False, inverted=False), "upside down"),
        (Pose(turns=2, mirrored=True, inverted=False), "upside down"),
        (Pose(turns=1, mirrored=False, inverted=False), "turned by a quarter"),
        (Pose(turns=0, mirrored=True, inverted=False), "left and right exchanged"),
        (Pose(turns=0, mirrored=False, inverted=True), "gray levels inverted"),
        (Pose(turns=3, mirrored=True, inverted=True), "turned by a quarter and gray levels inverted"),
    ],
)
def test_the_pose_of_an_image_is_found_and_said(
    pose: Pose, words: str, template: PoseTemplate, phantoms: Index
) -> None:
    """On phantoms of patients that the template was not fitted on, in their own masks."""
    unseen = drawn_images(phantoms, "test")
    said = []
    for radiograph, mask in zip(unseen.radiographs, unseen.masks, strict=True):
        shown = _posed(255 - radiograph if pose.inverted else radiograph, pose).astype(np.uint8)
        said.append(template.found(shown, _posed(mask, pose).astype(bool)).words())
    assert said.count(words) >= 0.8 * len(said), said


def test_exposure_and_place_do_not_count(template: PoseTemplate, phantoms: Index) -> None:
    drawn = drawn_images(phantoms, "test")
    radiograph, mask = drawn.radiographs[0], drawn.masks[0]
    dark = (radiograph * 0.5 + 10).astype(np.uint8)
    np.testing.assert_allclose(view_around(dark, mask), view_around(radiograph, mask), atol=0.1)
    wide = np.pad(radiograph, 20, mode="edge")
    np.testing.assert_allclose(view_around(wide, np.pad(mask, 20)), view_around(radiograph, mask), atol=1e-6)


def test_a_flat_image_has_no_pose(template: PoseTemplate) -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:40, 10:50] = True
    flat = np.full((64, 64), 90, dtype=np.uint8)
    assert np.abs(view_around(flat, mask)).max() == 0
    assert template.found(flat, mask) == RIGHT


def test_a_template_is_read_as_written(template: PoseTemplate) -> None:
    again = PoseTemplate.read(template.plain())
    assert np.array_equal(again.template, template.template)
    assert np.array_equal(again.margins, template.margins)
    with pytest.raises(ValueError, match="expected \\(24, 24\\) numbers"):
        PoseTemplate.read({"margins": "0", "template": ["0 1", "1 0"]})
