"""Which images readers get, and what their answers come to, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.reader_results import EVERYBODY, ReaderResults, reader_results
from pneumobench.leaderboard.reader_sample import draw_study_images
from pneumobench.records.reader_answers import read_answers
from pneumobench.records.reader_study import Reading, StudyImage
from pneumobench.reporting.reader_tables import warnings_of
from tests.records.simulated_reader import Decide, answers_of, as_csv, small_study


def predictions(images: int = 120, wrong: int = 5) -> tuple[pd.DataFrame, pd.Series]:
    """Return rows of two images a patient, of which every `wrong`-th is called wrongly, and their groups."""
    label = np.arange(images) // 2 % 2
    called = label ^ (np.arange(images) // 2 % wrong == 0)
    table = pd.DataFrame(
        {
            "image_id": [f"child-{i // 2}-{i % 2}.png" for i in range(images)],
            "label": label,
            "probability": np.where(called, 0.9, 0.2),
            "tempered": np.where(called, 0.8, 0.3),
            "fold": np.arange(images) // 2 % 5,
        }
    )
    return table, pd.Series(np.arange(images) // 2, index=table["image_id"])


def test_images_are_drawn_by_class_and_by_answer_one_of_a_patient() -> None:
    table, group = predictions()
    drawn = draw_study_images(table, group, images=20, seed=0)
    assert [image.code for image in drawn] == [f"{i:02d}" for i in range(1, 21)]
    assert len({group[image.image_id] for image in drawn}) == 20
    assert sum(image.label for image in drawn) == 10
    assert sum(not image.network_right for image in drawn) == 4, "a fifth, as in the run"
    for half in (0, 1):
        mine = [image for image in drawn if image.half == half]
        assert (len(mine), sum(image.label for image in mine)) == (10, 5)
        assert sum(not image.network_right for image in mine) == 2
    assert drawn == draw_study_images(table.sample(frac=1, random_state=1), group, images=20, seed=0)
    assert {i.image_id for i in drawn} != {i.image_id for i in draw_study_images(table, group, images=20, seed=1)}
    assert all(image.probability in (0.8, 0.3) for image in drawn), "after temperature scaling"


def test_the_share_of_errors_may_be_chosen() -> None:
    table, group = predictions()
    for share, wrong in ((0.0, 0), (0.4, 8), (1.0, 12)):  # there are twelve patients that are called wrongly
        drawn = draw_study_images(table, group, images=20, seed=0, errors=share)
        assert sum(not image.network_right for image in drawn) == wrong
        assert sum(image.label for image in drawn) == 10


def test_where_a_class_is_short_the_other_takes_its_place() -> None:
    table, group = predictions()
    few = table[(table["label"] == 1) | table["image_id"].isin(table[table["label"] == 0]["image_id"][:6])]
    drawn = draw_study_images(few, group, images=20, seed=0)
    assert sum(image.label for image in drawn) == 17


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 1}, "--images 1: expected 2 to 999"),
        ({"images": 61}, "--images 61: found 30 patients with pneumonia and 30 without"),
        ({"images": 4, "errors": 1.5}, "--errors 1.5: expected a share from 0 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, float], message: str) -> None:
    table, group = predictions()
    with pytest.raises(SettingsError, match=message):
        draw_study_images(table, group, seed=0, **options)  # type: ignore[arg-type]


def follows(image: StudyImage, reading: Reading) -> bool:
    """Decide for pneumonia where alone, for what the network says with help."""
    return image.called if reading.help else True


def knows(image: StudyImage, reading: Reading) -> bool:
    """Decide rightly with help; without, every image but the first."""
    return bool(image.label) if reading.help or image.code != "01" else not image.label


def results_of(tmp_path_factory: pytest.TempPathFactory, *readers: Decide, images: int = 8) -> ReaderResults:
    folder, study = tmp_path_factory.mktemp("answers"), small_study(images)
    paths = []
    for number, decide in enumerate(readers, start=1):
        paths.append(folder / f"{number}.csv")
        paths[-1].write_text(as_csv(answers_of(study, number, decide)))
    return reader_results(study, read_answers(study, paths))


def test_answers_by_hand(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = results_of(tmp_path_factory, follows, knows)
    # images 01 to 04 show pneumonia; the network is wrong on 04 and 08
    effects = {(effect.reader, effect.measure): effect for effect in found.effects}
    expected = {
        ("reader 1", "sensitivity"): (1.0, 0.75, -0.25),
        ("reader 1", "specificity"): (0.0, 0.75, 0.75),
        ("reader 1", "auc"): (0.5, 0.75, 0.25),
        ("reader 2", "sensitivity"): (0.75, 1.0, 0.25),
        ("reader 2", "specificity"): (1.0, 1.0, 0.0),
        ("reader 2", "auc"): (0.875, 1.0, 0.125),
        (EVERYBODY, "sensitivity"): (0.875, 0.875, 0.0),
        (EVERYBODY, "specificity"): (0.5, 0.875, 0.375),
    }
    for key, numbers in expected.items():
        effect = effects[key]
        assert effect.helped is not None
        assert effect.change is not None
        assert (effect.without.value, effect.helped.value, effect.change.value) == pytest.approx(numbers), key
        if not math.isnan(effect.change.interval.low):
            assert effect.change.interval.low <= effect.change.value <= effect.change.interval.high
    network = effects["network", "sensitivity"]
    assert (network.without.value, network.helped, network.change) == (0.75, None, None)
    kappa = {one.between: one for one in found.agreements}
    assert list(kappa) == ["reader 1 and reader 2", "reader 1 and network", "reader 2 and network"]
    assert kappa["reader 1 and reader 2"].without.value == 0, "one calls everything: chance"
    assert kappa["reader 1 and network"].helped.value == 1
    assert kappa["reader 2 and network"].helped.value == 0.5

    first, second, everybody = found.facts
    assert first.seconds == (10.0, 5.0)
    assert first.map_rating == (4.0, 2.0)
    assert (first.corrected, first.misled) == ((3, 0), (0, 1)), "it follows where the network is wrong, too"
    assert (second.corrected, second.misled) == ((1, 0), (0, 0))
    assert (everybody.corrected, everybody.misled, everybody.days) == ((4, 0), (0, 1), None)
    assert first.days == 29, "begun a minute into its day, the session before finished some minutes later"
    assert (found.readers, found.pneumonia_images, found.network_wrong) == (2, 4, 2)


def guesses(image: StudyImage, reading: Reading) -> bool:
    """Decide by the code, now and then rightly, and otherwise with help."""
    return (int(image.code) * 7 + reading.help) % 5 < 2 or (bool(image.label) and int(image.code) % 3 > 0)


@pytest.mark.parametrize(("images", "readers", "shown"), [(40, 3, True), (40, 2, False), (38, 3, False)])
def test_a_mean_has_an_interval_where_readers_and_images_are_enough_for_one(
    images: int, readers: int, shown: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = results_of(tmp_path_factory, *(guesses, knows, follows)[:readers], images=images)
    means = [effect for effect in found.effects if effect.reader == EVERYBODY]
    assert [mean.measure for mean in means] == ["sensitivity", "specificity", "auc"]
    for mean in means:
        for number in (mean.without, mean.helped, mean.change):
            assert number is not None
            assert not math.isnan(number.value)
            assert math.isnan(number.interval.low) != shown, mean.measure
            assert not shown or number.interval.low <= number.value <= number.interval.high
    change = next(one.change for one in found.effects if (one.reader, one.measure) == ("reader 1", "auc"))
    assert change is not None
    assert math.isnan(change.interval.low) == (images == 38), "one reader's needs images alone"
    said = " ".join(warnings_of(found))
    assert ("2 readers: their mean has no interval" in said) == (readers == 2)
    assert ("19 images of a class: a reader's change of AUC and the mean have no interval" in said) == (images == 38)


def test_one_reader_has_no_mean(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = results_of(tmp_path_factory, follows)
    assert {effect.reader for effect in found.effects} == {"reader 1", "network"}
    assert [one.between for one in found.agreements] == ["reader 1 and network"]


def test_more_than_two_readers_have_a_mean_kappa(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = results_of(tmp_path_factory, follows, knows, knows)
    kappa = {one.between: one.without.value for one in found.agreements}
    pairs = [kappa[f"reader {a} and reader {b}"] for a, b in ((1, 2), (1, 3), (2, 3))]
    assert kappa["mean of all pairs"] == pytest.approx(np.mean(pairs))
