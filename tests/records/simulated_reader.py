"""A small reader study, and readers who answer as they are told, in files as the page writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pneumobench.records.reader_answers import ANSWER_COLUMNS, TIME_FORMAT
from pneumobench.records.reader_study import SESSIONS, ReaderStudy, Reading, StudyImage

Decide = Callable[[StudyImage, Reading], bool]
BEGUN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def small_study(images: int = 8) -> ReaderStudy:
    """Return a study of images whose first half shows pneumonia; the network is wrong on every fourth."""
    made = []
    for i in range(images):
        label = int(i < images // 2)
        called = bool(label) != (i % 4 == 3)
        made.append(
            StudyImage(
                code=f"{i + 1:02d}",
                image_id=f"secret/{'PNEUMONIA' if label else 'NORMAL'}/child-{i}.jpeg",
                label=label,
                fold=i % 2,
                probability=0.9 - i / 100 if called else 0.1 + i / 100,
                half=(i // 2) % 2,
            )
        )
    return ReaderStudy(run="smoke", architecture="resnet18", method="gradcam", seed=0, images=tuple(made))


def answers_of(
    study: ReaderStudy, reader: int, decide: Decide, *, apart_days: int = 30, sessions: tuple[int, ...] = SESSIONS
) -> list[dict[str, str]]:
    """Return the rows of a reader: sure of each decision, 10 s an image and 5 s with help, maps rated 4 and 2."""
    rows = []
    for session in sessions:
        for place, reading in enumerate(study.order(reader, session), start=1):
            image = study.image(reading.code)
            called = decide(image, reading)
            answered = BEGUN + timedelta(days=apart_days * (session - 1), minutes=place)
            rows.append(
                {
                    "study": study.id,
                    "reader": str(reader),
                    "session": str(session),
                    "place": str(place),
                    "image": reading.code,
                    "help": "with" if reading.help else "without",
                    "decision": "pneumonia" if called else "normal",
                    "confidence": "90" if called else "10",
                    "map_rating": ("4" if image.network_right else "2") if reading.help else "",
                    "seconds": "5.0" if reading.help else "10.0",
                    "answered": answered.strftime(TIME_FORMAT),
                }
            )
    return rows


def as_csv(rows: list[dict[str, str]], columns: tuple[str, ...] = ANSWER_COLUMNS) -> str:
    """Return rows as the page writes them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
