from __future__ import annotations

import numpy as np

from pneumobench.lungs.masked_regions import BLANKINGS, lungs_blurred, only_lungs, without_borders, without_lungs

FILMS = np.random.default_rng(0).integers(0, 200, (3, 40, 40)).astype(np.uint8)
LUNGS = np.zeros((3, 40, 40), dtype=bool)
LUNGS[:, 10:30, 5:18] = LUNGS[:, 10:30, 22:35] = True


def test_lungs_take_the_mean_of_the_rest_and_the_rest_stays() -> None:
    blanked = without_lungs(FILMS, LUNGS)
    for film, lungs, found in zip(FILMS, LUNGS, blanked, strict=True):
        assert set(found[lungs]) == {round(float(film[~lungs].mean()))}
        assert (found[~lungs] == film[~lungs]).all()


def test_only_the_lungs_stay() -> None:
    blanked = only_lungs(FILMS, LUNGS)
    for film, lungs, found in zip(FILMS, LUNGS, blanked, strict=True):
        assert set(found[~lungs]) == {round(float(film[lungs].mean()))}
        assert (found[lungs] == film[lungs]).all()


def test_what_was_in_the_lungs_cannot_be_recovered() -> None:
    other = np.where(LUNGS, 255 - FILMS, FILMS).astype(np.uint8)
    assert (without_lungs(FILMS, LUNGS) == without_lungs(other, LUNGS)).all()


def test_blurred_lungs_keep_brightness_and_lose_structure() -> None:
    blurred = lungs_blurred(FILMS, LUNGS)
    assert (blurred[~LUNGS] == FILMS[~LUNGS]).all()
    assert blurred[LUNGS].std() < 0.1 * FILMS[LUNGS].std()
    assert abs(float(blurred[LUNGS].mean()) - float(FILMS[LUNGS].mean())) < 5


def test_borders_go_and_the_middle_stays() -> None:
    blanked = without_borders(FILMS, LUNGS)
    assert (blanked[:, 4:-4, 4:-4] == FILMS[:, 4:-4, 4:-4]).all()
    assert len(np.unique(blanked[0, :4])) == 1


def test_a_mask_that_covers_the_whole_film_is_no_error() -> None:
    whole = np.ones_like(LUNGS)
    for blank in BLANKINGS.values():
        assert blank(FILMS, whole).shape == FILMS.shape
        assert blank(FILMS, ~whole).dtype == np.uint8
