"""Which images readers get: drawn from out-of-fold predictions, by label and by whether the network is right."""

from __future__ import annotations

from typing import Final

import pandas as pd

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_text
from pneumobench.records.reader_study import StudyImage
from pneumobench.texts import counted

LEAST_IMAGES: Final = 2  # one of each class
MOST_IMAGES: Final = 999


def draw_study_images(
    predictions: pd.DataFrame, group: pd.Series[int], *, images: int, seed: int, errors: float | None = None
) -> tuple[StudyImage, ...]:
    """Draw the images of a reader study, at most one of a patient.

    Half show pneumonia and half do not (of an odd number one more does), as sensitivity and specificity are asked for
    alike. Within each class as many are called wrongly by the network as among all its images, at least one where there
    is any, or as `errors` says. Where a class or the wrongly called have too few, others take their place.

    Args:
        predictions: out-of-fold rows image_id, label, probability, tempered and fold.
        group: patient group by image_id.
        images: how many.
        seed: another seed draws others.
        errors: share of the images that the network calls wrongly, in [0, 1]; None = as in the run.

    Returns:
        The images by code: their numbers, in an order that says nothing of what they show.

    Raises:
        SettingsError: too few patients, or a number or share that cannot be.
    """
    if not LEAST_IMAGES <= images <= MOST_IMAGES:
        raise SettingsError(f"--images {images}: expected {LEAST_IMAGES} to {MOST_IMAGES}.")
    if errors is not None and not 0 <= errors <= 1:
        raise SettingsError(f"--errors {errors}: expected a share from 0 to 1, such as 0.3.")
    table = predictions.assign(
        place=[_place(seed, name) for name in predictions["image_id"]],
        group=group.loc[predictions["image_id"]].to_numpy(),
        wrong=(predictions["tempered"] >= 0.5) != (predictions["label"] == 1),
    ).sort_values("place")
    table = table.drop_duplicates("group")  # the first of each patient in the order drawn
    counts = table["label"].value_counts()
    ill, well = int(counts.get(1, 0)), int(counts.get(0, 0))
    if ill + well < images or not ill or not well:
        raise SettingsError(
            f"--images {images}: found {counted(ill, 'patient')} with pneumonia and {well:,} without that can be "
            f"drawn, one image each; expected {images} together, of both. Ask for fewer images."
        )
    wanted_ill = min(max((images + 1) // 2, images - well), ill)
    parts = [
        _of_class(table[table["label"] == label], count, errors)
        for label, count in ((1, wanted_ill), (0, images - wanted_ill))
    ]
    drawn = pd.concat(parts).sort_values(["label", "wrong", "place"], ignore_index=True)
    drawn["half"] = drawn.index % 2  # within every class and kind of answer as evenly as can be
    drawn["number"] = [_place(seed, f"number {name}") for name in drawn["image_id"]]
    drawn = drawn.sort_values("number", ignore_index=True)
    digits = max(2, len(str(images)))
    return tuple(
        StudyImage(
            code=f"{number:0{digits}d}",
            image_id=str(row["image_id"]),
            label=int(row["label"]),
            fold=int(row["fold"]),
            probability=round(float(row["tempered"]), 6),
            half=int(row["half"]),
        )
        for number, row in enumerate(drawn.to_dict("records"), start=1)
    )


def _place(seed: int, word: str) -> str:
    return sha256_of_text(f"reader study {seed} {word}")


def _of_class(table: pd.DataFrame, count: int, errors: float | None) -> pd.DataFrame:
    """Return so many rows of a class, of which a share is called wrongly; the rows are in the order drawn."""
    wrong, right = table[table["wrong"]], table[~table["wrong"]]
    wanted = round(count * (len(wrong) / len(table) if errors is None else errors))
    if errors is None and count > 1:
        wanted = max(wanted, min(1, len(wrong)))
    wanted = min(max(wanted, count - len(right)), len(wrong), count)
    return pd.concat([wrong.head(wanted), right.head(count - wanted)])
