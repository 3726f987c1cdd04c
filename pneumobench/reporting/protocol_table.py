"""The leak-effect table: scores of the same networks under several protocols, in the terminal and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.protocol_effect import REFERENCE, ProtocolEffect
from pneumobench.reporting.columns import NOTHING, interval_text, number
from pneumobench.reporting.console import Name, console_table
from pneumobench.reporting.words import data_words, weights_notice
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.texts import markdown_text

TABLE = "leak_effect.csv"
HEADINGS = ("architecture", "protocol", "images tested", "AUC [95 %]", f"minus {REFERENCE} [95 %]")
MEANING = (
    "The same networks, settings and images; only the split differs. `patient`: folds by patient. `image_random`: "
    "folds by image, with images of one patient on both sides. `official`: trained on the official train folder, "
    "tested on the official test folder, another population. `holdout`: one test part by patient. AUC is computed "
    "within folds; intervals are over patients, and a patient who is tested under both protocols is one patient."
)


def _cells(effect: ProtocolEffect, digits: int = 4) -> list[str]:
    auc = f"{number(effect.auc, digits)} {interval_text(effect.auc_interval, digits)}".strip()
    difference = NOTHING
    if effect.difference is not None:
        difference = f"{number(effect.difference, digits)} {interval_text(effect.difference_interval, digits)}".strip()
    return [effect.architecture, effect.protocol, f"{effect.images:,}", auc, difference]


def protocol_table(effects: Sequence[ProtocolEffect]) -> Table:
    """Return the table for a terminal of 80 characters: without the intervals of the areas themselves."""
    table = console_table(title="Effect of the split")
    for place, heading in enumerate(("architecture", "protocol", "images", "AUC", f"minus {REFERENCE} [95 %]")):
        table.add_column(escape(heading), justify="left" if place < 2 else "right", no_wrap=place > 0)
    for effect in effects:
        name, protocol, radiographs, _, difference = _cells(effect, 3)
        row = (protocol, radiographs, number(effect.auc), difference)
        table.add_row(
            Name(name.removeprefix(CONTROL_PREFIX)),
            *map(escape, row),
            style="dim" if name.startswith(CONTROL_PREFIX) else None,
        )
    return table


def write_protocol_table(folder: Path, effects: Sequence[ProtocolEffect], reference: Leaderboard, command: str) -> Path:
    """Write README.md and leak_effect.csv into a folder and return the first.

    Args:
        folder: where the files go.
        effects: rows of the table.
        reference: leaderboard of the protocol that the others are compared with.
        command: the literal command that made the runs.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ends = ("low", "high")
    writer.writerow(
        ["architecture", "protocol", "images", "auc", *(f"auc_{end}" for end in ends), "difference",
         *(f"difference_{end}" for end in ends)]
    )  # fmt: skip
    for effect in effects:
        bounds = [
            "" if interval is None else f"{getattr(interval, end):.6f}"
            for interval in (effect.auc_interval, effect.difference_interval)
            for end in ends
        ]
        difference = "" if effect.difference is None else f"{effect.difference:.6f}"
        writer.writerow(
            [
                effect.architecture,
                effect.protocol,
                effect.images,
                f"{effect.auc:.6f}",
                *bounds[:2],
                difference,
                *bounds[2:],
            ]
        )
    write_text(folder / TABLE, buffer.getvalue())
    lines = ["# Effect of the split", "", f"> **{weights_notice(reference)}**", "", MEANING, ""]
    lines += [f"Protocol `{reference.protocol}`: {markdown_text(data_words(reference))}", "", f"`{command}`", ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "| --- | --- | ---: | ---: | ---: |"]
    lines += ["| " + " | ".join(map(markdown_text, _cells(effect))) + " |" for effect in effects]
    write_text(folder / "README.md", "\n".join(lines) + "\n")
    return folder / "README.md"
