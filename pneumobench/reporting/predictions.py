"""What a bundle says of images, as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.bundle import FOR_RESEARCH, Bundle
from pneumobench.reporting.columns import number
from pneumobench.reporting.console import Name, console_table


def predictions_table(bundle: Bundle, answers: Sequence[Prediction]) -> Table:
    """Return a row for each image: probability with the lowest and highest of the folds, and why to look at it."""
    table = console_table(
        caption=(
            f"{bundle.name}: calibrated probability of pneumonia, mean of {len(bundle.folds)} folds, with the lowest "
            f"and the highest. {FOR_RESEARCH}"
        )
    )
    table.add_column("image", overflow="fold")
    table.add_column("says", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("review, because")
    for one in answers:
        if one.problem:
            table.add_row(Name(one.image), "no answer", "", Text(one.problem, style="red"))
            continue
        spread = f" [{number(one.lowest)}, {number(one.highest)}]" if len(one.folds) > 1 else ""
        reasons = Text("; ".join(one.reasons.values()), style="yellow")
        reasons.append("".join(f" ({note})" for note in one.notes), style="dim")
        table.add_row(
            Name(one.image), "pneumonia" if one.pneumonia else "normal",
            Text(f"{number(one.probability)}{spread}"), reasons,
        )  # fmt: skip
    return table
