"""What the networks of a run say of one image, as a table in the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.reporting.columns import number
from pneumobench.reporting.console import Name, console_table


@dataclass(frozen=True, kw_only=True)
class ImageAnswer:
    """What the networks of one architecture say of an image.

    Args:
        architecture: its name.
        folds: folds whose networks were asked.
        probability: mean probability of pneumonia over them.
        lowest: the lowest of them.
        highest: the highest of them.
        classes: mean probability of normal, bacterial and viral; empty for a task of two classes.
        lar: lung attention ratio of the mean map of pneumonia by method; None where there is none.
    """

    architecture: str
    folds: tuple[int, ...]
    probability: float
    lowest: float
    highest: float
    classes: dict[str, float]
    lar: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class ImageExplanation:
    """Answers of all architectures.

    Args:
        answers: one for each architecture.
        picture: the image and the maps.
        lungs_from: drawn, segmented, box, or why there is no lung mask.
        known: whether the image is one of the run's own data.
        warnings: why the answers may mean nothing: no lungs found, or an image unlike those of the run.
        without_maps: a line for each architecture and method that has no map, with the reason.
    """

    answers: tuple[ImageAnswer, ...]
    picture: Path
    lungs_from: str
    known: bool
    warnings: tuple[str, ...] = ()
    without_maps: tuple[str, ...] = ()


def image_warnings(radiograph: ImageExplanation) -> list[Text]:
    """Return what stands above the answers, in the colour of warnings."""
    lines = [Text(f"warning: {words}", style="bold red") for words in radiograph.warnings]
    if lines:
        lines.append(Text("The networks answer to any picture: take these answers for nothing.", style="bold red"))
    return lines + [Text(words, style="yellow") for words in radiograph.without_maps]


def _said(answer: ImageAnswer) -> str:
    """Return the most probable class; of two classes, pneumonia from a probability of 0.5 on."""
    if answer.classes:
        return max(answer.classes, key=lambda name: answer.classes[name])
    return "pneumonia" if answer.probability >= DEFAULT_THRESHOLD else "normal"


def image_table(radiograph: ImageExplanation) -> Table:
    """Return a row for each architecture: probability of pneumonia, and the LAR of its maps."""
    asked = "of the folds that have not seen it" if radiograph.known else "of all folds asked"
    table = console_table(
        caption=(
            f"Mean probability over the networks {asked}, with the lowest and the highest. "
            f"Lungs: {radiograph.lungs_from}. Research software: not a diagnosis."
        ),
    )
    methods = list(dict.fromkeys(method for answer in radiograph.answers for method in answer.lar))
    table.add_column("architecture", no_wrap=True, overflow="fold")
    table.add_column("says")
    table.add_column("probability", justify="right", no_wrap=True)
    classes = list(radiograph.answers[0].classes) if radiograph.answers else []
    for name in classes:
        table.add_column(f"p {name}", justify="right", no_wrap=True)
    for method in methods:
        table.add_column(f"LAR {method.replace('_', ' ')}", justify="right")
    for answer in radiograph.answers:
        spread = f" [{number(answer.lowest)}, {number(answer.highest)}]" if len(answer.folds) > 1 else ""
        table.add_row(
            Name(answer.architecture),
            _said(answer),
            escape(f"{number(answer.probability)}{spread}"),
            *(number(answer.classes[name], 2) for name in classes),
            *(number(answer.lar.get(method), 2) for method in methods),
        )
    return table
