"""The columns of normal, bacterial and viral, and the words that stand above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pneumobench.leaderboard.board import Row
from pneumobench.leaderboard.three_classes import ThreeClassScores
from pneumobench.metrics.intervals import Interval
from pneumobench.reporting.columns import Column
from pneumobench.suite.spec import CLASSES

THREE_CLASS_WORDS: Final = (
    "The class with the largest probability is called. Macro = mean over the three classes. The second AUC asks "
    "only for bacterial against viral, among images with pneumonia."
)
Read = Callable[[Row], ThreeClassScores | None]


def _value(read: Read, value: Callable[[ThreeClassScores], float]) -> Callable[[Row], float | None]:
    def of_row(row: Row) -> float | None:
        found = read(row)
        return None if found is None else value(found)

    return of_row


def _interval(read: Read, interval: Callable[[ThreeClassScores], Interval]) -> Callable[[Row], Interval | None]:
    def of_row(row: Row) -> Interval | None:
        found = read(row)
        return None if found is None else interval(found)

    return of_row


def _recall_of(name: str) -> Callable[[ThreeClassScores], float]:
    return lambda scores: scores.by_class[name].recall


def _columns(read: Read, prefix: str) -> tuple[Column, ...]:
    return (
        Column(
            key=f"{prefix}macro_auc",
            heading="Macro AUC",
            meaning="mean area under the ROC curve of each class against the others, with its 95 % interval by "
            "patient; out of fold: within folds",
            value=_value(read, lambda s: s.macro_auc),
            interval=_interval(read, lambda s: s.macro_auc_interval),
        ),
        Column(
            key=f"{prefix}bacterial_auc",
            heading="AUC bact./viral",
            meaning="area under the ROC curve of bacterial against viral images, normal ones left out; out of fold: "
            "within folds",
            value=_value(read, lambda s: s.bacterial_auc),
            interval=_interval(read, lambda s: s.bacterial_auc_interval),
        ),
        Column(
            key=f"{prefix}three_class_accuracy",
            heading="Acc. of 3",
            meaning="share of images called the right one of three classes",
            value=_value(read, lambda s: s.accuracy),
        ),
        *(
            Column(
                key=f"{prefix}recall_{name}",
                heading=f"Rec. {name}",
                meaning=f"share of {name} images that are called {name}",
                value=_value(read, _recall_of(name)),
            )
            for name in CLASSES
        ),
        Column(
            key=f"{prefix}macro_recall",
            heading="Macro rec.",
            meaning="mean over the classes of the share of their images that are called so (balanced accuracy)",
            value=_value(read, lambda s: s.balanced_accuracy),
        ),
        Column(
            key=f"{prefix}macro_precision",
            heading="Macro prec.",
            meaning="mean over the classes of the share of images called so that are; 0 for a class never called",
            value=_value(read, lambda s: s.macro_precision),
        ),
        Column(
            key=f"{prefix}macro_f1",
            heading="Macro F1",
            meaning="mean F1 of the classes",
            value=_value(read, lambda s: s.macro_f1),
        ),
        Column(
            key=f"{prefix}three_class_mcc",
            heading="MCC of 3",
            meaning="Matthews correlation coefficient of three classes (Gorodkin 2004), 0 = chance",
            value=_value(read, lambda s: s.mcc),
        ),
    )


THREE_CLASSES: Final = _columns(lambda row: row.three_classes, "")
OFFICIAL_THREE_CLASSES: Final = _columns(lambda row: row.official_three_classes, "official_")
