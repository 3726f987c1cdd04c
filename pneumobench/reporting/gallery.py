"""The pages of a run's gallery: one of mean maps, and one of errors for every network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumobench.files import write_text
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.overlays import OUTCOME_WORDS
from pneumobench.reporting.page import page_environment

INDEX_NAME = "index.html"


@dataclass(frozen=True, kw_only=True)
class ErrorImage:
    """An image that a network called wrongly.

    Args:
        picture: its panel, relative to the gallery folder.
        outcome: fn or fp.
        image_id: name of the image.
        subtype: bacteria, virus, normal, or empty.
        fold: fold whose network called it.
        probability: what the network said.
        error: how wrong it was: the distance of its logit from 0.
    """

    picture: str
    outcome: str
    image_id: str
    subtype: str
    fold: int
    probability: float
    error: float


@dataclass(frozen=True, kw_only=True)
class GalleryNetwork:
    """The pictures of one network over all its folds.

    Args:
        architecture: its name.
        folds: folds whose networks were drawn.
        errors: wrongly called images, the worst first.
        means: picture of the mean maps, relative to the gallery folder; None = no image has a lung mask.
    """

    architecture: str
    folds: tuple[int, ...]
    errors: tuple[ErrorImage, ...]
    means: str | None

    def of_outcome(self, outcome: str) -> list[ErrorImage]:
        """Return the errors of one kind, fn or fp."""
        return [radiograph for radiograph in self.errors if radiograph.outcome == outcome]


def write_gallery_pages(folder: RunFolder, suite: str, networks: Sequence[GalleryNetwork]) -> Path:
    """Write `gallery/index.html` and `gallery/ARCHITECTURE.html` and return the first."""
    environment = page_environment()
    leaderboard = folder.leaderboard / INDEX_NAME
    shared = {
        "suite": suite,
        "outcome_words": OUTCOME_WORDS,
        "leaderboard": os.path.relpath(leaderboard, folder.gallery) if leaderboard.is_file() else None,
    }
    for network in networks:
        page = environment.get_template("errors.html.j2").render(network=network, **shared)
        write_text(folder.gallery / f"{network.architecture}.html", page)
    index = folder.gallery / INDEX_NAME
    write_text(index, environment.get_template("means.html.j2").render(networks=networks, **shared))
    return index
