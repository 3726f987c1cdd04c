"""What a bundle says of images, as a table in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.bundle import FOR_RESEARCH, Bundle
from pneumobench.reporting.columns import number
from pneumobench.reporting.console import Name, console_table

IN_WORDS: Final = 3  # answers whose reasons are also told in words and numbers below the table


def predictions_table(bundle: Bundle, answers: Sequence[Prediction]) -> Table:
    """Return a row for each image: probability with the lowest and highest of the folds, and why to look at it."""
    below = _folder(answers)
    table = console_table(
        caption=(
            f"{bundle.name}: calibrated probability of pneumonia, mean of {len(bundle.folds)} folds, with the lowest "
            f"and the highest.{f' Images below {below}.' if below else ''} {FOR_RESEARCH}"
        )
    )
    table.add_column("image", overflow="fold")
    table.add_column("says", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("look at it because")
    for one in answers:
        name = Name(os.path.relpath(one.image, below) if below else one.image)
        if one.problem:
            table.add_row(name, "no answer", "", Text("it cannot be read", style="red"))
            continue
        spread = f" [{number(one.lowest, 2)}, {number(one.highest, 2)}]" if len(one.folds) > 1 else ""
        table.add_row(
            name, "pneumonia" if one.pneumonia else "normal", Text(f"{number(one.probability)}{spread}"),
            Text(", ".join(reason.replace("_", " ") for reason in one.reasons), style="yellow"),
        )  # fmt: skip
    return table


def reason_lines(answers: Sequence[Prediction]) -> Iterator[Text]:
    """Yield the reasons and notes of the first few images in words and numbers."""
    for one in answers[:IN_WORDS]:
        for words in one.reasons.values():
            yield Text(f"{Path(one.image).name}: {words}", style="yellow")
        for words in one.notes:
            yield Text(f"{Path(one.image).name}: {words}", style="dim")


def _folder(answers: Sequence[Prediction]) -> str:
    """Return the folder that all images lie in, where there are several; empty where there is no such one."""
    homes = {str(Path(one.image).parent) for one in answers}
    if len(answers) < 2 or len({Path(home).is_absolute() for home in homes}) > 1:
        return ""
    shared = os.path.commonpath(homes)
    return "" if shared in ("", "/", ".") else shared
