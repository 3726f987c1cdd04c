"""Images whose label the predictions doubt, in the terminal and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.markup import escape
from rich.table import Table

from pneumobench.files import write_text
from pneumobench.leaderboard.label_noise import LabelDoubts
from pneumobench.records.checksums import renew_checksums
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.columns import number
from pneumobench.reporting.console import Name, console_table
from pneumobench.texts import counted, markdown_text

TABLE, PAGE = "labels.csv", "README.md"
SHOWN: Final = 12  # in a terminal
LISTED: Final = 40  # in README.md; all are in labels.csv
PARTS: Final = {"out_of_fold": "Out of fold", "official": "Official test folder"}
MEANING: Final = (
    "Candidates to look at, not errors: networks doubt hard images as well as wrong labels. Confident learning "
    "(Northcutt et al. 2021, by cleanlab) is asked fold by fold, with probabilities of networks that did not learn "
    "from the image, after temperature scaling. Listed are images that the mean of all networks doubts. Quality: the "
    "probability that this mean gives to the label. A label that networks alone doubt is one that no shortcut "
    "baseline flags; one that a baseline doubts too is of an image unlike its class in ways that coarse pixels or its "
    "size show."
)


def label_table(found: LabelDoubts) -> Table:
    """Return the first candidates as a table for a terminal of 80 characters."""
    table = console_table(title=f"Labels that the networks doubt: {len(found.table):,} of {found.images:,} images")
    for heading in ("image", "given", "suggested", "quality", "networks", "baselines"):
        table.add_column(escape(heading), justify="right" if heading in ("quality", "networks") else "left")
    for row in found.table.head(SHOWN).to_dict("records"):
        table.add_row(Name(str(row["image_id"])), *map(escape, _cells(row)))
    return table


def write_label_tables(folder: RunFolder, parts: dict[str, LabelDoubts]) -> Path:
    """Write README.md and labels.csv into `labels/` of a run and return the first.

    Args:
        folder: the run.
        parts: `out_of_fold`, and `official` where there is an official test folder.
    """
    command = f"pneumobench labels {'/'.join(folder.path.resolve().parts[-2:])}"
    texts = label_texts(parts, command)
    for name, text in texts.items():
        write_text(folder.labels / name, text)
    renew_checksums(folder.path, [folder.labels / name for name in texts])
    return folder.labels / PAGE


def label_texts(parts: dict[str, LabelDoubts], command: str) -> dict[str, str]:
    """Return the text of labels.csv and README.md by name.

    Args:
        parts: `out_of_fold`, and `official` where there is an official test folder.
        command: command line that made them.
    """
    tables = [found.table.assign(part=part) for part, found in parts.items()]
    whole = pd.concat(tables, ignore_index=True)
    whole = whole[["part", *(column for column in whole if column != "part")]]
    lines = [
        "# Labels that the networks doubt",
        "",
        f"`{command}`",
        "",
        MEANING,
        "",
        "All candidates: `labels.csv`.",
        "",
    ]
    for part, found in parts.items():
        lines += [f"## {PARTS[part]}", "", _counts(found), "", *_by_scorer(found), ""]
        lines += [f"The first {min(LISTED, len(found.table))}:", "", *_list(found), ""]
    return {
        TABLE: whole.to_csv(index=False, float_format="%.6f", lineterminator="\n"),
        PAGE: "\n".join(lines).rstrip() + "\n",
    }


def _counts(found: LabelDoubts) -> str:
    table = found.table
    alone = int((table["doubted_by"] == "networks alone").sum())
    agreed = int((table["networks_doubting"] == table["networks"]).sum())
    return (
        f"{found.images:,} images; {counted(len(table), 'label')} doubted by the mean of all networks, {agreed} of "
        f"them by each network; {alone} by networks alone, {len(table) - alone} by a shortcut baseline too."
    )


def _by_scorer(found: LabelDoubts) -> list[str]:
    pairs = sorted({pair for counts in found.doubted.values() for pair in counts})
    heads = ["doubted by itself", *(f"{given}, rather {suggested}" for given, suggested in pairs), "on the list"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for name, counts in found.doubted.items():
        cells = [markdown_text(name), *(f"{counts.get(pair, 0):,}" for pair in pairs), f"{found.agreeing[name]:,}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _list(found: LabelDoubts) -> list[str]:
    lines = [
        "| image | given | suggested | quality | networks | baselines |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for row in found.table.head(LISTED).to_dict("records"):
        lines.append(f"| {markdown_text(str(row['image_id']))} | " + " | ".join(_cells(row)) + " |")
    return lines


def _cells(row: dict[Any, Any]) -> list[str]:
    return [
        str(row["given"]),
        str(row["suggested"]),
        number(row["quality"]),
        f"{row['networks_doubting']} of {row['networks']}",
        f"{row['baselines_doubting']} of {row['baselines']}",
    ]
