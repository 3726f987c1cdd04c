from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from pneumobench.metrics.map_similarity import map_similarity

RNG = np.random.default_rng(0)


def _blobs(count: int, side: int = 28) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(gaussian_filter(RNG.normal(size=(count, side, side)), (0, 3, 3)))


def test_both_measures_are_those_of_scipy_and_skimage() -> None:
    first, second = np.abs(_blobs(2)), np.abs(_blobs(2))
    found = map_similarity(first, second)
    for i in range(2):
        smooth = [gaussian_filter(one[i] / one[i].max(), 1.0, mode="nearest") for one in (first, second)]
        smooth = [one / one.max() for one in smooth]
        rho = abs(spearmanr(smooth[0].ravel(), smooth[1].ravel()).statistic)
        assert found.rank_correlation[i] == pytest.approx(rho)
        likeness = structural_similarity(*smooth, data_range=1.0, win_size=7)  # type: ignore[no-untyped-call]
        assert found.structural_similarity[i] == pytest.approx(likeness)


def test_a_map_is_like_itself_at_any_scale_and_size() -> None:
    for side in (16, 64, 224):
        maps = np.abs(_blobs(2, side))
        found = map_similarity(maps, 5 * maps)
        assert found.rank_correlation == pytest.approx([1, 1])
        assert found.structural_similarity == pytest.approx([1, 1])


def test_the_reverse_order_counts_as_much_as_the_order() -> None:
    maps = np.abs(_blobs(1))
    assert map_similarity(maps, maps.max() - maps).rank_correlation[0] > 0.9


def test_what_is_multiplied_by_the_image_stays_alike_though_every_pixel_changes_its_sign() -> None:
    """The signed correlation of such maps is near 0: a check that rests on it is passed by every gradient method."""
    image = np.abs(_blobs(8, 112))
    first, second = (RNG.choice([-1.0, 1.0], size=image.shape) * image for _ in range(2))
    signed = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    assert abs(np.mean(signed)) < 0.05
    assert map_similarity(first, second).rank_correlation.mean() > 0.7


def test_a_map_that_points_nowhere_is_like_nothing() -> None:
    maps = np.abs(_blobs(3))
    others = np.stack([np.zeros((28, 28)), -maps[1], np.ones((28, 28))])
    found = map_similarity(maps, others)
    assert np.isnan(found.rank_correlation).all()
    assert np.isnan(found.structural_similarity).all()


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"maps have shapes \(1, 8, 8\) and \(1, 9, 9\); expected the same"):
        map_similarity(np.ones((1, 8, 8)), np.ones((1, 9, 9)))
