"""Commands on data sets: what is known of them, how to get one, and what is wrong with one that is here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumobench.cli.papers import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from pneumobench.datasets.cards import DatasetCard


def audit(options: argparse.Namespace, rest: list[str]) -> int:
    """Check radiographs before anything is trained."""
    del rest
    from pneumobench.datasets.audit import audit, audit_text, read_radiographs
    from pneumobench.datasets.cards import card_names, card_path, read_card
    from pneumobench.datasets.layouts import LAYOUTS
    from pneumobench.datasets.sources import recognised_data
    from pneumobench.errors import DataError
    from pneumobench.files import write_json
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.suite.spec import Suite

    for plugin in options.plugin:
        load_plugin_file(Path(plugin))
    spec = recognised_data(Path(options.data), source=options.source, lung_masks=options.lung_masks)
    index, problems = read_radiographs(Suite(data=spec))
    metadata: dict[str, Any] = {"source": spec.source, **audit(index, problems, source=spec.source)}
    lines = [f"read as: {spec.source}", audit_text(metadata)]
    cards = [read_card(card_path(name)) for name in card_names()] if not LAYOUTS.get(spec.source).reads_table else []
    for card in cards:
        if card.source == spec.source:
            differences = _published_differences(card, metadata["splits"])
            metadata["published"] = {"card": card.name, "differences": differences}
            unknown = [
                f"{part} {name}"
                for part, counts in card.counts.items()
                for name in ("normal", "pneumonia")
                if getattr(counts, name) is None
            ]
            lines.append(
                f"numbers of images by part and class as published (card {card.name}): {'no' if differences else 'yes'}"
                + (f"; not known to the card: {', '.join(unknown)}" if unknown else "")
            )
            lines += [f"    {line}" for line in differences]
    write_json(options.output, metadata)
    print("\n".join(lines))
    print(f"report: {options.output}")
    return DataError.exit_code if problems else 0


def _published_differences(card: DatasetCard, splits: dict[str, Any]) -> list[str]:
    """Compare the parts that are read with the card; a part that is not read is not missed."""
    from pneumobench.datasets.cards import count_differences

    found = {part: {name: metadata[name] for name in ("normal", "pneumonia")} for part, metadata in splits.items()}
    read = {part: counts for part, counts in card.counts.items() if part in ("train", "test")}
    return count_differences(read, found)


def datasets(options: argparse.Namespace, rest: list[str]) -> int:
    """List the known data sets, or print the card of one."""
    del rest
    from pneumobench.datasets.cards import card_names, card_path, read_card

    if options.name:
        print(card_path(options.name).read_text(encoding="utf-8"), end="")
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Known data sets", caption="pneumobench datasets NAME prints the card of one")
    for column in ("name", "title", "images", "data.source", "licence", "download"):
        table.add_column(column, overflow="fold")
    for card in (read_card(card_path(name)) for name in card_names()):
        radiographs = f"{sum(counts.images for counts in card.counts.values()):,}"
        table.add_row(
            card.name, card.pretty_name, radiographs, card.source, card.license, "yes" if card.kaggle else "by hand"
        )
    Console().print(table)
    return 0


def download(options: argparse.Namespace, rest: list[str]) -> int:
    """Fetch a published data set and compare it with its card."""
    del rest
    from pneumobench.datasets.cards import card_path, read_card
    from pneumobench.datasets.download import download

    card = read_card(card_path(options.name))
    print(f"{card.pretty_name}: {card.kaggle or card.url}; licence {card.license}")
    done = download(card, options.to or Path("data") / card.name)
    unpacked = done.unpacked
    print(f"{unpacked.files:,} files, {unpacked.size_bytes / 2**20:,.0f} MiB in {done.folder}")
    if unpacked.junk or unpacked.copies:
        print(f"left out: {unpacked.junk:,} files of an operating system, {unpacked.copies:,} second copies")
    for line in done.differences:
        print(f"not as published: {line}")
    if done.differences:
        return EXIT_CHECK_FAILED
    print("images by part and class: as published")
    print(f"next: pneumobench audit {done.folder}")
    return 0
