"""What the investigator of a reader study keeps: which images it has, what they show, and in which order each is read.

Nothing here is drawn by a generator of random numbers: an order is that of SHA-256 sums, the same on every machine.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import canonical_json, read_sealed, sha256_of_text, write_sealed

SESSIONS: Final = (1, 2)
READERS: Final = 24  # reader numbers whose orders stand in the page
NETWORK_THRESHOLD: Final = 0.5  # the network calls pneumonia from here on, as in the tables of the leaderboard
STUDY_LETTERS: Final = 12  # of the study's id
KEY: Final = "key.json"
READERS_FOLDER: Final = "readers"


@dataclass(frozen=True, kw_only=True)
class StudyImage:
    """An image of a reader study.

    Args:
        code: its name for readers, such as `07`.
        image_id: its name in the run.
        label: 1 = pneumonia.
        fold: the fold whose network had not learnt from it.
        probability: what that network says, after temperature scaling, in [0, 1].
        half: 0 or 1; the halves are shown with help in different sessions.
    """

    code: str
    image_id: str
    label: int
    fold: int
    probability: float
    half: int

    @property
    def called(self) -> bool:
        """Whether the network calls pneumonia."""
        return self.probability >= NETWORK_THRESHOLD

    @property
    def network_right(self) -> bool:
        """Whether the network is right."""
        return self.called == bool(self.label)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One image as it comes to a reader: its code, and whether it is shown with help."""

    code: str
    help: bool


@dataclass(frozen=True, kw_only=True)
class ReaderStudy:
    """A reader study: fully crossed, in two sessions. Every reader reads every image once with help and once without.

    Args:
        run: name of the run.
        architecture: whose probability and heat map help.
        method: attribution method of the heat map.
        seed: that the images were drawn with.
        images: sorted by code.
    """

    run: str
    architecture: str
    method: str
    seed: int
    images: tuple[StudyImage, ...]

    @cached_property
    def id(self) -> str:
        """Name of the study, the same for the same content; stands in its page, in every answer and in its results."""
        return sha256_of_text(canonical_json(dataclasses.asdict(self)))[:STUDY_LETTERS]

    def order(self, reader: int, session: int) -> tuple[Reading, ...]:
        """Return the images of a session in the order in which a reader gets them.

        Half of the images come with help in the first session, the others in the second, each session in two blocks.
        Over readers 1 to 4 every half comes in both sessions with help, and every block first as often as last. Within
        a block the order is another one for every reader and session.

        Args:
            reader: number of the reader, from 1.
            session: 1 or 2.

        >>> images = [StudyImage(code=f"{i}", image_id=f"{i}.png", label=0, fold=0, probability=0.1, half=i % 2)
        ...           for i in range(1, 5)]
        >>> study = ReaderStudy(run="smoke", architecture="resnet18", method="gradcam", seed=0, images=tuple(images))
        >>> [(reading.code, reading.help) for reading in study.order(1, 1)]
        [('3', False), ('1', False), ('2', True), ('4', True)]
        """
        helped_half = (reader + session) % 2
        help_first = ((reader - 1) // 2 + session - 1) % 2 == 1

        def place(image: StudyImage) -> str:
            return sha256_of_text(f"{self.id} {reader} {session} {image.code}")

        blocks = (True, False) if help_first else (False, True)
        return tuple(
            Reading(code=image.code, help=helped)
            for helped in blocks
            for image in sorted(self.images, key=place)
            if (image.half == helped_half) == helped
        )

    def image(self, code: str) -> StudyImage:
        """Return an image by its code.

        Raises:
            KeyError: no image has it.
        """
        return self._by_code[code]

    @cached_property
    def _by_code(self) -> dict[str, StudyImage]:
        return {image.code: image for image in self.images}


def refuse_other_study(folder: Path, study: ReaderStudy) -> None:
    """Refuse a folder that holds the key of another study, whose answers would have no key any more.

    Raises:
        SettingsError: it does.
    """
    path = folder / KEY
    if not path.is_file():
        return
    kept = read_sealed(path)
    if not isinstance(kept, dict) or kept.get("study") != study.id:
        other = kept.get("study") if isinstance(kept, dict) else "that cannot be read"
        raise SettingsError(
            f"{path}: found the key of a study {other}, expected none or that of {study.id}. Its answers can only be "
            "scored with its key: name another folder with --to, or delete this one if nobody has read it."
        )


def write_key(folder: Path, study: ReaderStudy) -> Path:
    """Write `key.json`, which says what every image shows and stays with the investigator, and return it.

    Raises:
        SettingsError: the folder holds the key of another study.
    """
    refuse_other_study(folder, study)
    write_sealed(folder / KEY, {"study": study.id, **dataclasses.asdict(study)})
    return folder / KEY


def read_key(folder: Path) -> ReaderStudy:
    """Read the key of a reader study.

    Args:
        folder: what `pneumobench reader-study` wrote, such as `runs/quickstart/reader-study`.

    Raises:
        RecordError: there is no key, or it was changed.
    """
    path = folder / KEY
    if not path.is_file():
        raise RecordError(
            f"{folder}: found no {KEY}, expected the folder of a reader study, e.g. runs/quickstart/reader-study. "
            "`pneumobench reader-study RUN` makes one."
        )
    kept: Any = read_sealed(path)
    try:
        images = tuple(StudyImage(**image) for image in kept.pop("images"))
        name = kept.pop("study")
        study = ReaderStudy(images=images, **kept)
        whole = study.id == name
    except (AttributeError, KeyError, TypeError):
        whole = False
    if not whole:
        raise RecordError(
            f"{path}: found a key that was changed or damaged, expected it as it was written; bring it back."
        )
    return study
